# shellcheck shell=bash
# The edge: Debian's nginx with a configuration, prefix and pid of our own under $RUN/edge.

upstreams() { # upstreams REPLICAS: one group of servers per service
  local service replica
  for service in "${SERVICES[@]}"; do
    printf '  upstream %s {\n' "$service"
    for ((replica = 1; replica <= $1; replica++)); do
      printf '    server 127.0.0.1:%s max_fails=1 fail_timeout=1s;\n' "${PORT[$(slot "$service" "$replica")]}"
    done
    printf '    keepalive 128;\n    keepalive_requests 1000000;\n    keepalive_timeout 20s;\n  }\n'
  done
}

write_edge_configuration() { # write_edge_configuration REPLICAS FILE
  local user='' access='access_log off;'
  # Only a master that runs as root may choose its workers' user; they stay who started the stack.
  ((EUID != 0)) || user='user root;'
  [[ ${MARTLET_EDGE_ACCESS_LOG:-off} != on ]] || access="access_log $RUN/edge/access.log json;"
  render Services/edge/nginx.conf.in USER="$user" FOLDER="$RUN/edge" PORT="${PORT[edge]}" ACCESS_LOG="$access" \
    UPSTREAMS="$(upstreams "$1")" >"$2"
}

# Whether these have closed what was idle: what is under way they still finish.
workers_leave() {
  local worker
  for worker in "$@"; do
    [[ ! -e /proc/$worker ]] || grep -q 'shutting down' "/proc/$worker/cmdline" 2>/dev/null || return 1
  done
}

start_edge() { # start_edge REPLICAS
  local folder=$RUN/edge file=$RUN/edge/nginx.conf start=$EPOCHREALTIME workers
  need_tool nginx "the edge"
  mkdir -p "$folder/temp"
  write_edge_configuration "$1" "$file.new"
  nginx -q -t -e stderr -p "$folder/" -c "$file.new" </dev/null >"$folder/test.log" 2>&1 ||
    fail "nginx does not accept its configuration: $(tail -n 2 "$folder/test.log" | tr '\n' ' ')"
  if running edge && cmp -s "$file" "$file.new"; then
    report edge "127.0.0.1:${PORT[edge]}" "already running"
    return
  fi
  mv "$file.new" "$file"
  if running edge; then
    workers=$(pgrep -P "$(pid_of edge)" || true)
    signal edge HUP
    # They close the clients' idle connections, which a client may be about to use: not after we have said "Up".
    # shellcheck disable=SC2086  # one word for each
    wait_for edge 10 workers_leave $workers
    report edge "127.0.0.1:${PORT[edge]}" "told of the replicas"
    return
  fi
  launch edge nginx -e stderr -p "$folder/" -c "$file"
  wait_for edge 15 curl -fsS -m 2 -o /dev/null "http://127.0.0.1:${PORT[edge]}/livez"
  report edge "127.0.0.1:${PORT[edge]}" "started ($(seconds_since "$start"))"
}
