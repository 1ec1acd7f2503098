#!/usr/bin/env bash
# Line coverage of `scoring` and `serving` by their own tests and those that speak to them: `tests/coverage.sh WORK_FOLDER`. Only
# this crate is instrumented, so that dependencies are those of the release build. Needs `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
work=$(realpath "$1")
rm -rf "$work/profiles"
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# Not by `sh`, which keeps variables like CARGO_BIN_EXE_fraudml-action from what it starts.
cat > "$work/instrument" <<'PY'
#!/usr/bin/env python3
import os, sys
ours = os.environ.get("CARGO_PKG_NAME") == "fraudml" and not any(a.startswith("build_script_") for a in sys.argv)
os.execvp(sys.argv[1], sys.argv[1:] + ["-Cinstrument-coverage", "-Cllvm-args=-runtime-counter-relocation"] * ours)
PY
chmod +x "$work/instrument"
export RUSTC_WRAPPER=$work/instrument LLVM_PROFILE_FILE=$work/profiles/%p%c.profraw
# `%c`: counted in the file itself, for signals end servers at once.
# Another flag, so that instrumented units never stand for plain ones.
flags=(--release --locked --config 'profile.release.package.fraudml.overflow-checks=true')
tests=(--test protocol --test serving --test hostile --test stock)
cargo test "${flags[@]}" --lib scoring:: -- --quiet
cargo test "${flags[@]}" --lib serving:: -- --quiet
cargo test "${flags[@]}" "${tests[@]}" -- --quiet
"$tools/llvm-profdata" merge --sparse "$work"/profiles/*.profraw -o "$work/all.profdata"
objects=$(cargo test "${flags[@]}" --lib "${tests[@]}" --no-run --message-format json 2> /dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/--object \1/p')
# shellcheck disable=SC2086
"$tools/llvm-cov" export --summary-only --instr-profile "$work/all.profdata" $objects > "$work/coverage.json"
python3 - "$work/coverage.json" <<'PY'
import json, sys
files = json.load(open(sys.argv[1]))["data"][0]["files"]
missed = False
for room in ["scoring", "serving"]:
    lines = [file["summary"]["lines"] for file in files if f"/src/{room}/" in file["filename"] and "tests" not in file["filename"]]
    covered, count = (sum(line[key] for line in lines) for key in ["covered", "count"])
    print(f"{room}: {covered} of {count} lines, {100 * covered / count:.1f} %")
    missed |= covered < 0.9 * count
for file in files:
    lines = file["summary"]["lines"]
    if any(f"/src/{room}/" in file["filename"] for room in ["scoring", "serving"]) and lines["percent"] < 90:
        print(f"  {lines['percent']:5.1f} % of {lines['count']:4} {file['filename'].split('/src/')[1]}")
sys.exit(missed)
PY
