#!/usr/bin/env bash
# demo.sh: installs, builds, starts the stack and shows on simulated devices what Martlet does. It stays up.
# shellcheck disable=SC2016  # the $names in single quotes are jq's
source "$(dirname "$0")/lib.sh"
source Tools/stack/process.sh
source Tools/stack/demo_api.sh

Tools/stack/install.sh
Tools/stack/build.sh
Tools/stack/up.sh
set -a
# shellcheck source=/dev/null
source "$RUN/stack.env"
set +a
tag=$(printf '%08x' "$(date +%s)")
DEVICES=()

make_tenant() {
  local answer key
  heading "An organisation, its admin key, a board, five devices"
  use_key "$MARTLET_ROOT_KEY"
  answer=$(api POST /organisation "$(json --arg name "Demo $tag" '{name: $name}')")
  ORGANISATION=$(field .id "$answer")
  note "organisation  $(field '"\(.name) (slug \(.slug))"' "$answer")"
  answer=$(api POST /apiKey "$(json --arg id "$ORGANISATION" '{organisationId: $id, name: "demo", role: "admin"}')")
  key=$(field .key "$answer")
  use_key "$key"
  note "admin key     kept in $KEY_FILE"
  answer=$(api POST /board "$(json --arg id "$ORGANISATION" --arg soc "demo-$tag" '{name: "Weather post", soc: $soc,
    description: "made by make demo", organisationId: $id, public: false,
    metadataFields: [{name: "site", required: false, unique: false}]}')")
  BOARD=$(field .id "$answer")
  note "board         Weather post"
}

make_devices() {
  local number answer device
  for number in 1 2 3 4 5; do
    answer=$(api POST /device "$(json --arg mcu "demo-$tag-$number" --arg board "$BOARD" --arg id "$ORGANISATION" \
      '{mcuId: $mcu, boardId: $board, organisationId: $id, metadata: {site: "roof"}}')")
    device=$(field .deviceId "$answer")
    DEVICES+=("$device")
    note "device        ${DEVICES[-1]}  ($(field .mcuId "$answer"))"
  done
}

connect_devices() {
  local device arguments=(--mqtt-host "$MARTLET_MQTT_HOST" --mqtt-port "$MARTLET_MQTT_PORT" --mqtt-user "$MARTLET_MQTT_SIM_USER")
  heading "They connect over MQTT (simulated; the last one never answers)"
  for device in "${DEVICES[@]}"; do arguments+=(--device "$device"); done
  arguments+=(--behaviour "${DEVICES[4]}=never" --log "$RUN/simulate-devices.log")
  # Devices of an earlier demo leave first.
  signal simulate
  finish simulate 5
  # A device knows its own password and nothing else of the stack.
  (unset MARTLET_ROOT_KEY MARTLET_DATABASE_URL && launch simulate "$BIN/martlet" simulate "${arguments[@]}")
  for device in "${DEVICES[@]}"; do
    running simulate || { show_log simulate; fail "the simulator has ended"; }
    eventually 20 "$device coming online" '.online == true' "/device/deviceId/$device/state" >/dev/null
  done
  note "all five are online (simulator: process $(pid_of simulate), log $RUN/simulate-devices.log)"
}

send_commands() {
  local answer id
  heading "A command over /api/v1: REBOOT to ${DEVICES[0]}"
  answer=$(api POST "/api/v1/devices/${DEVICES[0]}/commands" '{"type": "REBOOT"}')
  id=$(field .id "$answer")
  follow "${DEVICES[0]}" "$id" SUCCESS

  heading "The same lifecycle over /devices: REBOOT to ${DEVICES[1]}"
  answer=$(api POST "/devices/${DEVICES[1]}/commands" '{"command": "REBOOT"}')
  id=$(field .command_id "$answer")
  note "answered at once: status $(field .status "$answer")"
  answer=$(eventually 20 "the end of the command" '.status | IN("completed", "failed", "timeout")' "/commands/$id")
  note "then: status $(field .status "$answer")"
  [[ $(field .status "$answer") == completed ]] || fail "the command did not complete"

  heading "A device that never answers: REBOOT to ${DEVICES[4]}, two seconds for each step"
  answer=$(api POST "/api/v1/devices/${DEVICES[4]}/commands" \
    '{"type": "REBOOT", "timeouts": {"deliverSeconds": 2, "acknowledgeSeconds": 2, "completeSeconds": 2}}')
  id=$(field .id "$answer")
  follow "${DEVICES[4]}" "$id" TIMEOUT
}

bind_configuration() {
  local artefact sha device=${DEVICES[2]} state document
  heading "A configuration: artefact for slot wifi, bound to $device"
  artefact=$(api POST /api/v1/config-artefacts "$(json --arg board "$BOARD" '{slot: "wifi",
    profile: {type: "DEVICE_PROFILE", id: $board}, content: {ssid: "martlet-demo", channel: 6}}')")
  sha=$(field .sha256 "$artefact")
  note "artefact      version $(field .version "$artefact"), sha256 ${sha:0:16}…"
  api PUT /api/v1/desired-state-bindings "$(json --arg device "$device" --arg artefact "$(field .id "$artefact")" \
    '{target: {type: "DEVICE", id: $device}, slot: "wifi", artefactId: $artefact}')" >/dev/null
  state=$(eventually 20 "acceptance by the device" '.slots.wifi.status == "ACCEPTED"' "/api/v1/devices/$device/desired-state")
  [[ $(field .slots.wifi.reported.sha256 "$state") == "$sha" ]] || fail "the device reported another hash than $sha"
  (umask 077 && printf -- '-u %s\n-P %s\n' "$MARTLET_MQTT_SIM_USER" "$MARTLET_MQTT_SIM_PASSWORD" >"$RUN/demo/mosquitto_sub")
  document=$(XDG_CONFIG_HOME=$RUN/demo mosquitto_sub -h "$MARTLET_MQTT_HOST" -p "$MARTLET_MQTT_PORT" -q 1 -C 1 -W 10 \
    -t "martlet/v1/$device/desired" </dev/null) || fail "no retained document on martlet/v1/$device/desired"
  note "retained      martlet/v1/$device/desired: $(jq -c '{revision, content: .slots.wifi.content}' <<<"$document")"
  note "reported      $(jq -c '.slots.wifi.reported | {version, status}' <<<"$state"), the same hash as desired"
}

start=$EPOCHREALTIME
make_run_folder
make_tenant
make_devices
connect_devices
send_commands
bind_configuration
heading "Done in $(seconds_since "$start"). The stack and the devices stay up:"
note "front door    $MARTLET_URL   e.g. curl -H @$KEY_FILE $MARTLET_URL/device-and-state"
note "addresses     $RUN/stack.env (root key too: readable by you only)"
note "logs          $RUN/*.log      what runs: make status      the end: make down"
