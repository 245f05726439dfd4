#!/usr/bin/env bash
# down.sh: ends all that runs of the stack, front door first, database last, each by its pid. The data stays.
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
source Tools/stack/ports.sh
source Tools/stack/services.sh

if [[ ! -d $RUN/state ]]; then
  say "Nothing runs under $RUN."
  exit 0
fi
make_run_folder
lock_run_folder
start=$EPOCHREALTIME

end() { # end SECONDS SIGNAL NAME…: asked together, then waited for
  local bound=$1 how=$2 name
  shift 2
  for name in "$@"; do signal "$name" "$how"; done
  for name in "$@"; do finish "$name" "$bound"; done
}

mapfile -t slots < <(each_slot "$MAXIMUM_REPLICAS" | awk '{ print $3 }')
end 5 TERM simulate edge
end 15 TERM "${slots[@]}"
end 10 TERM mosquitto
end 30 TERM kafka
# SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
end 30 INT postgres

left=0
for file in "$RUN"/*.pid; do
  [[ ! -e $file ]] || { warn "still there: $file"; left=1; }
done
((left == 0)) || fail "something of the stack still runs"
rm -f "$RUN/state/ports"
say "Down in $(seconds_since "$start"); the data stays under $RUN ('make clean' drops it)."
