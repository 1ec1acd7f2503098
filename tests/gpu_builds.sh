#!/usr/bin/env bash
# Builds the tool with its GPU backends, and asks each for a network: on a machine without a GPU it must say so in words, on
# one with a GPU it must train. $1: a work folder. About ten minutes cold on two cores; no CUDA toolkit is needed to build.
# Prints `N passed, N failed`.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
work=$(realpath "$1")
export CARGO_TARGET_DIR="${FRAUDML_GPU_TARGET:-$here/../target/gpu}"
(cd "$here/.." && cargo build --release --locked --features cuda,wgpu --bin fraudml)
fraudml="$CARGO_TARGET_DIR/release/fraudml"
passed=0 failed=0
"$fraudml" synth --rows 3000 --seed 7 --out "$work/data" --quiet
for device in cuda wgpu; do
  if (cd "$work" && "$fraudml" train --config "$here/../configs/demo.yaml" --only mlp,raw --device "$device" --quiet --set models.mlp.epochs=2) > "$work/$device" 2>&1; then
    echo "$device: trained"; passed=$((passed + 1))
  elif grep -q "^error: device \`$device\`: no GPU and driver answer" "$work/$device" && ! grep -q panicked "$work/$device"; then
    echo "$device: none here, and it says so"; passed=$((passed + 1))
  else
    echo "failed: $device"; cat "$work/$device"; failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
