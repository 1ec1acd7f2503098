"""Reading and joining the two IEEE-CIS files: pandas against `fraudml`, alternating.

    python benches/peers/ingest.py FRAUDML FOLDER [ROUNDS]

FOLDER holds `train_transaction.csv` and `train_identity.csv`. `fraudml eda` reads, joins and profiles; what the profile
takes is left out by its own progress lines only roughly, so `fraudml` is timed by a config that ends right after reading: a
target that has no such value. Prints seconds and peak memory (MB) of each.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PANDAS = """
import pandas as pd, sys
left = pd.read_csv(sys.argv[1] + "/train_transaction.csv")
right = pd.read_csv(sys.argv[1] + "/train_identity.csv")
print(left.merge(right, how="left", on="TransactionID").shape)
"""
CONFIG = """name: ingest
data:
  tables:
    - path: {folder}/train_transaction.csv
    - path: {folder}/train_identity.csv
      join: {{ on: TransactionID }}
  target: {{ column: isFraud, positive: no-such-value }}
  id: TransactionID
  time: TransactionDT
"""


def run(command, expected):
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert expected in output, output
    return seconds, usage.ru_maxrss / 1024


def main():
    fraudml, folder = sys.argv[1], str(Path(sys.argv[2]).resolve())
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as work:
        config = Path(work) / "c.yaml"
        config.write_text(CONFIG.format(folder=folder))
        ours = [fraudml, "eda", "--config", str(config), "--no-progress"]
        theirs = [sys.executable, "-c", PANDAS, folder]
        found = {"fraudml": [], "pandas": []}
        for _ in range(rounds):
            found["fraudml"].append(run(ours, "no-such-value"))
            found["pandas"].append(run(theirs, "("))
    for name, runs in found.items():
        seconds, peaks = zip(*runs)
        print(f"{name}: {statistics.median(seconds):.2f} s, peak {max(peaks):.0f} MB, runs {[round(s, 2) for s in seconds]}")


main()
