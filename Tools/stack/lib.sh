# shellcheck shell=bash disable=SC2034
# What every stack script starts with: strict mode, places, short messages, secrets.
set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
absolute() { if [[ $1 == /* ]]; then printf '%s' "$1"; else printf '%s/%s' "$ROOT" "$1"; fi; }

# All that a stack leaves behind is under $RUN; MARTLET_RUN puts a second stack beside the first.
RUN=$(absolute "${MARTLET_RUN:-.run}")
# Where the built executables are; BIN=folder takes others, and then nothing is built.
BIN_GIVEN=${BIN:-}
BIN=$(absolute "${BIN:-.build/release}")
# mosquitto and nginx live where the PATH of an ordinary user does not look.
PATH=$PATH:/usr/sbin:/sbin
SERVICES=(registry config commands bridge)

say() { printf '%s\n' "$*"; }
# One line of a table: what, where, what happened.
report() { printf '  %-12s %-24s %s\n' "$1" "$2" "$3"; }
warn() { printf 'martlet: %s\n' "$*" >&2; }
fail() {
  warn "$*"
  exit 1
}

need_tool() { # need_tool COMMAND WHAT-FOR
  command -v "$1" >/dev/null || fail "$1 is missing ($2): run Tools/stack/install.sh"
}

free_mib() { df -Pm "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'; }
need_space() { # need_space FOLDER MIB WHAT-FOR
  local free
  free=$(free_mib "$1") || return 0
  [[ -z $free ]] || ((free >= $2)) ||
    fail "disk full: $free MiB free at $1, $3 needs about $2 MiB"
}

make_run_folder() {
  # Others may pass through (PostgreSQL runs as its own user), nobody may look around.
  if ! { (umask 066 && mkdir -p "$RUN") && [[ -w $RUN ]]; } 2>/dev/null; then
    fail "not enough rights: $RUN cannot be written by $(id -un); did another user (root?) start this stack?"
  fi
  chmod 0711 "$RUN" 2>/dev/null || true
  mkdir -p "$RUN/state" "$RUN/secrets"
  chmod 0700 "$RUN/state" "$RUN/secrets" 2>/dev/null ||
    fail "not enough rights: $RUN belongs to $(stat -c %U "$RUN"), you are $(id -un)"
}

# One script at a time changes a run folder; the lock ends with the script.
lock_run_folder() {
  exec 9>"$RUN/state/lock"
  flock -w 120 9 || fail "another 'make up' or 'make down' has held $RUN for two minutes"
}

# secret NAME: a random value, made once, readable by its owner only, kept over down and up.
secret() {
  local file=$RUN/secrets/$1
  [[ -s $file ]] || (
    umask 077
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file.new"
    mv "$file.new" "$file"
  )
  cat "$file"
}

# render TEMPLATE NAME=VALUE…: the template with each @NAME@ replaced; nothing may be left unreplaced.
render() {
  local text pair
  text=$(<"$1")
  for pair in "${@:2}"; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
  [[ ! $text =~ @[A-Z_]+@ ]] || fail "$1: nothing given for ${BASH_REMATCH[0]}"
  printf '%s\n' "$text"
}

seconds_since() { # seconds_since START, both as $EPOCHREALTIME
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'
}
