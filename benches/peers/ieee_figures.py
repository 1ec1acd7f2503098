"""Figures per column that `fraudml synth` is held against, cut out of an aggregate profile of the IEEE-CIS training data.

    python benches/peers/ieee_figures.py ieee_profile.json tests/data/ieee_figures.json

Per column the share of missing cells; where all 590,540 rows were measured also the fraud rates where it is missing and
where it is present, quantiles, the AUC of the present numbers, and the five most frequent values with their shares of all
rows. Aggregates alone: no row of the data.
"""

import json
import sys


def figures(column):
    full = column["basis"].startswith("full")
    missing = column["missing_rate"] if full else column.get("published_missing_rate")
    if not full:
        return {"missing": missing, "measured": False} if missing is not None else None
    found = {"missing": missing, "measured": True}
    for name, source in [("fraud_missing", "fraud_rate_missing"), ("fraud_present", "fraud_rate_present")]:
        found[name] = column.get(source)
    if column["kind"] == "numeric":
        quantiles = sorted((float(at), value) for at, value in column.get("quantiles", {}).items())
        found["quantiles"] = [[at, round(value, 6)] for at, value in quantiles if 0 < at < 1]
        found["auc"] = column.get("auc_present_rows")
    found["levels"] = [[str(value), share] for value, _, share, _ in column.get("top", [])[:5]]
    return found


def main():
    columns = json.load(open(sys.argv[1]))["columns"]
    skipped = ("isFraud", "TransactionDT", "TransactionID")
    found = {name: figures(column) for name, column in columns.items() if name not in skipped}
    found = {name: figures for name, figures in found.items() if figures}
    lines = [f'"{name}": {json.dumps(figures, separators=(",", ":"))}' for name, figures in found.items()]
    with open(sys.argv[2], "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
