# shellcheck shell=bash disable=SC2034
# The four services and their replicas: each gets its own environment and nothing on its command line.

slot() { if (($2 == 1)); then printf '%s' "$1"; else printf '%s-%s' "$1" "$2"; fi; }

# each_slot REPLICAS: "service replica name" per line, the services' first replicas first.
each_slot() {
  local replica service
  for ((replica = 1; replica <= $1; replica++)); do
    for service in "${SERVICES[@]}"; do printf '%s %s %s\n' "$service" "$replica" "$(slot "$service" "$replica")"; done
  done
}

# running_replicas: the highest replica of any service that runs now (0: none).
running_replicas() {
  local highest=0 service replica name
  while read -r service replica name; do
    ! running "$name" || highest=$replica
  done < <(each_slot "$MAXIMUM_REPLICAS")
  printf '%s' "$highest"
}

# The authority that signs the devices' certificates on this machine: made once, kept over down and up.
device_authority() {
  local folder=$RUN/secrets
  [[ ! -s $folder/device-ca.pem ]] || return 0
  (
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
      -addext keyUsage=critical,keyCertSign,cRLSign -subj "/CN=Martlet devices ($(hostname))" -keyout "$folder/device-ca.key" -out "$folder/device-ca.new" 2>/dev/null
    mv "$folder/device-ca.new" "$folder/device-ca.pem"
  )
}

launch_service() ( # a subshell: what is exported here reaches this one process only
  service=$1 replica=$2 name=$3
  [[ -x $BIN/martlet-$service ]] || fail "$BIN/martlet-$service is missing: build first ('make up' does)"
  unset MARTLET_ROOT_KEY MARTLET_MQTT_SIM_USER MARTLET_MQTT_SIM_PASSWORD
  MARTLET_DATABASE_URL=$(database_url "$service")
  export MARTLET_DATABASE_URL MARTLET_DATABASE_SCHEMA=$service
  export MARTLET_HTTP_HOST=127.0.0.1 MARTLET_HTTP_PORT=${PORT[$name]}
  export MARTLET_KAFKA_BOOTSTRAP=$KAFKA_BOOTSTRAP MARTLET_REPLICA=$replica MARTLET_LOG_LEVEL=${MARTLET_LOG_LEVEL:-info}
  if [[ $service == bridge ]]; then
    MARTLET_MQTT_PASSWORD=$(secret mqtt-bridge)
    export MARTLET_MQTT_HOST=127.0.0.1 MARTLET_MQTT_PORT=${PORT[mosquitto]} MARTLET_MQTT_USER=bridge MARTLET_MQTT_PASSWORD
  else
    MARTLET_ROOT_KEY=$(secret root-key)
    export MARTLET_ROOT_KEY
  fi
  if [[ $service == config ]]; then
    export MARTLET_OBJECTS_FOLDER=${MARTLET_OBJECTS_FOLDER:-$RUN/objects}
    export MARTLET_OBJECTS_URL=${MARTLET_OBJECTS_URL:-http://127.0.0.1:${PORT[edge]}}
  fi
  if [[ $service == registry ]]; then
    device_authority
    export MARTLET_DEVICE_CA_CERTIFICATE=$RUN/secrets/device-ca.pem MARTLET_DEVICE_CA_KEY=$RUN/secrets/device-ca.key
  fi
  launch "$name" "$BIN/martlet-$service"
)

service_ready() { curl -fsS -m 2 -o /dev/null "http://127.0.0.1:${PORT[$1]}/readyz"; }
# Named by $NOT_READY when the wait is over: the service's own words on what is missing.
readyz_says() { curl -sS -m 2 "http://127.0.0.1:${PORT[$WAITED]}/readyz" 2>&1 | tr '\n' ' ' | cut -c1-400; }

# A broker that came back elsewhere (the embedded one picks its port) is not found by services that run.
restart_services_if_kafka_moved() {
  local service replica name before
  before=$(cat "$RUN/state/services-kafka" 2>/dev/null) || before=$KAFKA_BOOTSTRAP
  printf '%s\n' "$KAFKA_BOOTSTRAP" >"$RUN/state/services-kafka"
  [[ $before != "$KAFKA_BOOTSTRAP" ]] && (($(running_replicas) > 0)) || return 0
  say "  Kafka's address has changed: the services are started again"
  while read -r service replica name; do signal "$name"; done < <(each_slot "$MAXIMUM_REPLICAS")
  while read -r service replica name; do finish "$name" 15; done < <(each_slot "$MAXIMUM_REPLICAS")
}

start_services() { # start_services REPLICAS
  local service replica name start=$EPOCHREALTIME started=()
  restart_services_if_kafka_moved
  while read -r service replica name; do
    if running "$name"; then
      report "$name" "127.0.0.1:${PORT[$name]}" "already running"
    else
      launch_service "$service" "$replica" "$name"
      started+=("$name")
    fi
  done < <(each_slot "$1")
  NOT_READY=readyz_says
  for WAITED in "${started[@]}"; do
    wait_for "$WAITED" 60 service_ready "$WAITED"
    report "$WAITED" "127.0.0.1:${PORT[$WAITED]}" "ready ($(seconds_since "$start"))"
  done
  NOT_READY=
}
