"""Every metric against scikit-learn's on the same labels and scores, and DeLong's variances against the published formula.

    benches/peers/metrics.sh WORK_FOLDER [--small]      builds what is needed and runs
    python benches/peers/metrics.py --bench PROGRAM [--small]

Inputs: random, heavily tied, constant and extreme scores (0, 1, subnormal, next to 0.5), prevalences of 1 % to 50 %, from 10
to 1,000,000 rows (`--small`: 10,000). ROC AUC, average precision, Brier, log-loss, confusion matrix, recall, precision,
balanced accuracy, recall at 1 % and 5 % FPR must agree to 1e-12, and so must DeLong's variance and the covariance of two
models (by all pairs up to 2,000 rows, by midranks above). Exit code 3 if something does not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn import metrics as sk

TOLERANCE = 1e-12


def scores(kind, labels, rng):
    n = len(labels)
    noise = rng.random(n)
    made = {
        "random": noise * 0.7 + 0.3 * labels * rng.random(n),
        "tied": np.floor(10 * (noise * 0.7 + 0.3 * labels)) / 10,
        "constant": np.full(n, 0.25),
        "extreme": rng.choice([0.0, 1.0, 1e-45, 0.5, np.nextafter(np.float32(0.5), 0), 1 - 2**-24, 1e-7], n),
        "perfect": 0.4 * noise + 0.6 * labels,
    }
    return made[kind].astype(np.float32)


def recall_at(labels, scores, limit):
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    return tpr[fpr <= limit].max()


def expected(labels, scores):
    wide = scores.astype(np.float64)
    alarm = scores >= np.float32(0.5)
    tn, fp, fn, tp = sk.confusion_matrix(labels, alarm, labels=[0, 1]).ravel()
    epsilon = float(np.finfo(np.float32).eps)
    return {
        "auc": sk.roc_auc_score(labels, wide),
        "average_precision": sk.average_precision_score(labels, wide),
        "brier": sk.brier_score_loss(labels, wide),
        "log_loss": sk.log_loss(labels, np.clip(wide, epsilon, 1 - epsilon), labels=[0, 1]),
        "recall": sk.recall_score(labels, alarm),
        "precision": sk.precision_score(labels, alarm) if alarm.any() else None,
        "auc_labels": sk.balanced_accuracy_score(labels, alarm),
        "recall_at_fpr_1": recall_at(labels, wide, 0.01),
        "recall_at_fpr_5": recall_at(labels, wide, 0.05),
        "true_positives": tp,
        "false_positives": fp,
        "true_negatives": tn,
        "false_negatives": fn,
    }


def midranks(values):
    order = np.argsort(values, kind="stable")
    _, first, counts = np.unique(values[order], return_index=True, return_counts=True)
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    return ranks


def components(labels, scores):
    """V10 of positives and V01 of negatives (DeLong et al. 1988)."""
    positive, negative = scores[labels == 1].astype(np.float64), scores[labels == 0].astype(np.float64)
    m, n = len(positive), len(negative)
    if m * n <= 1_000_000:
        psi = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
        return psi.mean(axis=1), psi.mean(axis=0)
    together = midranks(np.concatenate([positive, negative]))
    return (together[:m] - midranks(positive)) / n, 1 - (together[m:] - midranks(negative)) / m


def covariance(labels, first, second):
    (a10, a01), (b10, b01) = components(labels, first), components(labels, second)
    return np.cov(a10, b10)[0, 1] / len(a10) + np.cov(a01, b01)[0, 1] / len(a01)


def differ(found, wanted):
    if found is None or wanted is None:
        return found is not wanted
    return not abs(float(found) - float(wanted)) <= TOLERANCE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True, help="the program made of benches/evaluate.rs")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(17)
    sizes = [10, 30, 100, 1_000, 10_000] + ([] if args.small else [100_000, 1_000_000])
    compared, wrong, worst = 0, [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.bin"
        for n in sizes:
            for kind in ("random", "tied", "constant", "extreme", "perfect"):
                for prevalence in (0.01, 0.1, 0.5):
                    labels = (rng.random(n) < prevalence).astype(np.uint8)
                    labels[:4] = [0, 1, 0, 1]
                    first, second = scores(kind, labels, rng), scores("random", labels, rng)
                    path.write_bytes(labels.tobytes() + first.tobytes() + second.tobytes())
                    answer = subprocess.run([args.bench, "metrics", path], stdout=subprocess.PIPE, check=True).stdout
                    found = json.loads(answer)
                    wanted = expected(labels, first)
                    wanted["delong_variance"] = covariance(labels, first, first)
                    wanted["delong_covariance"] = covariance(labels, first, second)
                    for name, value in wanted.items():
                        compared += 1
                        if value is not None and found[name] is not None:
                            worst = max(worst, abs(float(found[name]) - float(value)))
                        if differ(found[name], value):
                            wrong.append(f"{name} of {n} {kind} rows at {prevalence}: {found[name]}, expected {value}")
    print(f"{compared} figures compared with scikit-learn and the published formula, largest difference {worst:.1e}")
    print("\n".join(wrong[:20]))
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
