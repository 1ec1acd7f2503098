#!/usr/bin/env bash
# An image as OpenWhisk's invoker would run it: tests/image.sh image.tar BUNDLE [fraudml]
#
# Loads the archive, starts containers with the invoker's own flags on a read-only file system, and compares what they
# answer to the golden records with `golden.json`, and with `fraudml predict` if given, to the last character of a score.
# Needs root; installs docker.io and starts dockerd where there is none, and ends only what it started.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 image.tar BUNDLE [fraudml]" >&2; exit 2; }
image_tar=$1 bundle=$2 fraudml=${3:-}

. "$(dirname "$0")/dockerd.sh"
work=$(mktemp -d) containers=()
cleanup() {
  [ ${#containers[@]} -eq 0 ] || docker rm -f "${containers[@]}" >/dev/null 2>&1 || true
  end_docker
  rm -rf "$work"
}
trap cleanup EXIT
need_docker "$work"

docker load -i "$image_tar"
reference=$(tar -xOf "$image_tar" manifest.json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["RepoTags"][0])')

# start NAME IMAGE: the invoker's flags (DockerContainer.scala), and a file system nobody can write.
start() {
  containers+=("$1")
  docker run -d --name "$1" --cpu-shares 256 --memory 128m --memory-swap 128m --network bridge \
    -e __OW_API_HOST=http://localhost --cap-drop NET_RAW --cap-drop NET_ADMIN --ulimit nofile=1024:1024 \
    --pids-limit 1024 --log-driver json-file --read-only "$2" >/dev/null
}
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }

prefix=fraudml-test-$$
begun=$(date +%s%N)
start "$prefix-pipeline" "$reference"
pipeline=$(address "$prefix-pipeline")
python3 - "$pipeline" "$begun" "$bundle/golden.json" <<'PY'
import json, sys, time, urllib.request
host, begun, golden = sys.argv[1], int(sys.argv[2]), json.load(open(sys.argv[3]))
body = json.dumps({"value": golden["records"][0]["record"]}).encode()
for _ in range(1000):
    try:
        urllib.request.urlopen(f"http://{host}:8080/run", body, 30).read()
        break
    except OSError:
        time.sleep(0.01)
print(f"docker run to first score: {(time.time_ns() - begun) / 1e6:.0f} ms")
PY
for stage in transform encode predict; do start "$prefix-$stage" "$reference-$stage"; done
start "$prefix-main" "$reference"

if [ -n "$fraudml" ]; then
  python3 -c 'import json, sys
for golden in json.load(open(sys.argv[1]))["records"]: print(json.dumps(golden["record"]))' "$bundle/golden.json" >"$work/records.jsonl"
  "$fraudml" predict --bundle "$bundle" "$work/records.jsonl" --output "$work/predicted.csv" >/dev/null
fi

status=0
PIPELINE=$prefix-pipeline python3 - "$bundle" "$work/predicted.csv" "$pipeline" "$(address "$prefix-transform")" "$(address "$prefix-encode")" \
  "$(address "$prefix-predict")" "$(address "$prefix-main")" <<'PY' || status=1
import collections, csv, json, os, subprocess, sys, time, urllib.error, urllib.request

bundle, predicted, *hosts = sys.argv[1:]
pipeline, transform, encode, predict, by_main = hosts
passed = failed = 0
n_runs = collections.Counter()


class Text(float):
    """A number that remembers how it was written: scores are compared as text."""
    def __new__(cls, text):
        number = super().__new__(cls, text)
        number.text = text
        return number


def read(text):
    return json.loads(text, parse_float=Text)


def written(answer, number=lambda number: number.text):
    """Text of a JSON value with every float as it was written; the bundle's id is not part of golden answers."""
    if isinstance(answer, Text):
        return number(answer)
    if isinstance(answer, dict):
        items = sorted(item for item in answer.items() if item[0] != "bundle")
        return "{" + ",".join(f"{json.dumps(k)}:{written(v, number)}" for k, v in items) + "}"
    if isinstance(answer, list):
        return "[" + ",".join(written(item, number) for item in answer) + "]"
    return json.dumps(answer)


def bits(answer):
    """As `written`, with every float by its bits: golden.json writes 4.2e-6 where an answer says 0.0000042."""
    return written(answer, float.hex)


def check(what, found, expected):
    global passed, failed
    if found == expected:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}\n  expected {str(expected)[:500]}\n  found    {str(found)[:500]}")


def post(host, path, body):
    """Status, headers and text; retried while the container is not listening yet, as the invoker does for /init."""
    request = urllib.request.Request(f"http://{host}:8080{path}", body.encode(), {"Content-Type": "application/json"})
    for _ in range(500):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read().decode()
        except (ConnectionRefusedError, urllib.error.URLError):
            time.sleep(0.01)
    raise SystemExit(f"{host} never listened")


def run(host, value):
    body = '{"value":%s,"namespace":"guest","action_name":"/guest/x","activation_id":"a","deadline":"1700000060000"}' % value
    n_runs[host] += 1
    status, headers, text = post(host, "/run", body)
    check("status of /run", status, 200)
    check("Content-Length", headers["Content-Length"], str(len(text.encode())))
    return text


init = '{"value":{"name":"x","main":"%s","binary":false,"env":{"__OW_NAMESPACE":"guest","__OW_ACTION_NAME":"/guest/x"}}}'
for host, main in zip(hosts, ["main", "main", "main", "", "predict"]):
    begun = time.time()
    check("/init", post(host, "/init", init % main)[0], 200)
    print(f"/init {1000 * (time.time() - begun):.0f} ms")
check("second /init", post(pipeline, "/init", init % "main")[0], 403)

golden = read(open(os.path.join(bundle, "golden.json")).read())["records"]
texts = [record["score"] for record in csv.DictReader(open(predicted))] if os.path.exists(predicted) else None
frauds = [record["is_fraud"] for record in csv.DictReader(open(predicted))] if texts else None
for at, record in enumerate(golden):
    raw = written(record["record"])
    fused = run(pipeline, raw)
    transformed = run(transform, raw)
    encoded = run(encode, transformed)
    chained = run(predict, encoded)
    check(f"record {at}: chain = pipeline", chained, fused)
    check(f"record {at}: stage by main", run(by_main, encoded), fused)
    for stage, text in [("transform", transformed), ("encode", encoded), ("predict", fused)]:
        check(f"record {at}: {stage} = golden", bits(read(text)), bits(record[stage]))
    if texts is not None:
        answer = read(fused)
        check(f"record {at}: score = predict", written(answer["score"]), texts[at])
        check(f"record {at}: is_fraud = predict", str(int(answer["is_fraud"])), frauds[at])
bad = read(run(pipeline, '{"records":[%s,7]}' % written(golden[0]["record"])))
check("bad record in a batch", [sorted(item)[0] for item in bad["results"]], ["bundle", "error"])
name = os.environ["PIPELINE"]
docker = lambda *words: subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
docker("pause", name)
docker("unpause", name)
run(pipeline, "{}")
logs = docker("logs", name)
sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
for stream in (logs.stdout, logs.stderr):
    check("whole-line sentinels", stream.splitlines().count(sentinel), n_runs[pipeline] + 1)
begun = time.time()
docker("stop", name)
check("docker stop ends it at once", time.time() - begun < 5, True)
print(f"{len(golden)} golden records" + (", compared with predict" if texts is not None else ""))
print(f"{passed} passed, {failed} failed")
raise SystemExit(failed > 0)
PY
exit $status
