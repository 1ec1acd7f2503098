"""scikit-learn's forests on the same rows as `benches/forest_creditcard.rs`, and both in one table.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r benches/peers/requirements.txt
    cargo bench --bench forest_creditcard -- creditcard.csv /tmp/forest_creditcard
    /tmp/peers/bin/python benches/peers/forest_creditcard.py creditcard.csv /tmp/forest_creditcard

Add `extra-trees` to both commands for the other model, `--jobs N` here for scikit-learn's threads (default 2). Numbers
are read as float32 on both sides, V1..V28 and Amount. Exit code 3 if the mean average precision or AUC of the two
differ by more than two standard errors of the paired difference. Writes nothing.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

MODELS = {"random-forest": RandomForestClassifier, "extra-trees": ExtraTreesClassifier}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("creditcard", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("model", nargs="?", choices=MODELS, default="random-forest")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main():
    args = arguments()
    table = pd.read_csv(args.creditcard)
    labels = table.pop("Class").to_numpy()
    features = table.drop(columns="Time").to_numpy(np.float32)
    timings = pd.read_csv(args.splits / "timings.csv").set_index("split")["fit_seconds"]

    results = []
    for split, ours_seconds in timings.items():
        rows = pd.read_csv(args.splits / f"split{split}.csv")
        train = rows.row[rows.part == "train"].to_numpy()
        test = rows[rows.part == "test"]
        model = MODELS[args.model](n_estimators=100, random_state=split, n_jobs=args.jobs)
        start = time.perf_counter()
        model.fit(features[train], labels[train])
        peer_seconds = time.perf_counter() - start
        peer_scores = model.predict_proba(features[test.row])[:, 1]
        truth = labels[test.row]
        results.append(
            {
                "split": split,
                "ap": average_precision_score(truth, test.score),
                "ap_sklearn": average_precision_score(truth, peer_scores),
                "auc": roc_auc_score(truth, test.score),
                "auc_sklearn": roc_auc_score(truth, peer_scores),
                "fit_s": ours_seconds,
                "fit_s_sklearn": peer_seconds,
            }
        )
    results = pd.DataFrame(results).set_index("split")
    print(results.to_string(float_format="%.4f"))

    equal = True
    for metric in ("ap", "auc"):
        difference = results[metric] - results[f"{metric}_sklearn"]
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        equal &= abs(difference.mean()) <= 2 * error
        print(f"{metric}: ours - scikit-learn = {difference.mean():+.4f}, standard error {error:.4f}")
    ratio = results.fit_s_sklearn.sum() / results.fit_s.sum()
    print(f"fit: scikit-learn takes {ratio:.1f} times as long ({args.jobs} threads)")
    return 0 if equal else 3


if __name__ == "__main__":
    sys.exit(main())
