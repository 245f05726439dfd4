"""What people who run such systems have stumbled on: devices and clients that are not quite right."""

import json
import socket
import time
from urllib.parse import urlparse

import pytest
import requests

from suite import URL, Tenant, ends, eventually, publish, records, retained
from test_bad_input import problem


def topic(device, name):
    return f"martlet/v1/{device}/{name}"


def say(device, name, payload, *flags):
    publish(topic(device, name), payload if isinstance(payload, bytes) else payload.encode(), *flags)


def answered(tenant, command, status):
    return eventually(
        f"{command} is {status}",
        lambda: (lambda c: c if c["status"] == status else None)(tenant.admin.status(command)))


def attribute(tenant, device, name):
    state = tenant.admin.call("GET", f"/device/deviceId/{device}/state").text
    found = json.loads(state, parse_float=str, parse_int=str).get("attributes", {}).get(name)
    return found and found["value"]


def test_a_zero_character_from_a_device_costs_nothing(tenant):
    device = tenant.device()
    command = tenant.admin.command(device)["id"]
    say(device, "state", '{"fw":"1.2\\u0000"}')
    say(device, "command/status", '{"id":"%s","status":"SUCCESS","result":{"log":"ok\\u0000"}}' % command)
    say(device, "state", '{"battery":85}')
    assert answered(tenant, command, "SUCCESS")["result"] == {"log": "ok\ufffd"}
    eventually("the clean one", lambda: attribute(tenant, device, "battery") == "85")
    assert attribute(tenant, device, "fw") == "1.2\ufffd"


def test_numbers_come_back_digit_for_digit(tenant):
    device = tenant.device()
    path = f"/api/v1/devices/{device}/commands"
    made = tenant.admin.session.post(
        URL + path, data='{"type":"REBOOT","params":{"n":9007199254740993,"s":"18446744073709551615"}}',
        headers={"Content-Type": "application/json"}, timeout=30)
    assert made.status_code == 201 and '"n":9007199254740993' in made.text.replace(" ", "")
    command = made.json()["id"]
    say(device, "state", '{"iccid":89445001020304050674}')
    say(device, "command/status", '{"id":"%s","status":"SUCCESS","result":{"serial":18446744073709551615}}' % command)
    answered(tenant, command, "SUCCESS")
    shown = tenant.admin.call("GET", f"/api/v1/commands/{command}").text.replace(" ", "")
    assert '"serial":18446744073709551615' in shown and '"n":9007199254740993' in shown
    eventually("the ICCID", lambda: attribute(tenant, device, "iccid") == "89445001020304050674")


def test_the_same_name_twice(tenant):
    device = tenant.device()
    path = URL + f"/api/v1/devices/{device}/commands"
    twice = tenant.admin.session.post(
        path, data='{"type":"REBOOT","type":"UPDATE_FIRMWARE","params":{}}',
        headers={"Content-Type": "application/json"}, timeout=30)
    assert problem(twice, 400)["errors"][0]["pointer"] == "/type"
    command = tenant.admin.command(device)["id"]
    before = ends("martlet.dead-letter")
    say(device, "command/status", '{"id":"%s","status":"FAILED","status":"SUCCESS"}' % command)
    say(device, "presence", '{"online":true,"online":false}')
    eventually("two dead letters", lambda: len(letters(device, before)) == 2)
    assert tenant.admin.status(command)["status"] in ("PENDING", "SENT")


def letters(device, before):
    return [v for _, key, v, _ in records("martlet.dead-letter", before) if key == device or device in v["origin"]]


def test_payloads_that_are_almost_json(tenant):
    device = tenant.device()
    before = ends("martlet.dead-letter")
    command = tenant.admin.command(device)["id"]
    bad = [b'{"battery":87,"temp":nan}', b'{"hum":-inf}', b'{"t":"21\xb0"}', b"", b"[]", b"86"]
    for payload in bad:
        say(device, "state", payload)
    say(device, "state", b'{"a":1}' + b"\0")
    say(device, "state", b'{"b":2}'.ljust(160, b"\0"))
    say(device, "state", b"\xef\xbb\xbf" + b'{"c":3}')
    say(device, "command/status", b'{"id":"%s","status":"SUCCESS"}' % command.encode() + b"\0")
    say(device, "state", b'{"battery":85}')
    answered(tenant, command, "SUCCESS")
    eventually("the clean one", lambda: attribute(tenant, device, "battery") == "85")
    assert [attribute(tenant, device, name) for name in "abc"] == ["1", "2", "3"]
    found = eventually("all of them", lambda: (lambda f: f if len(f) >= len(bad) else None)(letters(device, before)))
    kept = [letter["payload"] for letter in found if letter["encoding"] == "utf-8"]
    assert sorted(kept) == sorted(b.decode() for b in bad if b"\xb0" not in b)
    assert all(letter["origin"] == topic(device, "state") for letter in found)


def test_nothing_is_retained_that_must_not_be(tenant, fleet):
    device = tenant.device()
    fleet([device])
    command = tenant.admin.command(device)["id"]
    answered(tenant, command, "SUCCESS")
    assert not {"command", "command/receipt"} & set(retained(device))
    rev = len(tenant.admin.status(command)["timeline"])
    say(device, "command/status", json.dumps({"id": command, "status": "FAILED"}), "-r")
    other = tenant.admin.command(device)["id"]
    answered(tenant, other, "SUCCESS")
    told = tenant.admin.status(command)
    assert told["status"] == "SUCCESS" and len(told["timeline"]) == rev and "lateOutcome" not in told
    publish(topic(device, "command/status"), b"", "-r")


def test_the_first_end_of_a_command_stands(tenant):
    device = tenant.device()
    command = tenant.admin.command(device)["id"]
    before = ends("martlet.commands.events")
    say(device, "command/status", json.dumps({"id": command, "status": "SUCCESS", "result": {"v": 1}}))
    first = answered(tenant, command, "SUCCESS")
    for more in ({"status": "ACKNOWLEDGED"}, {"status": "FAILED"}, {"status": "SUCCESS", "result": {"v": 2}}):
        say(device, "command/status", json.dumps({"id": command, **more}))
    last = tenant.admin.command(device)["id"]
    say(device, "command/status", json.dumps({"id": last, "status": "SUCCESS"}))
    answered(tenant, last, "SUCCESS")
    now = tenant.admin.status(command)
    assert now["result"] == {"v": 1} and now["completedAt"] == first["completedAt"] and now["status"] == "SUCCESS"
    ends_told = [k for k, _, v, _ in records("martlet.commands.events", before)
                 if v["commandId"] == command and k.rsplit(".", 1)[1] in ("succeeded", "failed")]
    assert ends_told == ["martlet.command.succeeded"]


def test_an_answer_from_the_wrong_mouth(tenant):
    mine, theirs = tenant.devices(2)
    stranger = Tenant()
    own, of_mine = tenant.admin.command(theirs)["id"], tenant.admin.command(mine)["id"]
    foreign = stranger.admin.command(stranger.device())["id"]
    unknown = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"
    for i in (of_mine, foreign, unknown):
        say(theirs, "command/status", json.dumps({"id": i, "status": "SUCCESS"}))
    before = ends("martlet.dead-letter")
    bad = [{"id": 5, "status": "SUCCESS"}, {"status": "SUCCESS"}] + [
        {"id": own, "status": word} for word in ("success", "TIMEOUT", "PENDING")]
    for payload in bad:
        say(theirs, "command/status", json.dumps(payload))
    eventually("five dead letters", lambda: len(letters(theirs, before)) == 5)
    for client, i in ((tenant.admin, own), (tenant.admin, of_mine), (stranger.admin, foreign)):
        assert client.status(i)["status"] in ("PENDING", "SENT")


def bind(tenant, device, content):
    artefact = tenant.artefact(content)
    tenant.bind("DEVICE", device, artefact)
    return artefact


def document(device):
    return json.loads(retained(device).get("desired", "null"))


def test_a_device_that_is_deleted_and_comes_to_another_owner(tenant):
    device = tenant.device("wanderer")
    bind(tenant, device, {"ssid": "first"})
    eventually("its document", lambda: document(device))
    say(device, "presence", '{"online":true}', "-r")
    command = tenant.admin.command(device)["id"]
    revision = document(device)["revision"]
    tenant.admin.call("DELETE", f"/device/id/{device}", None, 204)
    eventually("nothing is retained", lambda: retained(device) == {})
    other = Tenant()
    body = {"mcuId": "wanderer", "boardId": other.board, "organisationId": other.id, "deviceId": device}
    assert other.admin.post("/device", body)["deviceId"] == device
    say(device, "command/status", json.dumps({"id": command, "status": "SUCCESS"}))
    say(device, "reported", '{"slots":{"wifi":{"version":1,"sha256":"00","status":"REJECTED"}}}')
    say(device, "state", '{"battery":85}')
    eventually("what it says counts for its new owner", lambda: attribute(other, device, "battery") == "85")
    ended = answered(tenant, command, "FAILED")
    assert ended["reason"] == "deviceDeleted"
    assert other.admin.get(f"/api/v1/devices/{device}/commands")["items"] == []
    assert other.admin.get(f"/api/v1/devices/{device}/desired-state")["slots"] == {}
    binding = tenant.admin.get("/api/v1/desired-state-bindings")["items"]
    assert all(b["convergence"]["total"] == 0 for b in binding)
    assert retained(device) == {}
    bind(other, device, {"ssid": "second"})
    new = eventually("its new document", lambda: document(device))
    assert new["revision"] > revision and new["slots"]["wifi"]["content"] == {"ssid": "second"}
    # The second look, half a minute after the first, finds another owner's document.
    assert eventually("it stays", lambda: time.sleep(1) or document(device) == new)


def test_a_document_that_somebody_clears_is_back(tenant):
    device = tenant.device()
    bind(tenant, device, {"ssid": "kept"})
    first = eventually("its document", lambda: document(device))
    publish(topic(device, "desired"), b"", "-r")
    assert eventually("it is back", lambda: document(device), within=40) == first


LISTS = ["/device", "/board", "/organisation", "/apiKey", "/commands", "/api/v1/config-artefacts",
         "/api/v1/desired-state-bindings", "/api/v1/devices/{device}/commands", "/devices/{device}/commands"]


@pytest.mark.parametrize("path", LISTS)
def test_limits(tenant, path):
    path = path.replace("{device}", tenant.device())
    for value in ("0", "-1", "1001", "1e2", "%20100", "", "1&limit=2"):
        found = problem(tenant.admin.call("GET", f"{path}?limit={value}"), 400)
        assert "limit" in found["detail"], found
    if path.startswith(("/device", "/board", "/org", "/apiKey")) and "commands" not in path:
        for value in ("-1", "1000000000000000000", "x"):
            assert "offset" in problem(tenant.admin.call("GET", f"{path}?offset={value}"), 400)["detail"]
    else:
        for value in ("garbage", "AAAA", ""):
            problem(tenant.admin.call("GET", f"{path}?cursor={value}"), 400)
    problem(tenant.admin.call("GET", f"{path}?unknown=1"), 400)


def by_hand(request):
    """The status of the answer to a request as it is written."""
    address = urlparse(URL)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split(b" ", 2)[1])


def test_forms_of_a_key(tenant):
    key = tenant.admin.session.headers["X-API-Key"]
    other = tenant.client("viewer").session.headers["X-API-Key"]

    def status(path, **headers):
        return requests.get(URL + path, headers={k.replace("_", "-"): v for k, v in headers.items()}, timeout=10).status_code

    for path in ("/whoami", "/api/v1/config-artefacts", "/commands"):
        for value in (f"Bearer {key}", f"bearer {key}", f"BEARER   {key}"):
            assert status(path, Authorization=value) == 200, value
        # The client library refuses blanks around a value, so this one is written by hand.
        assert by_hand(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key:   {key}  \r\n\r\n") == 200
        assert status(path, X_API_Key=key, Authorization=f"Bearer {key}") == 200
        for value in (f"Basic {key}", f"Bearer {key.upper()}", "Bearer"):
            assert status(path, Authorization=value) == 401, value
        assert status(path, X_API_Key=key, Authorization=f"Bearer {other}") == 401, "two different keys"


def test_upper_case_is_another_device(tenant):
    device = tenant.device()
    upper = device.upper() if device.upper() != device else device[:-1] + "A"
    for path in (f"/device/deviceId/{upper}", f"/api/v1/devices/{upper}/commands", f"/devices/{upper}/commands",
                 f"/api/v1/devices/{upper}/desired-state"):
        problem(tenant.admin.call("GET", path), 404)
    problem(tenant.admin.call("POST", f"/api/v1/devices/{upper}/commands", {"type": "REBOOT"}), 404)
    before = ends("martlet.dead-letter")
    publish(topic("00A1B2C3D4E5F607", "state"), b'{"battery":1}')
    eventually("set aside", lambda: [
        v for _, _, v, _ in records("martlet.dead-letter", before) if "00A1B2C3D4E5F607" in v["origin"]])


def test_what_is_escaped_in_a_path_is_no_other_endpoint(tenant):
    key = tenant.admin.session.headers["X-API-Key"]
    for path in ("/device/deviceId/..%2F..%2Flivez", "/device/deviceId/..%2F..%2Fopenapi%2Fregistry.yaml",
                 "/devices/%2E%2E/commands", "/device/deviceId/%2e%2e", "/device/soc/a/mcuId/a%00b",
                 "/device/soc/a/mcuId/%FF", "/devices/..%2f..%2flivez/commands"):
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key: {key}\r\n\r\n"
        assert by_hand(request) in (400, 404), path
