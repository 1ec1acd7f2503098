#!/usr/bin/env python3
"""The schema of a config against the checks of a config: `tests/schema.py FRAUDML` (packages jsonschema, ruamel.yaml).

Every config of the repository is valid by both. From the schema come some hundred configs more: each key at, inside and
beyond its bounds, each word of its list and one that is none, a key too many in each mapping. What the schema refuses
`config check` must refuse, and the other way round; rules between keys, which the schema does not know, are named here.
"""

import copy, json, pathlib, subprocess, sys, tempfile

import jsonschema
from ruamel.yaml import YAML

program = sys.argv[1]
root = pathlib.Path(__file__).resolve().parent.parent
schema = json.loads(subprocess.run([program, "config", "schema"], check=True, capture_output=True).stdout)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
folder = tempfile.TemporaryDirectory()
failures, compared = [], 0


def checks(config):
    file = pathlib.Path(folder.name) / "c.yaml"
    file.write_text(json.dumps(config))
    done = subprocess.run([program, "config", "check", "--config", str(file)], capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def compare(what, config):
    global compared
    compared += 1
    valid = validator.is_valid(config)
    passed, said = checks(config)
    if valid != passed:
        why = said or "; ".join(error.message[:200] for error in validator.iter_errors(config))
        failures.append(f"{what}: the schema says {valid}, the checks {passed}: {why}")


configs = sorted([*root.glob("configs/*.yaml"), root / "src/cli/config/starter.yaml"])
for path in configs:
    config = YAML(typ="safe", pure=True).load(path)
    compare(path.name, json.loads(json.dumps(config)))

minimal = {"name": "c", "data": {"tables": [{"path": "a.csv"}], "target": "y", "time": "t", "amount": "m", "group": "g"}}
# Keys whose values depend on another key: what that other key must be, for bounds to be reached.
beside = {
    "weight_decay": {"optimizer": "adamw"},
    "nominal_penalty": {"categorical": "nominal"},
    "max_samples": {"bootstrap": True},
    "negative": {"positive": 2},
}
# Rules between keys and lists that hold two things at once.
skipped = {"max_samples", "oob_score", "target_ratio", "variance", "components", "keep_groups", "gap", "protocol", "dropout"}


def values(of):
    """Values to try: at the bounds, beyond them, of other types."""
    tried = ["no such word", True, -1, [], {"no_such_key": 1}]
    types = of.get("type", [])
    step = 1 if "integer" in types else 1e-3
    for bound, outside in [("minimum", -step), ("maximum", step), ("exclusiveMinimum", step), ("exclusiveMaximum", -step)]:
        if bound in of:
            number = of[bound]
            # The checks know 64 bits.
            if number < 2**62:
                tried += [number, number + outside * max(1, abs(number) if abs(number) > 1e6 else 1)]
    tried += of.get("enum", [])
    if "null" in types or None in of.get("enum", []):
        tried.append(None)
    return tried


def walk(of, place, put):
    if "$ref" in of:
        found = schema
        for part in of["$ref"][2:].split("/"):
            found = found[part]
        return walk(found, place, put)
    if "properties" in of:
        put_key = lambda key: lambda value, more={}: put({key: value, **more})
        if place:
            compare(f"{place}: a key too many", put({"no_such_key": 1}))
        for key, below in of["properties"].items():
            if key not in skipped:
                walk(below, f"{place}.{key}", lambda value, k=key: put({k: value, **beside.get(k, {})}))
        return
    if any(form in of for form in ("oneOf", "anyOf", "items", "pattern")) or of.get("type") == "string":
        return
    for value in values(of):
        compare(f"{place} = {json.dumps(value)}", put(value))


def at(key):
    def put(value):
        config = copy.deepcopy(minimal)
        if key == "data" and isinstance(value, dict):
            config["data"].update(value)
        else:
            config[key] = value
        return config
    return put


for key, of in schema["properties"].items():
    if key in ("name", "imbalance", "models", "features"):
        continue
    # A policy at a time; the names of columns are texts.
    if key == "data":
        of = {**of, "properties": {k: v for k, v in of["properties"].items() if k in ("missing_columns", "unknown_keys")}}
    walk(of, key, (lambda put: lambda value: put(value))(at(key)) if key != "threshold" else at(key))
for name, of in schema["$defs"]["cases"].items():
    walk(of, f"imbalance.{name}", lambda value, n=name: {**copy.deepcopy(minimal), "imbalance": [{n: value}]})
for name, of in schema["$defs"]["models"].items():
    walk(of, f"models.{name}", lambda value, n=name: {**copy.deepcopy(minimal), "models": {n: value}})

for line in failures[:40]:
    print(line)
print(f"{compared} configs, {len(failures)} disagreements")
sys.exit(bool(failures))
