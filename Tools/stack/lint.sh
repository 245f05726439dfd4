#!/usr/bin/env bash
# lint.sh: what the compiler cannot hold (DESIGN, section 1): layers, C behind Raw/, sizes, shell scripts.
source "$(dirname "$0")/lib.sh"
faults=0

complain() { # complain TEXT PLACES: no places, no fault
  [[ -n $2 ]] || return 0
  printf '%s:\n%s\n' "$1" "$2" | sed '2,$s/^/    /' >&2
  faults=1
}

matching() { grep -E "$1" || true; }
without() { grep -vE "$1" || true; }

source_files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [[ ! -f $f ]] || echo "$f"; done; }
# imports FILES…: "file:line:module" for each import, whatever its attributes, access level and kind.
imports() {
  awk '/^[ \t]*(@[A-Za-z_()]+[ \t]+)*((public|package|internal|fileprivate|private)[ \t]+)?import[ \t]/ {
    line = $0; sub(/^.*import[ \t]+/, "", line); sub(/^(struct|class|enum|protocol|func|var|let|typealias)[ \t]+/, "", line)
    sub(/[. \t;\/].*$/, "", line); printf "%s:%d:%s\n", FILENAME, FNR, line }' /dev/null "$@"
}

mapfile -t swift < <(source_files 'Shared/*.swift' 'Services/*.swift' 'Tools/*.swift' 'Tests/*.swift')
all=$(imports "${swift[@]}")
c_modules=$(source_files 'Shared/CLibraries/*' | awk -F/ '{ print $3 }' | sort -u | paste -sd'|')

complain "Domain is pure: it imports Wire, JSONSchema and FoundationEssentials only" \
  "$(matching '^Services/[^/]+/Domain/' <<<"$all" | without ':(Wire|JSONSchema|FoundationEssentials)$')"

complain "FilterLanguage is pure: it imports Wire and FoundationEssentials only" \
  "$(matching '^Shared/FilterLanguage/' <<<"$all" | without ':(Wire|FoundationEssentials)$')"

complain "JSONSchema is pure: it imports Wire, and RE2 in Raw/" \
  "$(matching '^Shared/JSONSchema/' <<<"$all" | without ':(Wire|CRE2)$')"

# devkafka is nothing but a call into librdkafka's mock cluster: a wrapper around it would have one user and no life of its own.
complain "C modules are imported in Shared/<Room>/Raw/ only" \
  "$(matching ":(${c_modules:-none})\$" <<<"$all" | without '^(Shared/[^/]+/Raw/|Tools/devkafka/)')"

complain "Shared and Services import FoundationEssentials, not Foundation (58 MB against 14)" \
  "$(matching '^(Shared|Services)/.*:Foundation$' <<<"$all")"

# The HTTP client has a thread of its own: it is config's (objects in S3), the tools' and the tests'.
complain "Services and Shared stay on the loop: loop.task, loop.sleep, loop.blocking (docs/decisions/0011-one-loop.md)" \
  "$(source_files 'Shared/*.swift' 'Services/*.swift' | without '^Shared/(Loop|Threads)/|^Shared/AsyncHTTPClient/Raw/CurlLoop.swift$' |
    xargs grep -nE '(^|[^.a-zA-Z])Task( \{|\.detached|\.sleep|\()|import Dispatch|OwnThread' | without ':[0-9]+: *///' || true)"

complain "No file is over 400 lines" \
  "$(source_files '*.swift' '*.sh' '*.py' '*.js' '*.sql' '*.css' | while read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= 400)) || echo "$file: $lines lines"
  done)"

if command -v shellcheck >/dev/null; then
  mapfile -t scripts < <(source_files '*.sh' .ci/run)
  shellcheck "${scripts[@]}" || faults=1
else
  say "shellcheck is not installed: the shell scripts are not checked"
fi
exit "$faults"
