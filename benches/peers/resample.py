"""fraudml's SMOTE and Tomek links against imbalanced-learn's: the same data, in alternation, one table.

    benches/peers/resample.sh WORK_FOLDER [options]     builds what is needed and runs
    python benches/peers/resample.py --bench PROGRAM --data FOLDER [options]

Per data set and case: rounds of one run each, seconds are medians, ratios are medians of the paired ratios. Clocks start
with the matrix in memory. `tomek` must take away the very rows that imbalanced-learn takes away. A share of 40 % is a
`sampling_strategy` of 2/3 there.

`--small`: everything once on small data, no verdicts. Exit code 3 if rows differ or a bar is missed.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import forest_data as data

# (rows, features): the first is the shape at which imbalanced-learn was measured at 46.5 s.
SETS = {"67,240 x 15": (67_240, 15), "50,000 x 200": (50_000, 200)}
SMALL = {"5,000 x 15": (5_000, 15), "4,000 x 60": (4_000, 60)}
POSITIVES = 0.035
SHARE = 0.4
BAR = 30
CASES = ("smote-tomek", "tomek", "smote")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, help="the program made of benches/resample.rs")
    parser.add_argument("--data", type=Path, help="where data sets are kept from run to run")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, help="default: 3; 1 for --small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(**json.loads(options.peer))
    failed = []
    print(f"{'':14}{'case':13}{'fraudml s':>10}{'imbalanced-learn s':>20}{'ratio':>8}{'links':>7}{'their links':>13}")
    for name, (rows, features) in (SMALL if options.small else SETS).items():
        folder = options.data / f"{rows}x{features}"
        data.ensure(folder, lambda folder: data.planted(folder, rows, features, POSITIVES, 0))
        for case in options.cases.split(","):
            failed += compare(name, folder, case, options)
    print(*[f"\nfailed - {line}" for line in failed], sep="")
    print(f"{len(options.cases.split(',')) * 2 - len(failed)} passed, {len(failed)} failed")
    return 3 if failed else 0


def compare(name, folder, case, options):
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(1, (options.rounds or (1 if options.small else 3)) + 1):
            files = [str(Path(temporary) / side) for side in ("ours", "theirs")]
            command = [options.bench, "apply", "--data", folder, "--case", case, "--share", SHARE]
            command += ["--threads", options.threads, "--seed", seed, "--removed", files[0]]
            ours.append(data.measured(*command))
            task = {"folder": str(folder), "case": case, "seed": seed, "threads": options.threads, "removed": files[1]}
            theirs.append(data.measured(sys.executable, __file__, "--peer", json.dumps(task)))
            # Synthetic rows are drawn differently on both sides: only links alone can be compared row by row.
            same = case != "tomek" or set(np.fromfile(files[0], "<u4")) == set(np.fromfile(files[1], "<u4"))
    ratio = statistics.median(their["seconds"] / own["seconds"] for own, their in zip(ours, theirs))
    own, their = (statistics.median(line["seconds"] for line in lines) for lines in (ours, theirs))
    links, their_links = ours[-1]["report"]["links"], theirs[-1]["links"]
    print(f"{name:14}{case:13}{own:10.3f}{their:20.3f}{ratio:8.1f}{links:7}{their_links:13}", flush=True)
    failed = [] if same else [f"{name} {case}: other rows are taken away than imbalanced-learn's"]
    if case == "smote-tomek" and not options.small:
        met = ratio >= BAR
        print(f"{'met   ' if met else 'MISSED'}  {name} {case}: {ratio:.1f} x (bar: {BAR} x)")
        failed += [] if met else [f"{name} {case}: {ratio:.1f} x"]
    return failed



def peer(folder, case, seed, threads, removed):
    """One run of imbalanced-learn, a line of JSON."""
    from imblearn.combine import SMOTETomek
    from imblearn.over_sampling import SMOTE
    from imblearn.under_sampling import TomekLinks

    rows, features = data.shape(Path(folder))
    x = np.fromfile(Path(folder) / "x.f32", "<f4").reshape(rows, features)
    y = data.labels(Path(folder))
    ratio = SHARE / (1 - SHARE)
    sampler = {
        "smote": lambda: SMOTE(sampling_strategy=ratio, random_state=seed),
        "tomek": lambda: TomekLinks(n_jobs=threads),
        "smote-tomek": lambda: SMOTETomek(
            sampling_strategy=ratio, random_state=seed, tomek=TomekLinks(sampling_strategy="all", n_jobs=threads)
        ),
    }[case]()
    start = time.perf_counter()
    sampled, labels = sampler.fit_resample(x, y)
    seconds = time.perf_counter() - start
    links = 0
    if case == "tomek":
        gone = np.setdiff1d(np.arange(rows), sampler.sample_indices_)
        links = len(gone)
        gone.astype("<u4").tofile(removed)
    elif case == "smote-tomek":
        n_majority = int((y == 0).sum())
        links = n_majority - int((labels == 0).sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "links": links, "peak_bytes": peak}))


if __name__ == "__main__":
    sys.exit(main())
