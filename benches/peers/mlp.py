"""fraudml's network against PyTorch's and, for one row, ONNX Runtime's: the same data, in alternation, one table.

    benches/peers/mlp.sh WORK_FOLDER [creditcard.csv.zst or -] [options]     builds what is needed and runs
    python benches/peers/mlp.py --fraudml PROGRAM --bench PROGRAM --data FOLDER [options]

Without a mode: 434-500-256-256-1 on 50,000 made rows, batches of 512 and 2048, each fit in a process of its own
(`benches/mlp.rs`, `mlp_peer.py`), libraries in turn (A B C A B C ..). A fit's rows per second are those of its best epoch;
the table has the median over the rounds. PyTorch runs with its default threads and its two Adams, `fused` being the faster;
`flex` is burn on the processor. The peak is the larger of two large products, fraudml's and PyTorch's.

`--one-row`: one row scored, on made rows (no two values alike) and on synth data (most cells are their column's most
frequent value); ONNX Runtime on one and on two threads. Batches of rows beside it.
`--quality`: mean AUC and average precision over paired splits and seeds on creditcard.csv and synth data; a difference
counts beyond PyTorch's own noise, the standard deviation over its seeds on one split.
`--small`: everything once on little data, no verdicts; exit code 3 if a quality is not sane.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import forest_data as data

HERE = Path(__file__).parent
HIDDEN = (500, 256, 256)
LIBRARIES = ("fraudml", "torch", "torch-plain", "flex")
BARS = {512: 1.3, 2048: 1.2}


def main():
    options = arguments()
    bench = Bench(options)
    if options.one_row:
        return one_row(bench)
    return quality(bench) if options.quality else speed(bench)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraudml", required=True, type=Path, help="the tool, for `synth`")
    parser.add_argument("--bench", required=True, type=Path, help="the program made of benches/mlp.rs")
    parser.add_argument("--prepare", required=True, type=Path, help="the program made of benches/forest.rs")
    parser.add_argument("--data", required=True, type=Path, help="where data sets are kept from run to run")
    parser.add_argument("--creditcard", type=Path, help="creditcard.csv.zst; without it that set is left out")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--one-row", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--sets", default="creditcard,synth", help="of --quality")
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--batches", default="512,2048")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: 3; with --quality 10")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for name in ("fraudml", "bench", "prepare", "data", "creditcard"):
        if getattr(options, name):
            setattr(options, name, getattr(options, name).resolve())
    options.libraries = options.libraries.split(",")
    options.batches = [int(batch) for batch in options.batches.split(",")]
    if options.small:
        options.rounds, options.epochs = 1, options.epochs or 15
    return options


class Bench:
    def __init__(self, options):
        self.options = options
        self.data = options.data / ("small" if options.small else "full")
        self.data.mkdir(parents=True, exist_ok=True)

    def folder(self, name):
        options, small = self.options, self.options.small
        if name == "creditcard":
            if not options.creditcard:
                print("NOT RUN: creditcard (no file given)")
                return None
            return data.ensure(self.data / "creditcard-scaled", lambda folder: scaled_creditcard(folder, options.creditcard))
        if name == "synth":
            rows = 3000 if small else 100_000
            return data.ensure(self.data / "synth-scaled", lambda folder: scaled_synth(folder, rows, options))
        shape = (3000, 434) if small else (62_500, 434)
        return data.ensure(self.data / "made", lambda folder: made(folder, *shape))

    def measure(self, library, folder, split, batch, epochs, seed):
        """A line, with AUC and AP of the rows that are scored."""
        with tempfile.TemporaryDirectory() as temporary:
            scores = Path(temporary) / "scores.f32"
            task = {"data": str(folder), "split": str(split), "batch": batch, "epochs": epochs, "seed": seed}
            if library in ("fraudml", "flex"):
                task |= {"device": "cpu" if library == "fraudml" else "flex", "threads": self.options.threads}
                task |= {"hidden": ",".join(map(str, HIDDEN)), "scores": str(scores)}
                line = data.measured(self.options.bench, "fit", *(word for pair in task.items() for word in (f"--{pair[0]}", pair[1])))
            else:
                task |= {"verb": "fit", "hidden": HIDDEN, "dropout": 0.2, "scores": str(scores)}
                line = data.measured(sys.executable, HERE / "mlp_peer.py", json.dumps(task | {"adam": ADAMS[library]}))
            truth = data.labels(folder)[np.fromfile(split, "u1") == 1]
            found = np.fromfile(scores, "<f4")
            line["auc"], line["ap"] = roc_auc_score(truth, found), average_precision_score(truth, found)
        line["rows_per_s"] = max(line["rows"] / seconds for seconds in line["epoch_s"])
        print(f"  {folder.name} {library} batch {batch} seed {seed}: {line['rows_per_s']:,.0f} rows/s", file=sys.stderr)
        return line

    def peak(self):
        own = data.measured(self.options.bench, "peak", "--threads", self.options.threads)["gflops"]
        if not any(library in ADAMS for library in self.options.libraries):
            return own
        return max(own, data.measured(sys.executable, HERE / "mlp_peer.py", json.dumps({"verb": "peak"}))["gflops"])


ADAMS = {"torch": "fused", "torch-plain": "plain"}



def made(folder, rows, features):
    rng = np.random.default_rng(1)
    values = rng.standard_normal((rows, features)).astype("<f4")
    logits = values[:, :4].sum(1) + values[:, 0] * values[:, 1] + rng.standard_normal(rows)
    data.write(folder, values, logits > np.quantile(logits, 0.9))


def scaled_creditcard(folder, packed):
    raw = folder.with_name("creditcard-raw")
    data.creditcard(raw, packed)
    values, labels = data.read_rows(raw, np.ones(data.shape(raw)[0], bool))
    values = (values - values.mean(0)) / values.std(0)
    data.write(folder, values.astype("<f4"), labels)
    for file in raw.iterdir():
        file.unlink()
    raw.rmdir()


def scaled_synth(folder, rows, options):
    """As the forests' bench has it, and standardised."""
    raw = folder.with_name("synth-unscaled")
    data.synth(raw, rows, options.fraudml, options.prepare)
    values, labels = data.read_rows(raw, np.ones(rows, bool))
    spread = values.std(0)
    values = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
    data.write(folder, values.astype("<f4"), labels)
    for file in raw.iterdir():
        file.unlink()
    raw.rmdir()


def flops(features):
    """Of a row that is trained on: forward, by weights, and by inputs of all layers but the first; two per product."""
    pairs = list(zip((features, *HIDDEN), (*HIDDEN, 1)))
    products = [a * b for a, b in pairs]
    return 2 * (2 * sum(products) + sum(products[1:]))


def speed(bench):
    options = bench.options
    folder = bench.folder("made")
    features = data.shape(folder)[1]
    split = data.split(folder, 1)
    epochs = options.epochs or 3
    table, peaks = {}, []
    for seed in range(1, options.rounds + 1):
        peaks.append(bench.peak())
        for batch in options.batches:
            for library in options.libraries:
                line = bench.measure(library, folder, split, batch, epochs, seed)
                table.setdefault((library, batch), []).append(line)
    peak = statistics.median(peaks)
    print(f"\n{features}-{'-'.join(map(str, HIDDEN))}-1, {table[options.libraries[0], options.batches[0]][0]['rows']:,} rows,")
    print(f"{options.rounds} rounds, {options.threads} threads; large product: {peak:.0f} GFLOP/s")
    heads = ("batch", "library", "rows/s", "x torch", "GFLOP/s", "% of peak", "extra MB", "1 row us", "ONNX us", "on two", "AUC")
    print(" ".join(f"{head:>11}" for head in heads))
    rows = {}
    for batch in options.batches:
        for library in options.libraries:
            row = summary(table[library, batch])
            rows[library, batch] = row
            other = rows.get(("torch", batch)) or (summary(table["torch", batch]) if ("torch", batch) in table else None)
            ratio = row["rows_per_s"] / other["rows_per_s"] if other else math.nan
            rate = row["rows_per_s"] * flops(features) / 1e9
            cells = (batch, library, f"{row['rows_per_s']:,.0f}", f"{ratio:.2f}", f"{rate:.0f}", f"{100 * rate / peak:.0f}")
            cells += (f"{row['extra_bytes'] / 1e6:.0f}", f"{row['one_row_us']:.1f}", f"{row['one_row_onnx_us']:.1f}")
            cells += (f"{row['one_row_onnx2_us']:.1f}",)
            print(" ".join(f"{cell:>11}" for cell in (*cells, f"{row['auc']:.3f}")))
    if options.small:
        return sane(rows)
    print()
    for what, found, bar, met in bars(rows, peak, features):
        print(f"{'met   ' if met else 'MISSED'}  {what}: {found} (bar: {bar})")
    return 0


def summary(lines):
    names = ("rows_per_s", "extra_bytes", "one_row_us", "one_row_onnx_us", "one_row_onnx2_us", "batch_rows_per_s", "auc", "ap")
    return {name: statistics.median(line.get(name, math.nan) for line in lines) for name in names}


def bars(rows, peak, features):
    found = []
    for batch, bar in BARS.items():
        if ("fraudml", batch) in rows and ("torch", batch) in rows:
            ratio = rows["fraudml", batch]["rows_per_s"] / rows["torch", batch]["rows_per_s"]
            found.append((f"rows per second against PyTorch, batch {batch}", f"{ratio:.2f} x", f"{bar} x", ratio >= bar))
    own = rows["fraudml", max(batch for library, batch in rows if library == "fraudml")]
    share = own["rows_per_s"] * flops(features) / 1e9 / peak
    found.append(("share of the large product's rate, largest batch", f"{100 * share:.0f} %", "65 %", share >= 0.65))
    found.append(("one row", f"{own['one_row_us']:.1f} us", "under 150 us", own["one_row_us"] < 150))
    peers = [row for (library, _), row in rows.items() if library.startswith("torch")]
    if peers:
        found += one_row_bars(own, peers)
    megabytes = max(row["extra_bytes"] for (library, _), row in rows.items() if library == "fraudml") / 1e6
    found.append(("memory beside the training matrix", f"{megabytes:.0f} MB", "under 500 MB", megabytes < 500))
    return found


def one_row_bars(own, peers):
    names = {"PyTorch": "one_row_us", "ONNX Runtime, 1 thread": "one_row_onnx_us", "ONNX Runtime, 2 threads": "one_row_onnx2_us"}
    for name, key in names.items():
        ratio = min(row[key] for row in peers) / own["one_row_us"]
        yield f"one row against {name}", f"{ratio:.2f} x", "2 x", ratio >= 2


def one_row(bench):
    """Networks that were trained for one epoch: zeros among hidden units are those of a trained network."""
    for name in ("made", "synth"):
        folder = bench.folder(name)
        split = data.split(folder, 1)
        found = {"fraudml": [], "torch": []}
        for seed in range(1, bench.options.rounds + 1):
            for library, lines in found.items():
                lines.append(bench.measure(library, folder, split, 2048, bench.options.epochs or 1, seed))
        own, peer = summary(found["fraudml"]), summary(found["torch"])
        print(f"\n{name}, {data.shape(folder)[1]} features, {bench.options.rounds} rounds: one row {own['one_row_us']:.1f} us; ", end="")
        print(f"PyTorch {peer['one_row_us']:.1f}, ONNX Runtime {peer['one_row_onnx_us']:.1f} and {peer['one_row_onnx2_us']:.1f}; ", end="")
        print(f"in batches {own['batch_rows_per_s']:,.0f} rows/s, PyTorch {peer['batch_rows_per_s']:,.0f}")
        for what, ratio, bar, met in one_row_bars(own, [peer]):
            print(f"{'met   ' if met else 'MISSED'}  {what}: {ratio} (bar: {bar})")
    return 0


def sane(rows):
    failed = [f"{library} batch {batch}: AUC {row['auc']:.3f}" for (library, batch), row in rows.items() if row["auc"] < 0.6]
    print(*[f"failed - {line}" for line in failed], sep="\n")
    print(f"{len(rows) - len(failed)} passed, {len(failed)} failed")
    return 3 if failed else 0


def quality(bench):
    options = bench.options
    epochs, batch = options.epochs or 10, options.batches[-1]
    for name in options.sets.split(","):
        folder = bench.folder(name)
        if not folder:
            continue
        found = {library: [] for library in ("fraudml", "torch")}
        for seed in range(1, options.rounds + 1):
            split = data.split(folder, seed)
            for library, lines in found.items():
                lines.append(bench.measure(library, folder, split, batch, epochs, seed))
        split = data.split(folder, 1)
        again = [bench.measure("torch", folder, split, batch, epochs, 100 + seed) for seed in range(options.rounds)]
        rows, features = data.shape(folder)
        print(f"\n{name}: {rows:,} x {features}, {epochs} epochs, batch {batch}, {options.rounds} splits and seeds")
        for metric in ("auc", "ap"):
            ours, theirs = (np.array([line[metric] for line in lines]) for lines in found.values())
            noise = np.std([line[metric] for line in again], ddof=1)
            difference = (ours - theirs).mean()
            error = (ours - theirs).std(ddof=1) / len(ours) ** 0.5
            print(
                f"{'met   ' if difference >= -noise else 'MISSED'}  {metric}: {ours.mean():.4f} and PyTorch {theirs.mean():.4f}, "
                f"difference {difference:+.4f} (standard error {error:.4f}), PyTorch's noise over seeds {noise:.4f} (bar: not below minus that)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
