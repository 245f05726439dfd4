# shellcheck shell=bash
# Mosquitto under $RUN/mosquitto: loopback listener, accounts bridge and simulator, no anonymous.

write_mosquitto_files() {
  local folder=$RUN/mosquitto
  mkdir -p "$folder/data"
  chmod 0700 "$folder" "$folder/data"
  (
    umask 077
    # Written in plain and hashed in place: a password as an argument would show in the process list.
    printf 'bridge:%s\nsimulator:%s\n' "$(secret mqtt-bridge)" "$(secret mqtt-simulator)" >"$folder/passwd.new"
    mosquitto_passwd -U "$folder/passwd.new"
    mv "$folder/passwd.new" "$folder/passwd"
    cp deploy/mosquitto/development.acl "$folder/acl"
    render deploy/mosquitto/development.conf.in PORT="${PORT[mosquitto]}" FOLDER="$folder" USER="$(id -un)" \
      >"$folder/mosquitto.conf"
  )
}

start_mosquitto() {
  local start=$EPOCHREALTIME
  if running mosquitto; then
    report Mosquitto "127.0.0.1:${PORT[mosquitto]}" "already running"
    return
  fi
  need_tool mosquitto "the MQTT broker"
  need_tool mosquitto_passwd "Mosquitto's password file"
  write_mosquitto_files
  launch mosquitto mosquitto -c "$RUN/mosquitto/mosquitto.conf"
  wait_for mosquitto 20 listening "${PORT[mosquitto]}"
  report Mosquitto "127.0.0.1:${PORT[mosquitto]}" "started ($(seconds_since "$start"))"
}
