"""The data sets of the forest bench, each a folder that the Python and the Rust side read alike.

`x.f32` (n_rows x n_features, little-endian, row after row), `y.u8` (a label per row), `meta.json`. Splits are files of one
byte per row: 0 fit, 1 score, 2 leave out. Sets are made once; a folder appears whole or not at all.
"""

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

CONFIG = Path(__file__).parents[2] / "configs" / "paper.yaml"
TEST_SHARE = 0.2


def planted(folder, rows, features, positives, missing):
    """scikit-learn's make_classification; `missing` of the cells are taken out at random."""
    from sklearn.datasets import make_classification

    informative = max(5, min(20, features // 3))
    shape = dict(n_samples=rows, n_features=features, n_informative=informative, n_redundant=informative)
    # A hundredth of the labels is flipped by default: this weight leaves `positives` after that.
    weight = 1 - (positives - 0.005) / 0.99
    values, labels = make_classification(**shape, weights=[weight], random_state=1)
    values = values.astype("<f4")
    if missing:
        rng = np.random.default_rng(1)
        for row in values:
            row[rng.random(features) < missing] = np.nan
    write(folder, values, labels)


def creditcard(folder, packed):
    """The ULB data without its time, as `configs/creditcard.yaml` has it."""
    import zstandard

    with open(packed, "rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="ascii", newline="")
        rows = csv.reader(text)
        names = next(rows)
        assert names[0] == "Time" and names[-1] == "Class", names
        table = np.array([[float(cell) for cell in row[1:]] for row in rows])
    write(folder, table[:, :-1].astype("<f4"), table[:, -1])


def synth(folder, rows, fraudml, bench):
    """What `fraudml synth` writes, joined and prepared by the tool itself (mostly missing columns dropped, medians, label
    codes); fitted once on 80 % of the rows, so that all splits see one matrix."""
    raw = folder.with_name(folder.name + "-raw")
    run(fraudml, "synth", "--rows", rows, "--seed", 42, "--out", raw, "--quiet")
    tables = [raw / "train_transaction.csv", raw / "train_identity.csv"]
    sets = [f"data.tables.{at}.path={table}" for at, table in enumerate(tables)]
    # Nothing but the preparation runs, and forests need no scale.
    sets += ["split.folds=2", "preprocess.scale=none"]
    run(bench, "prepare", "--config", CONFIG, "--set", ",".join(sets), "--out", folder)
    shutil.rmtree(raw)


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def measured(*command):
    """The line of JSON that a program ends with. `$ALONE` is put before it: what keeps others off the machine meanwhile."""
    command = os.environ.get("ALONE", "").split() + [str(word) for word in command]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{ran.stderr}")
    return json.loads(ran.stdout.splitlines()[-1])


def write(folder, values, labels):
    folder.mkdir(parents=True)
    values.tofile(folder / "x.f32")
    labels.astype("u1").tofile(folder / "y.u8")
    (folder / "meta.json").write_text(json.dumps({"rows": values.shape[0], "features": values.shape[1]}))


def ensure(folder, make):
    """The folder, made if it is not there."""
    if not folder.exists():
        print(f"making {folder.name}", flush=True)
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        unfinished.rename(folder)
    return folder


def shape(folder):
    meta = json.loads((folder / "meta.json").read_text())
    return meta["rows"], meta["features"]


def labels(folder):
    return np.fromfile(folder / "y.u8", "u1")


def split(folder, seed, at_most=None):
    """A stratified split, 80 to 20; of either side only so much that no more than `at_most` rows are fitted."""
    y = labels(folder)
    rng = np.random.default_rng(seed)
    marks = np.full(len(y), 2, "u1")
    share = min(1.0, at_most / (len(y) * (1 - TEST_SHARE))) if at_most else 1.0
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == label))
        rows = rows[: round(share * len(rows))]
        n_test = round(TEST_SHARE * len(rows))
        marks[rows[:n_test]], marks[rows[n_test:]] = 1, 0
    path = folder / f"split-{seed}-{at_most or 'all'}.u8"
    marks.tofile(path)
    return path


def first_rows(folder, n_rows):
    """A split that fits the first rows and scores none."""
    path = folder / f"first-{n_rows}.u8"
    np.where(np.arange(shape(folder)[0]) < n_rows, 0, 2).astype("u1").tofile(path)
    return path


def read_rows(folder, wanted):
    """The wanted rows and their labels, read in blocks, so that memory never holds the others."""
    n_rows, n_features = shape(folder)
    values = np.empty((int(wanted.sum()), n_features), "f4")
    block, at = max(1, (8 << 20) // (4 * n_features)), 0
    with open(folder / "x.f32", "rb") as file:
        for start in range(0, n_rows, block):
            rows = np.fromfile(file, "<f4", min(block, n_rows - start) * n_features).reshape(-1, n_features)
            rows = rows[wanted[start : start + block]]
            values[at : at + len(rows)] = rows
            at += len(rows)
    return values, labels(folder)[wanted]
