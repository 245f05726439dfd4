#!/usr/bin/env bash
# status.sh: what runs of the stack. Exits 1 if a part of a started stack does not run.
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
source Tools/stack/ports.sh
source Tools/stack/services.sh

define_ports
if [[ ! -s $RUN/state/ports ]]; then
  say "The stack under $RUN is down."
  exit 0
fi
recall_ports >/dev/null
replicas=$(cat "$RUN/state/replicas" 2>/dev/null || echo 1)
mapfile -t slots < <(each_slot "$replicas" | awk '{ print $3 }')
names=(postgres)
[[ $(cat "$RUN/state/kafka-way" 2>/dev/null) == external ]] || names+=(kafka)
names+=(mosquitto "${slots[@]}" edge)
missing=0
for name in "${names[@]}"; do
  where=127.0.0.1:${PORT[$name]}
  [[ $name != kafka ]] || where=$(cat "$RUN/state/kafka-own" 2>/dev/null || echo -)
  if ! running "$name"; then
    report "$name" "$where" "not running"
    missing=1
  elif [[ " ${slots[*]} " == *" $name "* ]] && ! curl -fsS -m 2 -o /dev/null "http://$where/readyz" 2>/dev/null; then
    report "$name" "$where" "running, not ready (process $(pid_of "$name"))"
    missing=1
  else
    report "$name" "$where" "running (process $(pid_of "$name"))"
  fi
done
! running simulate || report simulate "" "running (process $(pid_of simulate))"
exit "$missing"
