# shellcheck shell=bash
# Kafka in three ways: the one that MARTLET_KAFKA_BOOTSTRAP names, a KRaft node from KAFKA_HOME under $RUN/kafka,
# or the embedded development broker (in memory). Sets KAFKA_BOOTSTRAP.

# The embedded broker cannot be asked to create topics, so it is told at its start. All others: `martlet topics create`.
KAFKA_TOPICS=(martlet.registry.entities martlet.registry.events martlet.commands.events martlet.config.events
  martlet.device.downlink martlet.device.uplink martlet.device.selection martlet.device.selected martlet.config.requests
  martlet.registry.key-uses martlet.dead-letter)

# A shell that has sourced stack.env names our own broker: that is no wish for an external one.
forget_own_bootstrap() {
  case ${MARTLET_KAFKA_BOOTSTRAP:-} in
    '') ;;
    "$(cat "$RUN/state/kafka-own" 2>/dev/null)") unset MARTLET_KAFKA_BOOTSTRAP ;;
    "127.0.0.1:${PORT[kafka]}") listening "${PORT[kafka]}" || unset MARTLET_KAFKA_BOOTSTRAP ;;
  esac
}

kafka_way() {
  if running kafka; then
    cat "$RUN/state/kafka-way"
  elif [[ -n ${MARTLET_KAFKA_BOOTSTRAP:-} ]]; then
    echo external
  elif [[ -n ${KAFKA_HOME:-} ]]; then
    echo kraft
  else
    echo embedded
  fi
}

remember_kafka_way() {
  local before
  before=$(cat "$RUN/state/kafka-way" 2>/dev/null) || before=$1
  [[ $before == "$1" ]] ||
    warn "Kafka was '$before' before and is '$1' now: what was in its topics is not taken over ('make clean' starts afresh)"
  printf '%s\n' "$1" >"$RUN/state/kafka-way"
}

start_kraft() {
  local folder=$RUN/kafka start=$EPOCHREALTIME
  [[ -x $KAFKA_HOME/bin/kafka-server-start.sh ]] ||
    fail "KAFKA_HOME=$KAFKA_HOME holds no Kafka distribution (bin/kafka-server-start.sh is not there)"
  [[ -n ${JAVA_HOME:-} ]] || need_tool java "Kafka needs a Java runtime, version 17 or later"
  mkdir -p "$folder/logs"
  render deploy/kafka/development.properties.in PORT="${PORT[kafka]}" CONTROLLER_PORT="${PORT[kafka-controller]}" \
    DATA="$folder/data" >"$folder/server.properties"
  export LOG_DIR=$folder/logs KAFKA_HEAP_OPTS=${MARTLET_KAFKA_HEAP:--Xms256m -Xmx512m}
  # A node of minutes on two cores: the optimising compiler took a third of its time, and G1 marks a small heap
  # over and over. Large pages: a seventh less, since a virtual machine looks each page up twice.
  export KAFKA_OPTS=${MARTLET_KAFKA_JVM:--XX:-UseG1GC -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+UseTransparentHugePages}
  if [[ ! -s $folder/data/meta.properties ]]; then
    say "  Kafka        formatting its data folder (two starts of Java, then the broker's)"
    "$KAFKA_HOME/bin/kafka-storage.sh" format -t "$("$KAFKA_HOME/bin/kafka-storage.sh" random-uuid)" \
      -c "$folder/server.properties" </dev/null >"$RUN/kafka.log" 2>&1 ||
      { show_log kafka; fail "Kafka's data folder could not be formatted"; }
  fi
  launch kafka "$KAFKA_HOME/bin/kafka-server-start.sh" "$folder/server.properties"
  printf '%s\n' "127.0.0.1:${PORT[kafka]}" >"$RUN/state/kafka-own"
  wait_for kafka 90 listening "${PORT[kafka]}"
  report Kafka "127.0.0.1:${PORT[kafka]}" "started from KAFKA_HOME ($(seconds_since "$start"))"
}

start_embedded_kafka() {
  local file=$RUN/state/kafka-port topic arguments=() address start=$EPOCHREALTIME
  [[ -x $BIN/devkafka ]] || fail "$BIN/devkafka is missing: build first ('make up' does)"
  for topic in "${KAFKA_TOPICS[@]}"; do arguments+=(--topic "$topic:6"); done
  rm -f "$file"
  launch kafka "$BIN/devkafka" --port-file "$file" "${arguments[@]}"
  wait_for kafka 30 test -s "$file"
  address=$(<"$file")
  [[ $address == *:* ]] || address=127.0.0.1:$address
  printf '%s\n' "$address" >"$RUN/state/kafka-own"
  report Kafka "$address" "started, embedded: IN MEMORY, for trying out only ($(seconds_since "$start"))"
}

start_kafka() {
  local way
  way=$(kafka_way)
  if running kafka; then
    [[ -z ${MARTLET_KAFKA_BOOTSTRAP:-} ]] ||
      fail "this stack runs its own Kafka; 'make down' first to use MARTLET_KAFKA_BOOTSTRAP=$MARTLET_KAFKA_BOOTSTRAP"
    KAFKA_BOOTSTRAP=$(<"$RUN/state/kafka-own")
    report Kafka "$KAFKA_BOOTSTRAP" "already running ($way)"
    return
  fi
  remember_kafka_way "$way"
  case $way in
    external)
      KAFKA_BOOTSTRAP=$MARTLET_KAFKA_BOOTSTRAP
      report Kafka "$KAFKA_BOOTSTRAP" "external (MARTLET_KAFKA_BOOTSTRAP)"
      ;;
    kraft) start_kraft ;;
    embedded) start_embedded_kafka ;;
  esac
  KAFKA_BOOTSTRAP=${KAFKA_BOOTSTRAP:-$(<"$RUN/state/kafka-own")}
}

create_topics() {
  [[ $(<"$RUN/state/kafka-way") != embedded ]] || return 0
  [[ -x $BIN/martlet ]] || fail "$BIN/martlet is missing: build first ('make up' does)"
  timeout 60 "$BIN/martlet" topics create --bootstrap "$KAFKA_BOOTSTRAP" </dev/null >"$RUN/state/topics.log" 2>&1 ||
    fail "the topics could not be created at $KAFKA_BOOTSTRAP: $(tail -n 1 "$RUN/state/topics.log")"
}
