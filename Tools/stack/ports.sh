# shellcheck shell=bash
# Loopback ports, all from MARTLET_PORT_BASE, each with a variable of its own. A second checkout takes another base
# (steps of 100). base: edge · +1…+4 the services, +11…+14 their second replicas · +5 PostgreSQL · +6 MQTT · +7, +8 Kafka.

MAXIMUM_REPLICAS=5
PORT_BASE=${MARTLET_PORT_BASE:-18080}
declare -A PORT PORT_VARIABLE

is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 < 65536)); }

define_port() { # define_port NAME VARIABLE OFFSET
  local value=${!2:-$((PORT_BASE + $3))}
  is_port "$value" || fail "$2=$value is not a port"
  PORT[$1]=$value PORT_VARIABLE[$1]=$2
}

define_ports() {
  is_port "$PORT_BASE" || fail "MARTLET_PORT_BASE=$PORT_BASE is not a port to start from"
  local index replica upper
  define_port edge MARTLET_EDGE_PORT 0
  define_port postgres MARTLET_POSTGRES_PORT 5
  define_port mosquitto MARTLET_MQTT_PORT 6
  define_port kafka MARTLET_KAFKA_PORT 7
  define_port kafka-controller MARTLET_KAFKA_CONTROLLER_PORT 8
  for index in "${!SERVICES[@]}"; do
    upper=${SERVICES[index]^^}
    define_port "${SERVICES[index]}" "MARTLET_${upper}_PORT" $((index + 1))
    for ((replica = 2; replica <= MAXIMUM_REPLICAS; replica++)); do
      define_port "${SERVICES[index]}-$replica" "MARTLET_${upper}_${replica}_PORT" $((10 * (replica - 1) + index + 1))
    done
  done
}

# Brokers and services that run were told their ports when they started: those count until 'make down'.
recall_ports() {
  local name port changed=
  [[ -s $RUN/state/ports ]] || return 0
  while read -r name port; do
    [[ ${PORT[$name]:-} == "$port" ]] || changed=1
    PORT[$name]=$port
  done <"$RUN/state/ports"
  [[ -z $changed ]] || say "The ports stay as they are while the stack runs ('make down' first to change them)."
}

remember_ports() {
  local name
  for name in "${!PORT[@]}"; do printf '%s %s\n' "$name" "${PORT[$name]}"; done | sort >"$RUN/state/ports"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port_base: for a stack beside others; below the range that the kernel gives out by itself.
free_port_base() {
  local base offset
  for ((base = 20080; base < 30000; base += 100)); do
    for offset in {0..8} {11..14}; do
      ! listening $((base + offset)) || continue 2
    done
    printf '%s' "$base"
    return
  done
  fail "no free range of ports between 20080 and 30000"
}

holder() { # holder PORT: who listens there, as far as we may know
  local users
  users=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -o 'users:.*' | head -n 1) || true
  if [[ $users =~ \"([^\"]+)\",pid=([0-9]+) ]]; then
    printf '%s (process %s)' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  else
    printf 'a process of another user'
  fi
}

# require_free NAME…: of those that have to be started, every taken port gets its line, then the script ends.
require_free() {
  local name port taken=
  for name in "$@"; do
    port=${PORT[$name]}
    listening "$port" || continue
    warn "port $port ($name) is taken by $(holder "$port"): set ${PORT_VARIABLE[$name]}, or MARTLET_PORT_BASE for all"
    taken=1
  done
  [[ -z $taken ]] || exit 1
}
