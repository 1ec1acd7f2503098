"""fraudml's forests against those a user could pick instead: the same data, in alternation, one table.

    benches/peers/forest.sh WORK_FOLDER [creditcard.csv.zst] [options]     builds what is needed and runs
    python benches/peers/forest.py --fraudml PROGRAM --bench PROGRAM --data FOLDER [options]

Without a mode: every library fits every data set in turn (A B C A B C ..), each fit in a process of its own
(`forest_peer.py`, `benches/forest.rs`), on one 80 to 20 split per round, with one seed per round. Figures are medians over
the rounds; AUC and AP are means over them, computed here by scikit-learn's metrics for all.

`--quality`: ten paired splits, fraudml and scikit-learn alone: mean difference of AUC and AP with its standard error.
`--rows`: cost in rows, 50,000 to 1,600,000 x 30.
`--small`: everything once, on small data with few trees, no verdicts; exit code 3 if a quality is not sane.

A fit starts its clock with the matrix in memory and stops it when the model can score: binning counts, reading does not.
Memory is the highest resident memory during the fit less that just before it, in units of the f32 matrix that is fitted.
A library that cannot do a data set, or not within `--limit` seconds, has its reason in the table.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import forest_data as data

HERE = Path(__file__).parent
KINDS = ("random-forest", "extra-trees")
# scikit-learn goes first in each round: LightGBM is told how many leaves its trees had.
LIBRARIES = ("scikit-learn", "fraudml", "intelex", "lightgbm", "xgboost", "smartcore", "linfa")
IN_RUST = ("fraudml", "smartcore", "linfa")
FASTEST = {"random-forest": ("intelex", "lightgbm", "xgboost"), "extra-trees": ("intelex",)}
NO_MISSING = ("intelex", "smartcore", "linfa")
# Times as fast as scikit-learn at least: random forest, extra trees.
BARS = {"continuous": (60, 10), "missing": (60, 10), "creditcard": (30, 10), "synth": (12, 6)}
SETS = ("continuous", "missing", "creditcard", "synth", "synth-large")


def main():
    options = arguments()
    bench = Bench(options)
    if options.quality:
        return quality(bench)
    if options.rows:
        return cost_in_rows(bench)
    return speed(bench)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fraudml", required=True, type=Path, help="the tool, for `synth`")
    parser.add_argument("--bench", required=True, type=Path, help="the program made of benches/forest.rs")
    parser.add_argument("--data", required=True, type=Path, help="where data sets are kept from run to run")
    parser.add_argument("--creditcard", type=Path, help="creditcard.csv.zst; without it that set is left out")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quality", action="store_true")
    mode.add_argument("--rows", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--rounds", type=int, help="default: 5; 10 splits for --quality, 3 for --rows")
    parser.add_argument("--trees", type=int, help="default: 100; 10 for synth-large, --rows and --small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900, help="seconds a process may take; default: 900")
    parser.add_argument("--results", type=Path, help="gets a line of JSON per fit; what it has is not run again")
    parser.add_argument("--cells", type=float, default=10e6, help="with --quality: most cells of a fitted matrix")
    options = parser.parse_args()
    for name in ("fraudml", "bench", "data", "creditcard", "results"):
        if getattr(options, name):
            setattr(options, name, getattr(options, name).resolve())
    for name, known in (("sets", SETS), ("kinds", KINDS), ("libraries", LIBRARIES)):
        wanted = getattr(options, name).split(",")
        if unknown := set(wanted) - set(known):
            parser.error(f"--{name}: expected some of {', '.join(known)}, found {', '.join(sorted(unknown))}")
        setattr(options, name, [item for item in known if item in wanted])
    return options


class Bench:
    """Data sets on demand, and measurements of them."""

    def __init__(self, options):
        self.options = options
        self.data = options.data / ("small" if options.small else "full")
        self.data.mkdir(parents=True, exist_ok=True)
        self.known = {}
        if options.results and options.results.exists():
            for line in options.results.read_text().splitlines():
                line = json.loads(line)
                self.known[tuple(line["key"])] = line
            print(f"{len(self.known)} fits are taken from {options.results.name}, not run in turn with the others")

    def folder(self, name):
        """The folder of a data set; none if it cannot be had."""
        options, small = self.options, self.options.small
        if name == "creditcard":
            if not options.creditcard:
                print("NOT RUN: creditcard (no file given)")
                return None
            return data.ensure(self.data / name, lambda folder: data.creditcard(folder, options.creditcard))
        if name.startswith("synth"):
            rows = {"synth": 3000 if small else 100_000, "synth-large": 4000 if small else 590_540}[name]
            return data.ensure(self.data / name, lambda folder: data.synth(folder, rows, options.fraudml, options.bench))
        # A quarter more than the fits take: the rest of the split is scored.
        shape = {
            "continuous": (2500, 20, 0.5, 0) if small else (62_500, 200, 0.5, 0),
            "missing": (3750, 30, 0.1, 0.1) if small else (125_000, 434, 0.035, 0.1),
            "rows": (8000, 30, 0.5, 0) if small else (1_600_000, 30, 0.5, 0),
        }[name]
        return data.ensure(self.data / name, lambda folder: data.planted(folder, *shape))

    def trees(self, name):
        return self.options.trees or (10 if self.options.small or name in ("synth-large", "rows") else 100)

    def batch_rows(self):
        return 2000 if self.options.small else 100_000

    def measure(self, name, kind, library, seed, split, batch_rows, leaves=None):
        """One process: its line, with AUC and AP where rows were scored."""
        trees = self.trees(name)
        key = (name, kind, library, trees, seed, split.name, batch_rows)
        if key not in self.known:
            with tempfile.TemporaryDirectory() as temporary:
                scores = Path(temporary) / "scores.f32"
                task = {"library": library, "kind": kind, "data": str(split.parent), "split": str(split)}
                task |= {"trees": trees, "seed": seed, "threads": self.options.threads, "batch_rows": batch_rows}
                line = self.process(task | {"scores": str(scores), "leaves": leaves or 4096})
                if scores.exists():
                    truth = data.labels(split.parent)[np.fromfile(split, "u1") == 1]
                    found = np.fromfile(scores, "<f4")
                    line["auc"] = roc_auc_score(truth, found)
                    line["ap"] = average_precision_score(truth, found)
            line["key"] = key
            self.known[key] = line
            if self.options.results:
                with open(self.options.results, "a") as file:
                    file.write(json.dumps(line) + "\n")
            told = line.get("cannot") or f"{line['fit_s']:.3f} s"
            print(f"  {name} {kind} {library} seed {seed}: {told}", file=sys.stderr, flush=True)
        return self.known[key]

    def process(self, task):
        if task["library"] in IN_RUST:
            if task["library"] == "linfa" and task["kind"] == "extra-trees":
                return {"cannot": "has no extra trees"}
            names = ("library", "kind", "data", "split", "trees", "seed", "threads", "scores")
            command = [self.options.bench, "fit", "--batch-rows", task["batch_rows"]]
            command += [word for name in names for word in (f"--{name}", task[name])]
        else:
            command = [sys.executable, HERE / "forest_peer.py", json.dumps(task)]
        environment = os.environ | {"OMP_NUM_THREADS": str(task["threads"])}
        command = [str(word) for word in command]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=self.options.limit, env=environment)
        except subprocess.TimeoutExpired:
            return {"cannot": f"over {self.options.limit:.0f} s"}
        if ran.returncode == 0:
            return json.loads(ran.stdout.splitlines()[-1])
        if task["library"] in ("fraudml", "scikit-learn"):
            raise SystemExit(f"{task['library']} failed:\n{ran.stderr}")
        last = (ran.stderr.strip().splitlines() or ["without a word"])[-1]
        return {"cannot": f"failed with {ran.returncode}: {last[:80]}"}


def speed(bench):
    options = bench.options
    table = {}
    for name in options.sets:
        folder = bench.folder(name)
        if not folder:
            continue
        rounds = 1 if options.small or name == "synth-large" else options.rounds or 5
        lines = {(kind, library): [] for kind in options.kinds for library in options.libraries}
        for seed in range(1, rounds + 1):
            split = data.split(folder, seed)
            for kind in options.kinds:
                leaves = None
                for library in options.libraries:
                    lines[kind, library].append(one(bench, name, kind, library, seed, split, leaves, lines))
                    if library == "scikit-learn":
                        leaves = lines[kind, library][-1].get("leaves")
        for (kind, library), found in lines.items():
            table[name, kind, library] = summary(found)
        for kind in options.kinds:
            print_table(name, kind, bench, table)
    verdicts = bars(options, table)
    if options.small:
        return sane(table)
    print()
    for what, found, bar, met in verdicts:
        print(f"{'met   ' if met else 'MISSED'}  {what}: {found} (bar: {bar})")
    return 0


def one(bench, name, kind, library, seed, split, leaves, lines):
    if name == "missing" and library in NO_MISSING:
        return {"cannot": "takes no missing values"}
    # What could not be done in the first round is not tried again.
    if lines[kind, library] and "cannot" in lines[kind, library][0]:
        return lines[kind, library][0]
    return bench.measure(name, kind, library, seed, split, bench.batch_rows(), leaves)


def summary(lines):
    """Medians over the rounds, means of AUC and AP."""
    lines = [line for line in lines if "cannot" not in line] or lines[:1]
    if "cannot" in lines[0]:
        return lines[0]
    found = {"rounds": len(lines), "rows": lines[0]["rows"], "features": lines[0]["features"]}
    for name in ("fit_s", "binned_s", "extra_bytes", "model_bytes", "one_row_us", "batch_s", "leaves"):
        numbers = [line[name] for line in lines if line.get(name) is not None]
        found[name] = statistics.median(numbers) if numbers else None
    for name in ("auc", "ap"):
        found[name] = statistics.mean(line[name] for line in lines)
    matrix = 4 * found["rows"] * found["features"]
    found["extra"] = None if found["extra_bytes"] is None else found["extra_bytes"] / matrix
    return found


COLUMNS = (
    ("fit s", "fit_s", 1),
    ("extra memory", "extra", 1),
    ("model MB", "model_bytes", 1e-6),
    ("1 row us", "one_row_us", 1),
    ("batch s", "batch_s", 1),
    ("AUC", "auc", 1),
    ("AP", "ap", 1),
)


def print_table(name, kind, bench, table):
    some = next((row for (at, of, _), row in table.items() if (at, of) == (name, kind) and "cannot" not in row), None)
    if some is None:
        return
    trees, batch = bench.trees(name), bench.batch_rows()
    shape = f"{some['rows']:,} x {some['features']}"
    print(f"\n{name}, {kind}: {shape}, {trees} trees, {some['rounds']} rounds, batch of {batch:,} rows")
    heads = ["", *(head for head, _, _ in COLUMNS), "x scikit-learn", "x best of " + "/".join(FASTEST[kind])]
    rows = [heads]
    reference = ratio_of(table, name, kind, "scikit-learn")
    best = best_fit(table, name, kind)
    for library in bench.options.libraries:
        row = table[name, kind, library]
        if "cannot" in row:
            rows.append([library, row["cannot"]])
            continue
        cells = [number(None if row[key] is None else row[key] * unit) for _, key, unit in COLUMNS]
        ratios = [number(other and other / row["fit_s"]) for other in (reference, best)]
        rows.append([library, *cells, *ratios])
    widths = [max(len(row[at]) for row in rows if len(row) == len(heads)) for at in range(len(heads))]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        print(" ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]))


def ratio_of(table, name, kind, library):
    return table.get((name, kind, library), {}).get("fit_s")


def best_fit(table, name, kind):
    found = [ratio_of(table, name, kind, library) for library in FASTEST[kind]]
    return min((seconds for seconds in found if seconds), default=None)


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def geometric_mean(numbers):
    return math.exp(statistics.mean(math.log(number) for number in numbers))


def bars(options, table):
    """What the issue asks for: (what, found, bar, whether it is met)."""
    verdicts = []
    for kind in options.kinds:
        ours = {
            name: row
            for (name, of, library), row in table.items()
            if (of, library) == (kind, "fraudml") and "cannot" not in row
        }
        theirs = {name: table.get((name, kind, "scikit-learn")) for name in ours}
        pairs = {name: (ours[name], theirs[name]) for name in ours if theirs[name] and "cannot" not in theirs[name]}
        gains = {name: other["fit_s"] / own["fit_s"] for name, (own, other) in pairs.items()}
        for name, gain in gains.items():
            if name in BARS:
                bar = BARS[name][KINDS.index(kind)]
                verdicts.append((f"{kind} fit against scikit-learn, {name}", f"{gain:.1f} x", f"{bar} x", gain >= bar))
        if gains:
            mean = geometric_mean(gains.values())
            verdicts.append((f"{kind} fit against scikit-learn, geometric mean", f"{mean:.1f} x", "none", True))
        best = {name: best_fit(table, name, kind) for name in ours}
        best = [seconds / ours[name]["fit_s"] for name, seconds in best.items() if seconds]
        if best:
            mean = geometric_mean(best)
            what = f"{kind} fit against the best of {', '.join(FASTEST[kind])}, geometric mean of {len(best)} sets"
            verdicts.append((what, f"{mean:.2f} x", "4 x", mean >= 4))
        if pairs:
            verdicts += scoring_bars(kind, pairs)
    return verdicts


def scoring_bars(kind, pairs):
    """Worst over the sets."""

    def worst(what, bar, value, is_met, form, pick=min):
        name, found = pick(((name, value(own, other)) for name, (own, other) in pairs.items()), key=lambda pair: pair[1])
        return f"{kind} {what}, worst: {name}", form.format(found), bar, is_met(found)

    def times(name):
        return lambda own, other: other[name] / own[name]

    against = "against scikit-learn"
    rows = [
        worst(f"one row {against}", "300 x", times("one_row_us"), lambda x: x >= 300, "{:.0f} x"),
        worst("one row", "100 us", lambda own, _: own["one_row_us"], lambda x: x < 100, "{:.1f} us", max),
        worst(f"100,000 rows {against}", "4 x", times("batch_s"), lambda x: x >= 4, "{:.1f} x"),
        worst("model bytes against pickle", "10 x", times("model_bytes"), lambda x: x >= 10, "{:.1f} x"),
    ]
    if all(own["extra"] is not None for own, _ in pairs.values()):
        memory = "memory over the input matrix"
        rows.append(worst(memory, "1.0 x", lambda own, _: own["extra"], lambda x: x < 1, "{:.2f} x", max))
    return rows


def sane(table):
    """The small run: every library that answered ranks, and fraudml ranks as scikit-learn does."""
    passed, failed = 0, []
    for (name, kind, library), row in table.items():
        if "cannot" in row:
            continue
        reference = table.get((name, kind, "scikit-learn"), row)["auc"]
        # linfa draws columns per tree and ranks by votes; a few hundred test rows say little about rare positives.
        slack = 0.25 if library == "linfa" else 0.1
        if row["auc"] > reference - slack and row["auc"] > 0.55 and row["fit_s"] > 0:
            passed += 1
        else:
            failed.append(f"{name} {kind} {library}: AUC {row['auc']:.3f}, scikit-learn's {reference:.3f}")
    for library in {library: None for _, _, library in table}:
        if not any(of == library and "cannot" not in row for (_, _, of), row in table.items()):
            failed.append(f"{library} did nothing at all")
    print(*[f"\nfailed - {line}" for line in failed], sep="")
    print(f"{passed} passed, {len(failed)} failed")
    return 3 if failed else 0


def quality(bench):
    options = bench.options
    n_splits = options.rounds or (2 if options.small else 10)
    print(f"{n_splits} paired splits; difference: fraudml - scikit-learn, mean and its standard error")
    for name in (name for name in options.sets if name != "synth-large"):
        folder = bench.folder(name)
        if not folder:
            continue
        n_rows, n_features = data.shape(folder)
        at_most = int(options.cells / n_features)
        subsampled = at_most < n_rows * (1 - data.TEST_SHARE)
        for kind in options.kinds:
            found = {library: [] for library in ("fraudml", "scikit-learn")}
            for seed in range(1, n_splits + 1):
                split = data.split(folder, seed, at_most if subsampled else None)
                for library, lines in found.items():
                    lines.append(bench.measure(name, kind, library, seed, split, 0))
            rows = found["fraudml"][0]["rows"]
            of = f"{rows:,} x {n_features}" + (f" (a sample of {n_rows:,} rows)" if subsampled else "")
            print(f"\n{name}, {kind}: {of}, {bench.trees(name)} trees")
            for metric in ("auc", "ap"):
                ours, theirs = (np.array([line[metric] for line in lines]) for lines in found.values())
                difference = ours - theirs
                error = difference.std(ddof=1) / math.sqrt(n_splits)
                met = difference.mean() >= -2 * error
                print(
                    f"{'met   ' if met else 'MISSED'}  {metric}: {ours.mean():.4f} and {theirs.mean():.4f}, "
                    f"difference {difference.mean():+.5f}, standard error {error:.5f} (bar: not below minus two)"
                )
    return 0


def cost_in_rows(bench):
    options = bench.options
    folder = bench.folder("rows")
    n_all, n_features = data.shape(folder)
    sizes = [n_all >> shift for shift in range(5, -1, -1)]
    bar = "seconds / (n log2 n) at the most rows not above that at the fewest"
    print(f"{n_features} columns, {bench.trees('rows')} trees; bar: {bar}")
    splits = {size: data.first_rows(folder, size) for size in sizes}
    rounds = range(1, (options.rounds or 3) + 1)
    lines = {
        (kind, size, seed): bench.measure("rows", kind, "fraudml", seed, splits[size], 0)
        for seed in rounds
        for kind in options.kinds
        for size in sizes
    }
    for kind in options.kinds:
        print(f"\n{kind}\n{'rows':>10} {'fit s':>8} {'of it bins':>10} {'ns / (n log2 n)':>16}")
        per = {}
        for size in sizes:
            found = [lines[kind, size, seed] for seed in rounds]
            fit, bins = (statistics.median(line[name] for line in found) for name in ("fit_s", "binned_s"))
            per[size] = 1e9 * fit / (size * math.log2(size))
            print(f"{size:>10,} {fit:>8.3f} {bins:>10.3f} {per[size]:>16.3f}")
        growth = per[sizes[-1]] / per[sizes[0]]
        if not options.small:
            print(f"{'met   ' if growth <= 1 else 'MISSED'}  grows {growth:.2f} times as fast as n log n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
