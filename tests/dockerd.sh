# Sourced: `need_docker WORK` installs docker.io and starts dockerd where there is none (needs root); `end_docker` ends it.
dockerd_pid=
docker_work=
need_docker() {
  docker_work=$(realpath "$1")
  docker info >/dev/null 2>&1 && return
  command -v dockerd >/dev/null || { apt-get update -qq && apt-get install -y -qq docker.io; } >"$1/apt.log" 2>&1
  for driver in overlay2 vfs; do
    dockerd --storage-driver="$driver" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" >"$1/dockerd.log" 2>&1 &
    dockerd_pid=$!
    for _ in $(seq 100); do
      docker info >/dev/null 2>&1 && return
      kill -0 "$dockerd_pid" 2>/dev/null || break
      sleep 0.2
    done
    end_docker
  done
  tail -20 "$1/dockerd.log" >&2
  echo "dockerd does not start" >&2
  exit 1
}
end_docker() {
  if [ -n "$dockerd_pid" ]; then
    kill "$dockerd_pid" 2>/dev/null || true; wait "$dockerd_pid" 2>/dev/null || true
    # `--network host` leaves the namespace mounted at exec/netns/default, and its folder cannot be removed before.
    awk -v under="$docker_work/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r -n 1 umount -l
  fi
  dockerd_pid=
}
