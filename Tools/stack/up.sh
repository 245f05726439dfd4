#!/usr/bin/env bash
# up.sh [REPLICAS]: starts what is not running of the stack, in order, and leaves the rest alone.
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
source Tools/stack/ports.sh
source Tools/stack/postgres.sh
source Tools/stack/kafka.sh
source Tools/stack/mosquitto.sh
source Tools/stack/services.sh
source Tools/stack/edge.sh
umask 077

# With nothing said, what ran before a part of it was killed counts; with a number, what runs.
wanted_replicas() {
  local wanted=${1:-} before
  [[ ${wanted:-1} == [1-$MAXIMUM_REPLICAS] ]] || fail "REPLICAS=$wanted: a number from 1 to $MAXIMUM_REPLICAS is needed"
  before=$(running_replicas)
  [[ -n $wanted ]] || ((before == 0)) || before=$(cat "$RUN/state/replicas" 2>/dev/null) || before=0
  wanted=${wanted:-1}
  printf '%s' $((wanted > before ? wanted : before))
}

anything_running() {
  local name
  for name in postgres kafka mosquitto edge; do ! running "$name" || return 0; done
  (($(running_replicas) > 0))
}

check_ports() { # check_ports REPLICAS: before anything is started
  local name needed=() way
  way=$(kafka_way)
  for name in postgres mosquitto edge; do settle "$name"; running "$name" || needed+=("$name"); done
  settle kafka
  [[ $way != kraft ]] || running kafka || needed+=(kafka kafka-controller)
  while read -r _ _ name; do settle "$name"; running "$name" || needed+=("$name"); done < <(each_slot "$1")
  ((${#needed[@]} == 0)) || require_free "${needed[@]}"
}

write_stack_env() {
  local service file=$RUN/stack.env
  {
    say "# How to reach the stack under $RUN: 'set -a; . stack.env'. Holds secrets."
    say "MARTLET_URL=http://127.0.0.1:${PORT[edge]}"
    say "MARTLET_ROOT_KEY=$(secret root-key)"
    say "MARTLET_MQTT_HOST=127.0.0.1"
    say "MARTLET_MQTT_PORT=${PORT[mosquitto]}"
    say "MARTLET_MQTT_SIM_USER=simulator"
    say "MARTLET_MQTT_SIM_PASSWORD=$(secret mqtt-simulator)"
    say "MARTLET_KAFKA_BOOTSTRAP=$KAFKA_BOOTSTRAP"
    say "MARTLET_DATABASE_URL=$(database_url martlet)"
    for service in "${SERVICES[@]}"; do say "MARTLET_${service^^}_URL=http://127.0.0.1:${PORT[$service]}"; done
  } >"$file.new"
  mv "$file.new" "$file"
}

need_tool setpriv "util-linux"
need_tool curl "asking whether a service is ready"
make_run_folder
need_space "$RUN" 400 "the stack"
lock_run_folder
start=$EPOCHREALTIME
define_ports
forget_own_bootstrap
if anything_running; then recall_ports; fi
replicas=$(wanted_replicas "${1:-}")
check_ports "$replicas"
remember_ports
printf '%s\n' "$replicas" >"$RUN/state/replicas"

say "Starting the stack under $RUN"
start_postgres
start_kafka
create_topics
start_mosquitto
# Before the services: whoever looks into a stack that does not come up needs these.
write_stack_env
start_services "$replicas"
start_edge "$replicas"
say "Up in $(seconds_since "$start"): http://127.0.0.1:${PORT[edge]}  (addresses and keys: $RUN/stack.env, logs: $RUN/*.log, end: make down)"
