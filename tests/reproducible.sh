#!/usr/bin/env bash
# The action runner is the same bytes wherever it is built: `tests/reproducible.sh TARGET_FOLDER WORK_FOLDER [TIMES]` builds it
# again from a copy of the tracked sources, in another folder each time, and compares it with the one that the tool embeds
# (TARGET_FOLDER/action-runner, left there by `cargo build --release`). Same toolchain, same lock file, same target.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p') times=${3:-1}
embedded=$1/action-runner/$target/runner/fraudml-action
mkdir -p "$2"
work=$(realpath "$2")
for nth in $(seq "$times"); do
  elsewhere=$work/copy-$nth/of-the-sources
  mkdir -p "$elsewhere"
  git ls-files -z | tar --null --files-from=- --create --file=- | tar --extract --directory="$elsewhere" --file=-
  flags=(-Ctarget-feature=+crt-static "--remap-path-prefix=$elsewhere=/fraudml"
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" "--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc")
  (cd "$elsewhere" && CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") cargo build --quiet --locked --no-default-features \
    --bin fraudml-action --profile runner --target "$target" --target-dir "$work/target-$nth")
  cmp "$embedded" "$work/target-$nth/$target/runner/fraudml-action"
  echo "build $nth elsewhere: $(sha256sum < "$embedded" | cut -c1-16).., the bytes of the embedded runner"
  rm -rf "$work/target-$nth" "$work/copy-$nth"
done
