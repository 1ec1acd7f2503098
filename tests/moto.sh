# Sourced: `need_store` starts moto's S3 server from `venv` in this folder (made if need be; further packages that are named
# are installed too), with a bucket `runs`, and says to the environment where it is; `end_store` ends it. It takes any credentials.
store_pid=
need_store() {
  if ! [ -x venv/bin/pip ]; then
    python3 -m venv venv 2> /dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv > /dev/null; python3 -m venv venv; }
  fi
  venv/bin/pip install --quiet --disable-pip-version-check 'moto[server]>=5,<6' "$@"
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  venv/bin/moto_server -H 127.0.0.1 -p "$port" > server.log 2>&1 &
  store_pid=$!
  export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=not-a-secret
  for _ in $(seq 200); do curl -sf "$AWS_ENDPOINT_URL/moto-api/" -o /dev/null && break; sleep 0.1; done
  curl -sf -X PUT "$AWS_ENDPOINT_URL/runs" -o /dev/null
}
end_store() {
  if [ -n "$store_pid" ]; then kill "$store_pid" 2> /dev/null || true; wait "$store_pid" 2> /dev/null || true; fi
  store_pid=
}
