#!/usr/bin/env bash
# clean.sh: ends the stack and drops its data, secrets and logs.
source "$(dirname "$0")/lib.sh"
Tools/stack/down.sh
[[ -d $RUN ]] || exit 0
# Only a folder that a stack has made is removed, whatever MARTLET_RUN says.
[[ -d $RUN/state || -e $RUN/stack.env ]] || fail "$RUN was not made by this stack: left alone"
if [[ -L $RUN/postgres ]]; then
  away=$(readlink -m "$RUN/postgres")
  [[ $away != /var/lib/martlet/*/postgres ]] || rm -rf "$(dirname "$away")"
fi
rm -rf "$RUN" || fail "not enough rights to remove all of $RUN"
say "Removed $RUN."
