#!/usr/bin/env bash
# install.sh: the Debian packages that building, running and testing need; nothing to do is done at once and offline.
source "$(dirname "$0")/lib.sh"
source Tools/stack/swift.sh

PACKAGES=(libmicrohttpd-dev libcurl4-openssl-dev librdkafka-dev libpq-dev libmosquitto-dev libssl-dev
  libre2-dev libstdc++-12-dev
  libjemalloc-dev
  postgresql mosquitto mosquitto-clients nginx-light
  pkg-config curl jq git iproute2 python3 python3-venv ca-certificates openssl)
POLICY=/usr/sbin/policy-rc.d
LOG=.build/install.log

missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# While packages are installed none of Debian's own PostgreSQL, Mosquitto, nginx may start: the stack runs its own.
hold_services() {
  if [[ -e $POLICY ]]; then as_root mv "$POLICY" "$POLICY.martlet"; fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
  as_root chmod 0755 "$POLICY"
}
release_services() {
  as_root rm -f "$POLICY"
  [[ ! -e $POLICY.martlet ]] || as_root mv "$POLICY.martlet" "$POLICY"
}

# …nor at the next boot, but only those that came with this installation.
disable_new_services() {
  local unit
  [[ -d /run/systemd/system ]] || return 0
  for unit in postgresql mosquitto nginx; do
    [[ " $* " != *" $unit"* ]] || as_root systemctl disable --quiet "$unit" >>"$LOG" 2>&1 || true
  done
}

apt_failed() {
  tail -n 8 "$LOG" | sed 's/^/    /' >&2
  if grep -q 'No space left' "$LOG"; then fail "disk full while installing packages"; fi
  if grep -q 'Could not get lock' "$LOG"; then fail "another apt or dpkg is running: try again when it is done"; fi
  fail "the packages could not be installed (whole log: $LOG); by hand: apt-get install $*"
}

# apt QUIETLY, with its output in the log and without standard input.
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$LOG" 2>&1
}

install_packages() {
  command -v apt-get >/dev/null ||
    fail "this is no Debian (no apt-get): install yourself what these Debian packages hold: $*"
  ((EUID == 0)) || command -v sudo >/dev/null ||
    fail "not enough rights: as root, once: apt-get install -y $*"
  ((EUID == 0)) || sudo -n true 2>/dev/null || [[ -t 2 ]] ||
    fail "not enough rights (sudo wants a password): as root, once: apt-get install -y $*"
  need_space /usr 1500 "the packages"
  mkdir -p .build
  : >"$LOG"
  say "Installing: $*"
  # A run that was killed in between left the saved policy behind.
  [[ ! -e $POLICY.martlet ]] || release_services
  trap release_services EXIT
  hold_services
  say "  package lists …"
  apt update || warn "the package lists could not be brought up to date; going on with those that are there"
  say "  packages … (log: $LOG)"
  apt install --no-install-recommends "$@" || apt_failed "$@"
  release_services
  trap - EXIT
  disable_new_services "$@"
  say "  installed"
}

if command -v dpkg-query >/dev/null; then
  if [[ -n ${KAFKA_HOME:-} && -z ${JAVA_HOME:-} ]] && ! command -v java >/dev/null; then
    PACKAGES+=(openjdk-17-jre-headless)
  fi
  mapfile -t missing < <(missing_packages "${PACKAGES[@]}")
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
else
  warn "this is no Debian: make sure that you have what these packages hold: ${PACKAGES[*]}"
fi
find_swift
