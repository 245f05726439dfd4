#!/usr/bin/env bash
# bench.sh: brings the stack up, puts a simulated fleet on it, and measures it with martlet-bench.
# BENCH_ARGS is passed on (--seconds 30 --in-flight 128 …), BENCH_DEVICES is the size of the fleet.
source "$(dirname "$0")/lib.sh"
Tools/stack/up.sh
set -a
# shellcheck source=/dev/null
source "$RUN/stack.env"
set +a
folder="$RUN/bench"
"$BIN/martlet-bench" prepare --devices "${BENCH_DEVICES:-1000}" --folder "$folder"
"$BIN/martlet" simulate --devices-file "$folder/devices.txt" --mqtt-host "$MARTLET_MQTT_HOST" \
  --mqtt-port "$MARTLET_MQTT_PORT" --mqtt-user "$MARTLET_MQTT_SIM_USER" --quiet >"$RUN/bench-fleet.log" 2>&1 &
fleet=$!
echo "$fleet" >"$RUN/bench-fleet.pid"
trap 'kill "$fleet" 2>/dev/null || true; wait "$fleet" 2>/dev/null || true; rm -f "$RUN/bench-fleet.pid"' EXIT
sleep 5
read -r -a arguments <<<"${BENCH_ARGS:-}"
"$BIN/martlet-bench" commands --folder "$folder" --run "$RUN" "${arguments[@]}"
