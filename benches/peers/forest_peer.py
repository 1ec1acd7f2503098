"""One fit of a Python peer, measured in a process of its own; `forest.py` starts it. In: JSON as the only argument. Out: a
line of JSON with the keys of `benches/forest.rs`.

The settings follow scikit-learn's defaults (grown until pure, sqrt(n_features) columns drawn per split, bootstrap) as far
as each library has them. Where it does not:

* scikit-learn-intelex: its own estimators with their defaults (256 bins). It hands over to scikit-learn what it cannot do,
  in silence unless asked: that is no measurement of it and is refused here.
* LightGBM, `boosting=rf`:
  - `bagging_freq=1, bagging_fraction=0.632`: it samples without replacement; 63.2 % is the share of distinct rows in a
    bootstrap. Extra trees see all rows; its random forest mode then wants `feature_fraction` below one: 0.99999 rounds to
    all columns.
  - `feature_fraction_bynode = sqrt(F)/F`: columns per split, not per tree.
  - `min_data_in_leaf=1`, `min_sum_hessian_in_leaf=0`: grown until pure.
  - `num_leaves`: it must have a limit, and it looks at all that many places after every split: 131072, the most it allows,
    took twice as long as 4096 for trees of as many leaves and the same AUC (12,000 x 100, one run on a busy machine). It
    gets the power of two above 1.25 times the leaves of scikit-learn's largest tree on the same rows: enough to grow as
    deep, and no more.
  - `histogram_pool_size=2048` (MB): one histogram per leaf is the default, which for so many leaves is not to be had.
  - `objective=binary`: what its classifier does. With the constant start of rf mode the gain is proportional to Gini's.
* XGBoost, `XGBRFClassifier`: `subsample=0.632` and `colsample_bynode` as above; `max_depth=0` (no limit),
  `grow_policy=depthwise` (its default; without limits on leaves the order decides nothing, and it reads rows level by
  level), `min_child_weight=0`; the default 1 counts hessians and would keep leaves of rare positives together.
  `reg_lambda` stays at the class's 1e-5. 256 bins. It has no extra trees.

One row is scored with one thread and with all, and the faster counts: threads cost more than one row.
"""

import json
import logging
import math
import pickle
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from forest_data import labels, read_rows, shape


class Cannot(Exception):
    """The peer does not do this; the table says so."""


def scikit_learn(task):
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = {"random-forest": RandomForestClassifier, "extra-trees": ExtraTreesClassifier}[task["kind"]]
    model = kind(n_estimators=task["trees"], random_state=task["seed"], n_jobs=task["threads"])

    def scorers():
        def one_thread(rows):
            model.n_jobs = 1
            return model.predict_proba(rows)[:, 1]

        def all_threads(rows):
            model.n_jobs = task["threads"]
            return model.predict_proba(rows)[:, 1]

        return [all_threads, one_thread]

    def size():
        return len(pickle.dumps(model, protocol=5))

    def leaves():
        return max(tree.get_n_leaves() for tree in model.estimators_)

    return model.fit, scorers, size, leaves


def intelex(task):
    from sklearnex.ensemble import ExtraTreesClassifier, RandomForestClassifier

    log = logging.getLogger("sklearnex")
    log.setLevel(logging.INFO)
    said = []
    log.addHandler(type("Keep", (logging.Handler,), {"emit": lambda self, record: said.append(record.getMessage())})())
    log.propagate = False
    kind = {"random-forest": RandomForestClassifier, "extra-trees": ExtraTreesClassifier}[task["kind"]]
    model = kind(n_estimators=task["trees"], random_state=task["seed"], n_jobs=task["threads"])

    def accelerated():
        if any("fallback" in line for line in said) or not any("accelerated" in line for line in said):
            raise Cannot("hands over to scikit-learn")
        log.setLevel(logging.WARNING)

    def fit(rows, classes):
        model.fit(rows, classes)
        accelerated()

    def scorers():
        def all_threads(rows):
            return model.predict_proba(rows)[:, 1]

        def one_thread(rows):
            model.n_jobs = 1
            return model.predict_proba(rows)[:, 1]

        return [all_threads, one_thread]

    return fit, scorers, lambda: len(pickle.dumps(model, protocol=5)), None


def lightgbm(task):
    import lightgbm

    extra = task["kind"] == "extra-trees"
    settings = {
        "boosting": "rf",
        "objective": "binary",
        "num_leaves": min(131072, 2 ** math.ceil(math.log2(max(2, 1.25 * task["leaves"])))),
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0,
        "feature_fraction_bynode": task["share"],
        "max_bin": 255,
        "histogram_pool_size": 2048,
        "num_threads": task["threads"],
        "seed": task["seed"],
        "verbosity": -1,
    }
    if extra:
        settings |= {"extra_trees": True, "feature_fraction": 0.99999}
    else:
        settings |= {"bagging_freq": 1, "bagging_fraction": 0.632}
    model = None

    def fit(rows, classes):
        nonlocal model
        data = lightgbm.Dataset(rows, classes, params={"max_bin": 255, "verbosity": -1})
        model = lightgbm.train(settings, data, num_boost_round=task["trees"])

    def scorers():
        return [
            lambda rows: model.predict(rows, num_threads=task["threads"]),
            lambda rows: model.predict(rows, num_threads=1),
        ]

    return fit, scorers, lambda: len(model.model_to_string().encode()), None


def xgboost(task):
    import xgboost

    if task["kind"] == "extra-trees":
        raise Cannot("has no extra trees")
    model = xgboost.XGBRFClassifier(
        n_estimators=task["trees"],
        tree_method="hist",
        max_bin=256,
        max_depth=0,
        grow_policy="depthwise",
        min_child_weight=0,
        subsample=0.632,
        colsample_bynode=task["share"],
        n_jobs=task["threads"],
        random_state=task["seed"],
    )

    def scorers():
        booster = model.get_booster()

        def one_thread(rows):
            booster.set_param("nthread", 1)
            return booster.inplace_predict(rows)

        def all_threads(rows):
            booster.set_param("nthread", task["threads"])
            return booster.inplace_predict(rows)

        return [all_threads, one_thread]

    return model.fit, scorers, lambda: len(model.get_booster().save_raw("ubj")), None


PEERS = {"scikit-learn": scikit_learn, "intelex": intelex, "lightgbm": lightgbm, "xgboost": xgboost}


def resident_since_reset():
    """Sets the highest resident memory back to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS:")


def status_bytes(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024


def median_of_single_rows(score, rows):
    seconds = []
    for at in range(min(len(rows), 1000)):
        row = rows[at : at + 1]
        start = time.perf_counter()
        score(row)
        seconds.append(time.perf_counter() - start)
        # A slow peer need not show a thousand times that it is.
        if sum(seconds) > 5:
            break
    return statistics.median(seconds)


def best_of_three(score, rows):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        score(rows)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(task):
    folder = Path(task["data"])
    marks = np.fromfile(task["split"], "u1")
    _, n_features = shape(folder)
    task["share"] = max(1, math.isqrt(n_features)) / n_features
    fit, scorers, size, leaves = PEERS[task["library"]](task)
    rows, classes = read_rows(folder, marks == 0)
    before = resident_since_reset()
    start = time.perf_counter()
    fit(rows, classes)
    seconds = time.perf_counter() - start
    line = {
        "rows": rows.shape[0],
        "features": n_features,
        "fit_s": seconds,
        "extra_bytes": max(0, status_bytes("VmHWM:") - before),
        "model_bytes": size(),
    }
    if leaves:
        line["leaves"] = int(leaves())
    del rows
    test, _ = read_rows(folder, marks == 1)
    if len(test):
        all_threads, one_thread = scorers()
        all_threads(test).astype("<f4").tofile(task["scores"])
        # `quality` wants the scores alone.
        if task["batch_rows"]:
            line["one_row_us"] = 1e6 * min(median_of_single_rows(score, test) for score in (all_threads, one_thread))
            first, _ = read_rows(folder, np.arange(len(labels(folder))) < task["batch_rows"])
            batch = np.resize(first, (task["batch_rows"], n_features))
            line["batch_s"] = best_of_three(all_threads, batch)
    return line


if __name__ == "__main__":
    try:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    except Cannot as why:
        print(json.dumps({"cannot": str(why)}))
