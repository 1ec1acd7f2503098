"""Serving one model both ways, side by side: serve.py FRAUDML CREDITCARD.csv[.zst] [--rows N] [--seconds S]

The paper's way is Python 3.11, scikit-learn and pandas behind OpenWhisk's action protocol (Flask, as the upstream
actionproxy): a forest of 100 trees, pickled, loaded at /init, a one-row DataFrame per /run. Ours is `fraudml-action` with a
forest of 100 trees trained on the same rows. Both are asked by the same client, one after the other, round by round.
Prints start to listening, /init, resident memory, latency of single requests, throughput of two connections, size on disk.
"""
import argparse, http.client, json, os, pathlib, resource, socket, statistics, subprocess, sys, tempfile, threading, time

SERVER = '''
import json, pickle, sys
import pandas as pd
from flask import Flask, request
app, model = Flask(__name__), {}
@app.route("/init", methods=["POST"])
def init():
    model.update(pickle.load(open(sys.argv[2], "rb")))
    return {"ok": True}
@app.route("/run", methods=["POST"])
def run():
    record = request.get_json(force=True)["value"]
    row = pd.DataFrame([record], columns=model["columns"]).astype(float)
    row = row.fillna(model["median"])
    score = float(model["forest"].predict_proba(model["scaler"].transform(row))[0, 1])
    return {"score": score, "is_fraud": score >= 0.5}
import logging; logging.getLogger("werkzeug").setLevel(logging.ERROR)
app.run("127.0.0.1", int(sys.argv[1]), threaded=True)
'''


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, port):
        self.port, begun = port, time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                assert self.process.poll() is None, command
                time.sleep(0.0005)
        self.start_ms = (time.perf_counter() - begun) * 1e3
        begun = time.perf_counter()
        self.ask(http.client.HTTPConnection("127.0.0.1", port), "/init", b'{"value":{"main":"pipeline"}}')
        self.init_ms = (time.perf_counter() - begun) * 1e3

    def ask(self, connection, path, body):
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 and b'"error"' not in text[:9], text[:200]
        return text

    def resident_mb(self):
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def single(self, bodies, n):
        connection, times = http.client.HTTPConnection("127.0.0.1", self.port), []
        for at in range(n):
            begun = time.perf_counter()
            self.ask(connection, "/run", bodies[at % len(bodies)])
            times.append((time.perf_counter() - begun) * 1e3)
        times.sort()
        return statistics.median(times), times[int(len(times) * 0.99)]

    def throughput(self, bodies, seconds):
        done, until = [0, 0], time.perf_counter() + seconds

        def worker(which):
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            while time.perf_counter() < until:
                self.ask(connection, "/run", bodies[done[which] % len(bodies)])
                done[which] += 1

        workers = [threading.Thread(target=worker, args=(which,)) for which in range(2)]
        [w.start() for w in workers], [w.join() for w in workers]
        return sum(done) / seconds

    def end(self):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fraudml")
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    import pandas, pickle
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    fraudml, work = pathlib.Path(args.fraudml).resolve(), pathlib.Path(tempfile.mkdtemp())
    data = pandas.read_csv(args.data, nrows=args.rows)
    data.to_csv(work / "data.csv", index=False)
    columns = [c for c in data.columns if c not in ("Class", "Time")]
    scaler = StandardScaler().fit(data[columns])
    forest = RandomForestClassifier(100, n_jobs=-1, random_state=0).fit(scaler.transform(data[columns]), data["Class"])
    forest.n_jobs = 1
    pickle.dump({"columns": columns, "median": data[columns].median(), "scaler": scaler, "forest": forest}, open(work / "model.pkl", "wb"))
    (work / "server.py").write_text(SERVER)
    (work / "config.yaml").write_text(
        "name: peer\ndata:\n  tables: [{ path: data.csv }]\n  target: Class\n  columns: { Time: drop }\n"
        "split: { protocols: [random] }\nselect: { by: average-precision, protocol: random }\nimbalance: [raw]\nmodels:\n  random-forest: { trees: 100 }\n")
    subprocess.run([fraudml, "train", "--config", "config.yaml", "--no-progress", "--quiet"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    bundle = next((work / "artifacts").glob("*/manifest.json")).parent
    subprocess.run([fraudml, "package", "--bundle", bundle, "--quiet"], cwd=work, check=True)

    records = data[columns].sample(200, random_state=1).to_dict("records")
    bodies = [json.dumps({"value": record}).encode() for record in records]
    packages = subprocess.run([sys.executable, "-c", "import sklearn, os; print(os.path.dirname(os.path.dirname(sklearn.__file__)))"], capture_output=True, text=True).stdout.strip()
    size = lambda folder: sum(f.stat().st_size for f in pathlib.Path(folder).rglob("*") if f.is_file() and not f.is_symlink()) / 1e6
    wanted = ["sklearn", "scipy", "scipy.libs", "numpy", "numpy.libs", "pandas", "flask", "werkzeug", "jinja2", "joblib", "scikit_learn.libs"]
    sizes = {
        "python": (work / "model.pkl").stat().st_size / 1e6 + sum(size(pathlib.Path(packages) / name) for name in wanted),
        "fraudml": (bundle / "openwhisk/image.tar").stat().st_size / 1e6,
    }
    action = fraudml.parent / "fraudml-action"
    rounds = {"python": [], "fraudml": []}
    for _ in range(3):
        for name in rounds:
            port = free_port()
            command = [sys.executable, work / "server.py", str(port), work / "model.pkl"] if name == "python" else [action, "--host=127.0.0.1", f"--port={port}", "--bundle", bundle]
            server = Server(command, port)
            p50, p99 = server.single(bodies, 300)
            rounds[name].append((server.start_ms, server.init_ms, p50, p99, server.throughput(bodies, args.seconds), server.resident_mb()))
            server.end()
    print(f"{'':<8}{'start ms':>10}{'/init ms':>10}{'p50 ms':>10}{'p99 ms':>10}{'req/s':>10}{'RSS MB':>10}{'size MB':>10}")
    medians = {name: [statistics.median(column) for column in zip(*found)] for name, found in rounds.items()}
    for name, found in medians.items():
        print(f"{name:<8}" + "".join(f"{value:>10.2f}" for value in found) + f"{sizes[name]:>10.1f}")
    assert medians["fraudml"][2] < medians["python"][2], "slower than the paper's way"


main()
