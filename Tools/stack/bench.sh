#!/usr/bin/env bash
# bench.sh: brings the stack up and measures it: first beside the reference, where ../shared/reference is there (by turns,
# in the same minutes: its ratios are what counts on a machine whose speed varies), then whole lifecycles of a simulated
# fleet with martlet-bench, with the CPU of each process.
# GROUP=registry measures the registry with 10,000 and with 1,000,000 devices instead, GROUP=config a binding of a board with
# 100,000 devices, GROUP=scale a bulk command to 100,000 devices, and deadlines beside 1,000,000 open commands.
# BENCH_ARGS is passed on to martlet-bench (--seconds 30 --in-flight 128 …), BENCH_DEVICES is the size of the fleet,
# BENCH_ROUNDS and BENCH_SECONDS are the reference's.
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
if running kafka; then
  warn "Kafka runs already: if it was not started by 'make bench', it has the compiler that starts fast ('make down' first)"
else
  # The JVM's own compilers: they need a minute of load, which the comparison gives them, and take half as long then.
  export MARTLET_KAFKA_JVM=${MARTLET_KAFKA_JVM:--XX:-UseG1GC -XX:+UseSerialGC -XX:+UseTransparentHugePages}
fi
Tools/stack/up.sh
set -a
# shellcheck source=/dev/null
source "$RUN/stack.env"
set +a
read -r -a arguments <<<"${BENCH_ARGS:-}"
case ${GROUP:-commands} in
  commands) ;;
  registry) exec "$BIN/martlet-bench" registry --run "$RUN" "${arguments[@]}" ;;
  config) exec "$BIN/martlet-bench" config --run "$RUN" "${arguments[@]}" ;;
  scale) exec "$BIN/martlet-bench" scale --run "$RUN" "${arguments[@]}" ;;
  *) fail "there is no group of measurements called $GROUP: commands, registry, config or scale" ;;
esac
if [[ -f ../shared/reference/compare.py ]]; then
  say "Beside the reference (Martlet / reference; 'ratio' is the median of the rounds) …"
  python3 ../shared/reference/compare.py "${BENCH_ROUNDS:-3}" "${BENCH_SECONDS:-10}" | python3 Tools/stack/show_comparison.py
fi
folder="$RUN/bench"
"$BIN/martlet-bench" prepare --devices "${BENCH_DEVICES:-1000}" --folder "$folder"
"$BIN/martlet" simulate --devices-file "$folder/devices.txt" --mqtt-host "$MARTLET_MQTT_HOST" \
  --mqtt-port "$MARTLET_MQTT_PORT" --mqtt-user "$MARTLET_MQTT_SIM_USER" --quiet >"$RUN/bench-fleet.log" 2>&1 &
fleet=$!
echo "$fleet" >"$RUN/bench-fleet.pid"
trap 'kill "$fleet" 2>/dev/null || true; wait "$fleet" 2>/dev/null || true; rm -f "$RUN/bench-fleet.pid"' EXIT
sleep 5
"$BIN/martlet-bench" commands --folder "$folder" --run "$RUN" "${arguments[@]}"
