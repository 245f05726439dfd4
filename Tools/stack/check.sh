#!/usr/bin/env bash
# check.sh: format, warnings (they are errors), layers, sizes. Fast, changes nothing.
source "$(dirname "$0")/lib.sh"
source Tools/stack/swift.sh
find_swift

say "Format"
swift format lint --strict --recursive Shared Services Tools Tests Package.swift ||
  fail "the format is not the house's: 'make format' mends most of it"
say "Build with checked imports"
swift build --explicit-target-dependency-import-check error </dev/null
say "Layers, sizes, scripts"
Tools/stack/lint.sh
say "Checked."
