#!/usr/bin/env python3
"""The memory that `train` expects beside the peak that it takes, on three shapes: many columns, many rows, a network.

    tests/memory.py FRAUDML WORK_FOLDER

Exit code 1 if a peak is more than a quarter off.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

FRAUDML, WORK = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
WORK.mkdir(parents=True, exist_ok=True)
os.chdir(WORK)


def peak(name, path, target, models):
    """Expected and measured bytes."""
    config = f"""name: {name}
data: {{ tables: [ {{ path: {path} }} ], target: {target} }}
split: {{ folds: 2, protocols: [random] }}
select: {{ protocol: random }}
imbalance: [ raw ]
models: {{ {models} }}
"""
    Path(f"{name}.yaml").write_text(config)
    only = models.split(":")[0] + ",raw"
    command = [FRAUDML, "train", "--config", f"{name}.yaml", "--only", only, "--log", "info", "--log-format", "json"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    lines = child.stderr.read().splitlines()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit("\n".join(lines[-5:]))
    events = [json.loads(line)["fields"] for line in lines if line.startswith("{")]
    expected = [event["bytes"] for event in events if event["message"].startswith("memory this run")]
    return expected[0], usage.ru_maxrss * 1024


def table(path, rows, columns):
    draw = random.Random(1)
    with open(path, "w") as file:
        file.write("y," + ",".join(f"x{at}" for at in range(columns)) + "\n")
        for _ in range(rows):
            cells = [f"{draw.random():.9f}" for _ in range(columns)]
            file.write(f"{int(draw.random() < 0.05)}," + ",".join(cells) + "\n")


table("rows.csv", 600_000, 12)
subprocess.run([FRAUDML, "synth", "--rows", "60000", "--out", "synth", "--quiet"], check=True)
missed = False
for name, path, target, models in [
    ("columns", "synth/train_transaction.csv", "isFraud", "random-forest: { trees: 10 }"),
    ("rows", "rows.csv", "y", "random-forest: { trees: 10 }"),
    ("network", "synth/train_transaction.csv", "isFraud", "mlp: { hidden: [64], epochs: 1 }"),
]:
    expected, measured = peak(name, path, target, models)
    ratio = expected / measured
    missed |= abs(ratio - 1) > 0.25
    print(f"{name}: expected {expected / 1e6:.0f} MB, peak {measured / 1e6:.0f} MB, ratio {ratio:.2f}")
sys.exit(missed)
