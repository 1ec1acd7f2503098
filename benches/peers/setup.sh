# Sourced by the scripts beside it. `$work` is a folder that may be kept.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

# A virtual environment in `$work` with the packages of a file, or of names.
packages() {
  if ! [ -x "$work/venv/bin/pip" ]; then
    python3 -m venv "$work/venv" 2>/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; python3 -m venv "$work/venv"; }
  fi
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# Builds benches, and the tool with them, beside what cargo built before; cargo says where they lie.
build() { # `--bench NAME`..
  (cd "$here/../.." && cargo bench --locked --features bench "$@" --no-run --message-format json-render-diagnostics) > "$work/cargo.json"
}
program() { # name
  "$work/venv/bin/python" - "$1" "$work/cargo.json" <<'P'
import json, sys
lines = map(json.loads, open(sys.argv[2]))
(path,) = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == sys.argv[1]]
print(path)
P
}
