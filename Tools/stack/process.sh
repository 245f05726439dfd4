# shellcheck shell=bash
# Processes that outlive their script: started detached, known by pid and start time, stopped by pid alone.

pid_of() { cat "$RUN/$1.pid" 2>/dev/null; }

# identity PID: pid, start time in ticks, boot. A number that the kernel gave out again has another one.
identity() {
  local stat
  # Not $(<file): bash leaves the script without a word when that file has just gone.
  { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -r -a stat <<<"${stat##*) }"
  [[ ${stat[0]} != [ZX] ]] || return 1
  printf '%s %s %s' "$1" "${stat[19]}" "$(</proc/sys/kernel/random/boot_id)"
}

running() { # running NAME: its pid file names a live process, and the very one that was started
  local pid
  pid=$(pid_of "$1") && [[ $pid =~ ^[0-9]+$ ]] || return 1
  [[ $(identity "$pid") == "$(cat "$RUN/state/$1.id" 2>/dev/null)" ]]
}

group_alive() { # group_alive PID: anyone but zombies left in the group that this process led
  local file stat
  for file in /proc/[0-9]*/stat; do
    { IFS= read -r stat <"$file"; } 2>/dev/null || continue
    read -r -a stat <<<"${stat##*) }"
    [[ ${stat[2]:-} != "$1" || ${stat[0]} == [ZX] ]] || return 0
  done
  return 1
}

# end_group PID SECONDS: the children that a killed leader left (nginx workers hold the port, PostgreSQL's the memory).
end_group() {
  local pid=$1 deadline=$((SECONDS + $2))
  while group_alive "$pid"; do
    if ((SECONDS >= deadline)); then kill -KILL -- "-$pid" 2>/dev/null || true; else kill -TERM -- "-$pid" 2>/dev/null || true; fi
    ((SECONDS <= deadline + 3)) || return 1
    sleep 0.1
  done
}

# settle NAME: a pid file without its process is removed, with what is left of its group.
settle() {
  local pid id boot
  [[ -e $RUN/$1.pid || -e $RUN/state/$1.id ]] && ! running "$1" || return 0
  read -r pid _ boot <"$RUN/state/$1.id" 2>/dev/null || true
  id=$(pid_of "$1") || true
  if [[ -n ${pid:-} && $id == "$pid" && ${boot:-} == "$(</proc/sys/kernel/random/boot_id)" ]] &&
    ! identity "$pid" >/dev/null; then
    end_group "$pid" 3 || fail "what is left of $1 (process group $pid) does not end"
  fi
  rm -f "$RUN/$1.pid" "$RUN/state/$1.id"
}

# launch NAME COMMAND…: own session, no input, log and pid under $RUN. Secrets go by the environment, never as arguments.
launch() {
  local name=$1 log=$RUN/$1.log pid
  shift
  settle "$name"
  [[ ! -f $log ]] || (($(stat -c %s "$log") < 50000000)) || mv "$log" "$log.1"
  setsid "$@" </dev/null >>"$log" 2>&1 9>&- &
  pid=$!
  identity "$pid" >"$RUN/state/$name.id" || true
  printf '%s\n' "$pid" >"$RUN/$name.pid"
}

show_log() {
  [[ -s $RUN/$1.log ]] || return 0
  warn "the last lines of $RUN/$1.log:"
  tail -n 15 "$RUN/$1.log" | cut -c1-400 | sed 's/^/    /' >&2
  local free
  free=$(free_mib "$RUN")
  [[ -z $free ]] || ((free >= 50)) || warn "disk full: $free MiB free at $RUN"
}

# wait_for NAME SECONDS COMMAND…: until the command succeeds; ends early when the process has ended.
wait_for() {
  local name=$1 bound=$2 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! running "$name"; then
      show_log "$name"
      fail "$name ended while starting"
    elif ((SECONDS >= deadline)); then
      show_log "$name"
      fail "$name is not ready after $bound s${NOT_READY:+: $("$NOT_READY" || true)}"
    fi
    sleep 0.1
  done
}

# signal NAME [SIGNAL]: asks a running process of ours to end, and does not wait.
signal() {
  running "$1" || return 0
  kill -"${2:-TERM}" "$(pid_of "$1")" 2>/dev/null || ! running "$1" ||
    fail "not enough rights to stop $1 (process $(pid_of "$1")): it belongs to another user"
}

# finish NAME SECONDS: waits for the end, kills what is still there then, and tidies up.
finish() {
  local pid deadline=$((SECONDS + $2))
  pid=$(pid_of "$1") || pid=
  while running "$1"; do
    if ((SECONDS >= deadline)); then
      warn "$1 did not end within $2 s: killed"
      kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
      deadline=$((SECONDS + 5))
    fi
    sleep 0.1
  done
  settle "$1"
}
