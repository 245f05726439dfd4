#!/usr/bin/env bash
# bench.sh: brings the stack up and measures it with martlet-bench. BENCH_ARGS is passed on.
source "$(dirname "$0")/lib.sh"
Tools/stack/up.sh
set -a
# shellcheck source=/dev/null
source "$RUN/stack.env"
set +a
read -r -a arguments <<<"${BENCH_ARGS:-}"
exec "$BIN/martlet-bench" "${arguments[@]}"
