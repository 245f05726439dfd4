#!/usr/bin/env bash
# build.sh: the release executables in .build/release (BIN=folder given: those are used, nothing is built).
source "$(dirname "$0")/lib.sh"
source Tools/stack/swift.sh

if [[ -n $BIN_GIVEN ]]; then
  say "Using the executables in $BIN (BIN is set)."
  exit 0
fi
find_swift
need_space "$ROOT" 1500 "a build"
start=$EPOCHREALTIME
say "Building the release executables (the first time takes minutes) …"
swift build -c release --static-swift-stdlib -Xlinker -s -Xlinker --gc-sections </dev/null || {
  need_space "$ROOT" 50 "a build"
  fail "the build failed, see above"
}
say "Built in $(seconds_since "$start")."
