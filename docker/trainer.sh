#!/usr/bin/env bash
# Builds the trainer image out of a built program, without a base image: `docker/trainer.sh FRAUDML TAG`. It holds the program,
# the libraries of this machine that it is linked with, and this machine's certificates (without them, no https).
set -euo pipefail
fraudml=$(realpath "$1") tag=$2
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -D -m 755 "$fraudml" "$context/usr/local/bin/fraudml"
strip "$context/usr/local/bin/fraudml" 2> /dev/null || true
ldd "$fraudml" | grep -o '/[^ ]*' | while read -r library; do install -D -m 755 "$(realpath "$library")" "$context$library"; done
certificates=/etc/ssl/certs/ca-certificates.crt
if [ -f "$certificates" ]; then install -D -m 644 "$certificates" "$context$certificates"; fi
mkdir -m 1777 "$context/tmp" && mkdir -m 777 "$context/work"
docker build -q -f "$(dirname "$0")/trainer.Dockerfile" -t "$tag" "$context"
