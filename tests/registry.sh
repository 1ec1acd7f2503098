#!/usr/bin/env bash
# The image in other people's hands: tests/registry.sh BUNDLE FRAUDML
#
# skopeo and umoci read the archive; `package --push` and skopeo put it into Debian's docker-registry on loopback, from
# where it comes back with the digest unchanged, an index over architectures too; `docker build docker/` makes an image of
# the same content; the conformance suite runs over the image of the tiny bundle with the invoker's flags. Needs root and
# cargo; installs what it lacks.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 BUNDLE FRAUDML" >&2; exit 2; }
bundle=$(realpath "$1") fraudml=$(realpath "$2")
cd "$(dirname "$0")/.."
. tests/dockerd.sh
work=$(mktemp -d) registry_pid= built=
cleanup() {
  [ -z "$built" ] || docker rm -f "$built" >/dev/null 2>&1 || true
  [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true
  end_docker
  rm -rf "$work"
}
trap cleanup EXIT
for tool in docker-registry docker-compose skopeo umoci unzip jq; do
  command -v "$tool" >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$tool"; } >>"$work/apt.log" 2>&1
done
need_docker "$work"
check() { # what, found, expected
  [ "$2" = "$3" ] && echo "ok      $1" || { printf 'FAILED  %s\n  expected %s\n  found    %s\n' "$1" "$3" "$2"; exit 1; }
}

port=5059
cat >"$work/registry.yml" <<YML
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: $work/registry }, delete: { enabled: false } }
http: { addr: "127.0.0.1:$port" }
YML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry_pid=$!
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done

"$fraudml" package --bundle "$bundle" --push "127.0.0.1:$port/team/fraud" --plain-http --quiet
out=$bundle/openwhisk
tag=$(jq -r '.reference | split(":") | last' "$out/image.json") digest=$(jq -r .digest "$out/image.json")
inspected() { skopeo inspect --tls-verify=false "$@" | jq -r .Digest; }
check "pushed digest" "$(inspected "docker://127.0.0.1:$port/team/fraud:$tag")" "$digest"
for stage in transform encode predict pipeline; do
  check "tag of $stage" "$(inspected "docker://127.0.0.1:$port/team/fraud:$tag-$stage")" "$(jq -r --arg tag "$tag-$stage" '.tags[$tag]' "$out/image.json")"
done
again=$("$fraudml" package --bundle "$bundle" --push "127.0.0.1:$port/team/fraud" --plain-http --json | jq .pushed.bytes)
check "bytes of a second push" "$again" 0

# An index over architectures: a static arm64 program of one header, as far as a look at it tells, beside the real runner.
mkdir "$work/two" && cp "$bundle"/*.json "$bundle"/*.safetensors "$work/two"
{ printf '\x7fELF\x02\x01'; head -c 10 /dev/zero; printf '\x03\x00\xb7\x00'; head -c 4 /dev/zero; printf '\x01'; head -c 7 /dev/zero
  printf '\x40'; head -c 21 /dev/zero; printf '\x38\x00\x01'; head -c 7 /dev/zero; printf '\x01'; head -c 55 /dev/zero; } >"$work/arm64"
"$fraudml" package --bundle "$work/two" --runner "linux/arm64=$work/arm64" --push "127.0.0.1:$port/team/two" --plain-http --quiet
two=docker://127.0.0.1:$port/team/two:$(jq -r '.reference | split(":") | last' "$work/two/openwhisk/image.json")
check "digest of the pushed index" "sha256:$(skopeo inspect --tls-verify=false --raw "$two" | sha256sum | cut -d' ' -f1)" "$(jq -r .digest "$work/two/openwhisk/image.json")"
check "its architectures" "$(skopeo inspect --tls-verify=false --raw "$two" | jq -c '[.manifests[].platform.architecture]')" '["amd64","arm64"]'
check "what an arm64 host gets" "$(skopeo --override-arch arm64 inspect --tls-verify=false "$two" | jq -r .Architecture)" arm64
docker pull -q "${two#docker://}" >/dev/null
check "what Docker here pulls of it" "$(docker inspect -f '{{.Architecture}}' "${two#docker://}")" amd64
docker pull -q "127.0.0.1:$port/team/fraud:$tag" >/dev/null
check "digest that Docker pulled" "$(docker inspect -f '{{index .RepoDigests 0}}' "127.0.0.1:$port/team/fraud:$tag")" "127.0.0.1:$port/team/fraud@$digest"

skopeo copy -q --dest-tls-verify=false "oci-archive:$out/image.tar:$tag" "docker://127.0.0.1:$port/copied/fraud:$tag"
check "digest after skopeo copy" "$(inspected "docker://127.0.0.1:$port/copied/fraud:$tag")" "$digest"
check "skopeo reads the archive" "$(skopeo inspect "oci-archive:$out/image.tar:$tag" | jq -r '.Labels["io.fraudml.bundle"]')" "$(jq -r .id "$bundle/manifest.json")"
mkdir "$work/layout" && tar -xf "$out/image.tar" -C "$work/layout"
umoci unpack --rootless --image "$work/layout:$tag" "$work/unpacked" >/dev/null 2>&1
check "umoci unpacks the model" "$(sha256sum <"$work/unpacked/rootfs/bundle/model.safetensors")" "$(sha256sum <"$bundle/model.safetensors")"

docker-compose -f docker/compose.yaml config -q && echo "ok      docker/compose.yaml"

rm -rf docker/context
unzip -q "$out/action-pipeline.zip" -d docker/context
docker build -q -t fraudml/built docker >/dev/null
rm -rf docker/context
docker load -qi "$out/image.tar" >/dev/null
answers() { # image
  built=$(docker run -d --read-only "$1")
  local host; host=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$built")
  for _ in $(seq 200); do curl -fs "http://$host:8080/healthz" >/dev/null && break; sleep 0.05; done
  jq -c '{records: [.records[].record]}' "$bundle/golden.json" | curl -fs -d @- "http://$host:8080/score"
  docker rm -f "$built" >/dev/null
  built=
}
ours=$(answers "$(jq -r .reference "$out/image.json")")
[ "${#ours}" -gt 100 ] || { echo "FAILED  no answers: $ours"; exit 1; }
check "docker build docker/ answers as image.tar" "$(answers fraudml/built)" "$ours"

FRAUDML_IMAGE_OUT=$work/tiny cargo test --release --locked --test package consistent >/dev/null 2>&1
docker load -qi "$work/tiny/image.tar" >/dev/null
FRAUDML_TEST_IMAGE=$(jq -r .reference "$work/tiny/image.json") cargo test --release --locked --test serving
"$fraudml" bench --bundle "$work/tiny/bundle" --image "$(jq -r .reference "$work/tiny/image.json")" --seconds 1 --connections 2 --out "$work/bench"
