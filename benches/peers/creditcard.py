"""fraudml's random forest against scikit-learn's on creditcard.csv: the same rows, five splits, alternating, one table.

    python benches/peers/creditcard.py FRAUDML creditcard.csv WORK_FOLDER

Per split `fraudml train --config configs/creditcard.yaml --only random-forest,raw` runs with a seed of its own; its split
file says which rows scikit-learn's RandomForestClassifier(n_estimators=100) fits and scores. Average precision and AUC of
both come from scikit-learn's metrics. Exit code 3 if the mean of either differs by more than two standard errors of the
paired difference, or if a metric of fraudml's leaderboard is not scikit-learn's to 1e-12.

fraudml's seconds are those of the whole cell: bins, fit, and scoring of training and test rows.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

SPLITS = 5
CONFIG = Path(__file__).parents[2] / "configs" / "creditcard.yaml"


def fraudml(program, data, work, seed):
    """Trains on one split; the run folder and the cell of the final fit."""
    sets = {
        "name": f"split-{seed}",
        "seed": seed,
        "data.tables.0.path": json.dumps(str(data)),
        "split.folds": 2,
        "split.protocols": "[random]",
        "output.experiments": f"split-{seed}/experiments",
        "output.reports": f"split-{seed}/reports",
        "output.artifacts": f"split-{seed}/artifacts",
    }
    command = [program, "train", "--config", str(CONFIG), "--only", "random-forest,raw", "--quiet", "--no-progress"]
    for key, value in sets.items():
        command += ["--set", f"{key}={value}"]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    experiments = work / f"split-{seed}" / "experiments"
    (run,) = [path for path in experiments.iterdir() if path.name != "cells"]
    (final,) = [cell for cell in json.loads((run / "cells.json").read_text()) if cell["part"] == "final"]
    return run, experiments / "cells" / final["key"], final["key"]


def main():
    program, data, work = (Path(argument).resolve() for argument in sys.argv[1:4])
    work.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(data)
    labels = table.pop("Class").to_numpy()
    features = table.drop(columns="Time").to_numpy(np.float32)
    results = []
    for seed in range(1, SPLITS + 1):
        run, cell, key = fraudml(program, data, work, seed)
        part = pd.read_csv(run / "splits" / "random.csv").part
        train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "test")
        scores = pd.read_parquet(cell / "scores.parquet")
        assert (scores.row_id.astype(int).to_numpy() == test).all() and (scores.label == labels[test]).all()
        seconds = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
        peer = RandomForestClassifier(n_estimators=100, random_state=seed, n_jobs=-1)
        start = time.perf_counter()
        peer.fit(features[train], labels[train])
        fitted = time.perf_counter()
        peer_scores = peer.predict_proba(features[test])[:, 1]
        found = json.loads((cell / "cell.json").read_text())["metrics"]
        exact = scores.score.astype(np.float64)
        expected = {
            "average_precision": average_precision_score(labels[test], exact),
            "auc": roc_auc_score(labels[test], exact),
            "brier": brier_score_loss(labels[test], exact),
        }
        results.append(
            {
                "split": seed,
                "ap": expected["average_precision"],
                "ap_sklearn": average_precision_score(labels[test], peer_scores),
                "auc": expected["auc"],
                "auc_sklearn": roc_auc_score(labels[test], peer_scores),
                "cell_s": next(line["seconds"] for line in seconds if line["key"] == key),
                "fit_s_sklearn": fitted - start,
                "metric_error": max(abs(found[name] - value) for name, value in expected.items()),
            }
        )
        print(f"split {seed} done", flush=True)
    results = pd.DataFrame(results).set_index("split")
    print(results.to_string(float_format=lambda number: f"{number:.4g}"))
    verdicts = [("metrics equal scikit-learn's to 1e-12", results.metric_error.max() <= 1e-12)]
    for metric in ("ap", "auc"):
        difference = results[metric] - results[f"{metric}_sklearn"]
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        what = f"{metric}: fraudml - scikit-learn = {difference.mean():+.4f}, standard error {error:.4f}"
        verdicts.append((what, abs(difference.mean()) <= 2 * error))
    for what, passed in verdicts:
        print("passed" if passed else "failed", "-", what)
    ratio = results.fit_s_sklearn.sum() / results.cell_s.sum()
    print(f"scikit-learn's fit takes {ratio:.1f} times as long as fraudml's whole cell")
    n_passed = sum(passed for _, passed in verdicts)
    print(f"{n_passed} passed, {len(verdicts) - n_passed} failed")
    return 0 if n_passed == len(verdicts) else 3


if __name__ == "__main__":
    sys.exit(main())
