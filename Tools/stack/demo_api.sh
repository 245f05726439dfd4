# shellcheck shell=bash
# The demo's hands: calls over the edge, waiting for what should happen, showing a command as it moves.

heading() { printf '\n%s\n' "$*"; }
note() { printf '  %s\n' "$*"; }

# use_key KEY: who calls from now on. In a file, since arguments show in the process list.
use_key() {
  KEY_FILE=$RUN/demo/key.header
  (umask 077 && mkdir -p "$RUN/demo" && printf 'X-API-Key: %s\n' "$1" >"$KEY_FILE")
}

# api METHOD PATH [JSON]: the answer's body; a problem ends the demo with its own words.
api() {
  local answer status body=()
  (($# < 3)) || body=(-H 'Content-Type: application/json' --data-binary "$3")
  answer=$(curl -sS -m 20 -X "$1" -H "@$KEY_FILE" "${body[@]}" -w '\n%{http_code}' "$MARTLET_URL$2" </dev/null) ||
    fail "$1 $2 was not answered; see $RUN/*.log"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  [[ $status == 2* ]] || fail "$1 $2 → $status: $(jq -c '{title, detail, errors}' <<<"$answer" 2>/dev/null || printf '%s' "$answer")"
  printf '%s' "$answer"
}

json() { jq -nc "$@"; }
field() { jq -er "$1" <<<"$2" 2>/dev/null || fail "no $1 in $2"; }

# eventually SECONDS WHAT FILTER PATH: until the answer fulfils the jq filter; gives the answer.
eventually() {
  local deadline=$((SECONDS + $1)) answer
  while true; do
    answer=$(api GET "$4")
    ! jq -e "$3" <<<"$answer" >/dev/null 2>&1 || break
    ((SECONDS < deadline)) || fail "$2 did not happen within $1 s; last answer: $(jq -c . <<<"$answer")"
    sleep 0.05
  done
  printf '%s' "$answer"
}

# follow DEVICE COMMAND WANTED: shows the lifecycle by the command's own times, and its result or reason.
follow() {
  local path=/api/v1/devices/$1/commands/$2 command status
  command=$(eventually 20 "the end of the command" '.status | IN("SUCCESS", "FAILED", "TIMEOUT")' "$path")
  jq -r 'def at($time): $time[11:23];
    "    \(at(.createdAt))  PENDING",
    (select(.sentAt) | "    \(at(.sentAt))  SENT"),
    (select(.acknowledgedAt) | "    \(at(.acknowledgedAt))  ACKNOWLEDGED"),
    "    \(if .completedAt then at(.completedAt) else "            " end)  \(.status)\(
      if .result != null then "  result \(.result | tojson)" elif .error then "  error \(.error | tojson)"
      elif .reason then "  (\(.reason))" else "" end)"' <<<"$command"
  status=$(field .status "$command")
  [[ $status == "$3" ]] || fail "command $2 ended as $status, not $3"
}
