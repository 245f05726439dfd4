# shellcheck shell=bash
# Finds a Swift toolchain, 6.0 or later, and puts it on the PATH.

find_swift() {
  local folder version
  if ! command -v swift >/dev/null; then
    for folder in /opt/swift/usr/bin /usr/local/swift/usr/bin /opt/swift*/usr/bin /usr/libexec/swift/*/bin \
      "$HOME/.local/share/swiftly/bin" "$HOME"/swift*/usr/bin; do
      [[ -x $folder/swift ]] || continue
      PATH=$folder:$PATH
      break
    done
  fi
  command -v swift >/dev/null ||
    fail "no Swift toolchain found (PATH, /opt/swift/usr/bin …): install Swift 6.0 or later from https://swift.org/install"
  version=$(swift --version 2>/dev/null | grep -oE 'Swift version [0-9]+\.[0-9]+' | head -n 1) || true
  [[ -n $version ]] || fail "$(command -v swift) does not say its version: is the toolchain whole?"
  version=${version##* }
  ((${version%%.*} >= 6)) || fail "Swift $version at $(command -v swift) is too old: 6.0 or later is needed"
}
