#!/usr/bin/env bash
# test.sh: installs what is needed and runs all tests; the last line counts what all runners counted.
# Parts can be named: test.sh check unit races scripts end-to-end.
# shellcheck disable=SC2317  # parts and traps are called by name
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
source Tools/stack/ports.sh
source Tools/stack/kafka.sh
source Tools/stack/swift.sh

OUT=$ROOT/.build/test-results
TEST_RUN=$(absolute "${MARTLET_TEST_RUN:-.run/test}")
RESULTS=()
failed_parts=0

# part NAME COMMAND…: runs it, shows its output, notes how it ended, goes on.
part() {
  local name=$1 start=$EPOCHREALTIME status
  shift
  printf '\n== %s\n' "$name"
  # Not `… || status=`: behind that a part would go on after its first failed command.
  set +e
  (set -e && "$@") </dev/null 2>&1 | tee "$OUT/$name.log"
  status=${PIPESTATUS[0]}
  set -e
  if ((status == 0)); then
    RESULTS+=("$name|passed|$(seconds_since "$start")")
  else
    RESULTS+=("$name|FAILED ($status)|$(seconds_since "$start")")
    printf '%s\n' "$name" >>"$OUT/failed-parts"
    failed_parts=1
  fi
}

swift_tests() { # swift_tests NAME ARGUMENTS…
  local status=0
  # Both of SwiftPM's runners write: <name>.xml (XCTest, empty) and <name>-swift-testing.xml.
  MARTLET_TEST_RUN=$SERVERS timeout --kill-after=10 900 swift test --xunit-output "$OUT/$1.xml" "${@:2}" || status=$?
  ((status != 124)) || say "$1: not done within 15 minutes, ended"
  end_servers
  return "$status"
}

# What a test binary that crashed or was ended has left running: each of its servers has a pid file.
end_servers() {
  local file pid
  for file in "$SERVERS"/*/*.pid; do
    [[ -s $file ]] || continue
    pid=$(<"$file")
    ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qE 'postgres|mosquitto|kafka|martlet' || kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "${SERVERS:?}"/*
}

# One target at a time: all at once start dozens of servers on two cores, and wait for each other.
unit_tests() {
  local folder target status=0
  swift build --build-tests
  for folder in Tests/*/; do
    target=$(basename "$folder")
    grep -qE "^ +\"?$target\"?,|tests\(\"$target\"" Package.swift || continue
    compgen -G "$folder*.swift" >/dev/null || continue
    say "-- $target"
    swift_tests "unit-$target" --skip-build --filter "^${target}Tests\\." || status=1
  done
  return "$status"
}

# The wrappers' tests and the runtime's once more, under the thread sanitizer. Debian's librdkafka uses C11's threads, which it does not
# intercept: a preload maps them to POSIX threads.
race_tests() {
  local room status=0 preload=$ROOT/.build/tsan-threads.so
  cc -shared -fPIC -O1 -o "$preload" Shared/CLibraries/CRdKafka/tsan-threads.c
  swift build --build-tests --sanitize=thread --scratch-path .build/tsan
  for room in Postgres MQTT HTTP Kafka Runtime; do
    say "-- $room"
    TSAN_OPTIONS="suppressions=$ROOT/Tools/stack/tsan-suppressions.txt" \
      LD_PRELOAD=$([[ $room != @(Kafka|Runtime) ]] || echo "$preload") \
      swift_tests "races-$room" --skip-build --sanitize=thread --scratch-path .build/tsan --filter "^${room}Tests\\." || status=1
  done
  return "$status"
}

python_environment() {
  local venv=.build/venv wanted=Tests/EndToEnd/requirements.txt
  cmp -s "$wanted" "$venv/requirements.txt" || {
    say "Python packages of the tests …"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" || fail "the Python packages could not be installed"
    cp "$wanted" "$venv/requirements.txt"
  }
  PATH=$ROOT/.build/venv/bin:$PATH
}

python_tests() { # python_tests NAME FOLDER
  PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -q -ra --durations=5 -p no:cacheprovider --junit-xml "$OUT/$1.xml" "$2"
}

end_to_end() {
  Tools/stack/build.sh
  MARTLET_PORT_BASE=$(free_port_base)
  export MARTLET_PORT_BASE MARTLET_RUN=$TEST_RUN
  Tools/stack/clean.sh >/dev/null
  Tools/stack/up.sh
  set -a
  # shellcheck source=/dev/null
  source "$TEST_RUN/stack.env"
  set +a
  python_tests end-to-end Tests/EndToEnd
}

# The stack of these tests is ended and dropped however they end; after a failure its logs stay to be read.
finish_tests() {
  local status=$?
  trap - EXIT
  end_servers
  rmdir "$SERVERS"
  if [[ -d $TEST_RUN ]]; then
    rm -rf "$OUT/logs"
    mkdir -p "$OUT/logs"
    cp "$TEST_RUN"/*.log "$OUT/logs/" 2>/dev/null || true
    MARTLET_RUN=$TEST_RUN Tools/stack/clean.sh >/dev/null || status=1
  fi
  exit "$status"
}

summary() {
  local line
  printf '\n== summary\n'
  for line in "${RESULTS[@]}"; do
    IFS='|' read -r name how took <<<"$line"
    report "$name" "$how" "$took"
  done
  [[ ! -s $OUT/failed-parts ]] || say "  logs: $OUT/*.log, of the services: $OUT/logs"
  python3 Tools/stack/count_tests.py "$OUT"
}

wanted=" ${*:-check unit races scripts end-to-end} "
Tools/stack/install.sh
find_swift
# Programs that tests use and no package registry has; without them those tests are skipped.
if [[ -z ${MARTLET_TOOLS:-} && -x ../shared/tools/bin/versitygw ]]; then
  MARTLET_TOOLS=$(absolute ../shared/tools)
  export MARTLET_TOOLS
fi
define_ports
forget_own_bootstrap
need_space "$ROOT" 3000 "all tests"
rm -rf "$OUT"
mkdir -p "$OUT"
# Not in the checkout: PostgreSQL runs as another user, who may not see into it.
SERVERS=$(mktemp -d "${TMPDIR:-/tmp}/martlet-tests.XXXXXX")
chmod 755 "$SERVERS"
trap finish_tests EXIT
trap 'exit 130' INT TERM HUP
[[ $wanted != *" check "* ]] || part check Tools/stack/check.sh
[[ $wanted != *" unit "* ]] || part unit unit_tests
[[ $wanted != *" races "* ]] || part races race_tests
if [[ $wanted == *" scripts "* || $wanted == *" end-to-end "* ]]; then
  python_environment
  [[ $wanted != *" scripts "* ]] || part scripts python_tests scripts Tests/Stack
  if [[ $wanted == *" end-to-end "* ]]; then
    if [[ -n $(find Tests/EndToEnd -name 'test_*.py' -print -quit) ]]; then
      part end-to-end end_to_end
    else
      RESULTS+=("end-to-end|none there yet|-")
    fi
  fi
fi
status=0
summary || status=1
((failed_parts == 0)) || status=1
exit "$status"
