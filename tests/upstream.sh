#!/usr/bin/env bash
# The zips inside OpenWhisk's own runtimes: tests/upstream.sh BUNDLE FRAUDML DOCKER_RUNTIME GO_RUNTIME
#
# DOCKER_RUNTIME and GO_RUNTIME are checkouts of apache/openwhisk-runtime-docker and -go. Their action proxy (Python) and
# ActionLoop proxy (Go) run as processes on loopback, unchanged but for the port; the zip of every stage is initialised as
# the invoker does it and must answer the golden records as they were frozen. Items 12, 14, 16 to 19, 23 and 24 of the
# conformance list. Needs go, and python3 with flask and gevent.
set -euo pipefail
[ $# -eq 4 ] || { echo "usage: $0 BUNDLE FRAUDML DOCKER_RUNTIME GO_RUNTIME" >&2; exit 2; }
bundle=$(realpath "$1") fraudml=$(realpath "$2") docker_runtime=$(realpath "$3") go_runtime=$(realpath "$4")
work=$(mktemp -d) proxy_pid=
stop() {
  if [ -n "$proxy_pid" ]; then kill "$proxy_pid" 2>/dev/null || true; wait "$proxy_pid" 2>/dev/null || true; fi
  proxy_pid=
}
trap 'stop; rm -rf "$work"' EXIT
check() { # what, found, expected
  [ "$2" = "$3" ] && echo "ok      $1" || { printf 'FAILED  %s\n  expected %s\n  found    %s\n' "$1" "$3" "$2"; tail -5 "$work/log"; exit 1; }
}
port=5077
"$fraudml" package --bundle "$bundle" --quiet
for stage in transform encode predict pipeline; do
  base64 -w0 "$bundle/openwhisk/action-$stage.zip" |
    jq -cR '{value: {name: "fraud", main: "main", binary: true, code: ., env: {}}}' >"$work/$stage.json"
done
post() { curl -s -o "$work/answer" -w '%{http_code}' -H 'Content-Type: application/json' -d "$2" "http://127.0.0.1:$port/$1"; }
listen() { for _ in $(seq 300); do curl -s "http://127.0.0.1:$port/" >/dev/null && return; sleep 0.1; done; echo "no proxy listens"; tail "$work/log"; exit 1; }

(cd "$go_runtime" && cp -r . "$work/go") && sed -i "s/ap.Start(8080)/ap.Start($port)/" "$work/go/main/proxy.go"
(cd "$work/go" && GOFLAGS=-mod=mod go build -o "$work/proxy" ./main)
start_go() {
  rm -rf "$work/loop" && mkdir "$work/loop"
  (cd "$work/loop" && exec "$work/proxy") >"$work/log" 2>&1 &
  proxy_pid=$!
  listen
}
start_docker() {
  # As its Dockerfile lays it out: a stub that is executable, and that a zip's `exec` is written over.
  rm -rf "$work/action" && install -D -m 755 "$docker_runtime/core/actionProxy/stub.sh" "$work/action/exec"
  FLASK_PROXY_PORT=$port PYTHONPATH=$docker_runtime/core/actionProxy python3 -c "
import actionproxy
actionproxy.setRunner(actionproxy.ActionRunner('$work/action/exec', '$work/action/exec', '$work/action'))
actionproxy.main()" >"$work/log" 2>&1 &
  proxy_pid=$!
  listen
}

n=$(jq '.records | length' "$bundle/golden.json")
golden() { # runtime: every stage in a proxy of its own, fed with what the stage before answered
  for stage in transform encode predict pipeline; do
    "start_$1"
    check "$1: /init of $stage" "$(post init "@$work/$stage.json")" 200
    for at in $(seq 0 $((n - 1))); do
      case $stage in
        encode | predict) jq -c '{value: .}' "$work/$at.value" >"$work/request" ;;
        *) jq -c "{value: .records[$at].record, action_name: \"/guest/fraud/$stage\", activation_id: \"a\", deadline: \"1900000000000\"}" "$bundle/golden.json" >"$work/request" ;;
      esac
      status=$(post run "@$work/request")
      [ "$status" = 200 ] || check "$1: /run of $stage, record $at" "$status: $(head -c 300 "$work/answer")" 200
      cp "$work/answer" "$work/$at.value"
      [ "$stage" = predict ] || [ "$stage" = pipeline ] || continue
      found=$(jq -c '[.score, .is_fraud]' "$work/answer") expected=$(jq -c ".records[$at].predict | [.score, .is_fraud]" "$bundle/golden.json")
      [ "$found" = "$expected" ] || check "$1: $stage, record $at" "$found" "$expected"
    done
    check "$1: $n golden records through $stage" done done
    [ "$stage" = pipeline ] || stop
  done
  # 18, 19: an array in, and objects out; 28: wrong data keep the action alive.
  jq -c '{value: [.records[].record]}' "$bundle/golden.json" >"$work/request"
  check "$1: an array is a batch" "$(post run "@$work/request") $(jq '.results | length' "$work/answer")" "200 $n"
  check "$1: wrong data" "$(post run '{"value":{"TransactionAmt":"five"}}') $(jq -c '.error.statusCode' "$work/answer")" "200 400"
  check "$1: a second /init" "$(post init "@$work/pipeline.json")" 403
}

start_docker
check "docker: 12. /init without code" "$(post init '{"value":{"code":null}}')" 200
check "docker: 14. a value that is no object" "$(post run '{"value":"A"}')" 404
stop
golden docker
[ -x "$work/action/exec" ] || { echo "FAILED  17. exec is not where the action runs"; exit 1; }
check "docker: 17. the folder of the action is where it runs" "$(ls "$work/action" | tr '\n' ' ')" "bundle exec stage "
stop

start_go
check "go: 23. /run before /init" "$(post run '{"value":{}}')" 500
check "go: 23. /init of nothing" "$(post init '{}')" 403
stop
golden go
stop
