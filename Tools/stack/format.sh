#!/usr/bin/env bash
# format.sh: puts the Swift sources into the house's format.
source "$(dirname "$0")/lib.sh"
source Tools/stack/swift.sh
find_swift
swift format --in-place --recursive Shared Services Tools Tests Package.swift
