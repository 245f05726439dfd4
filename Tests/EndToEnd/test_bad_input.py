"""Bad input gets its answer, and stops nothing."""

import json
import os
import re
import socket
import uuid
from urllib.parse import urlparse

import pytest
import requests
import yaml

from suite import URL, Client, Tenant, all_succeed, ends, eventually, publish, records


def problem(answer, status):
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert body["status"] == status and body["code"] == status
    assert body["title"] and body["detail"] == body["message"] and body["type"]
    return body


COLLECTIONS = ["/organisation", "/apiKey", "/board", "/network", "/sensorProfile", "/group", "/device",
               "/api/v1/config-artefacts", "/commands"]


@pytest.mark.parametrize("path", COLLECTIONS)
def test_no_key_and_a_wrong_key(path):
    problem(requests.get(URL + path, timeout=10), 401)
    problem(requests.get(URL + path, headers={"X-API-Key": "mk_wrong"}, timeout=10), 401)
    problem(requests.get(URL + path, headers={"Authorization": "Bearer mk_wrong"}, timeout=10), 401)


def test_bodies_that_are_not_right(tenant):
    device = tenant.device()
    path = URL + f"/api/v1/devices/{device}/commands"
    session = tenant.admin.session

    def send(body, **headers):
        return session.post(path, data=body, headers={"Content-Type": "application/json", **headers}, timeout=30)

    assert problem(send(b'{"type":'), 400)["errors"][0]["pointer"] == "/type"
    assert problem(send(b'{"type":"REBOOT","params":{"x":"\\u0000"}}'), 400)["errors"][0]["pointer"] == "/params/x"
    problem(send(b'{"type":"\xff"}'), 400)
    problem(send(b"[" * 100 + b"]" * 100), 400)
    problem(send(b'{"type":"REBOOT","params":{"a":"' + b"x" * (2 << 20) + b'"}}'), 413)
    faults = problem(send(b'{"type":7,"lane":"a b","timeouts":{"deliverSeconds":0},"more":1}'), 422)["errors"]
    assert {f["pointer"] for f in faults} == {"/type", "/lane", "/timeouts/deliverSeconds", "/more"}
    unknown = problem(send(b'{"type":"DANCE"}'), 422)
    assert unknown["errors"][0]["pointer"] == "/type" and "REBOOT" in unknown["errors"][0]["message"]
    problem(session.put(path, timeout=10), 405)
    problem(session.get(URL + "/api/v1/nothing", timeout=10), 404)
    problem(session.get(URL + "/nothing", timeout=10), 404)


def test_queries_that_are_not_right(tenant):
    device = tenant.device()
    client = tenant.admin
    for path in [
        "/device?boardid=x",
        "/device?limit=1&limit=2",
        f"/api/v1/devices/{device}/commands?status=SUCCESS&status=FAILED",
        f"/api/v1/devices/{device}/commands?state=SUCCESS",
        "/commands?status=x",
        "/api/v1/config-artefacts?slots=x",
        "/api/v1/desired-state-bindings?target=x",
    ]:
        problem(client.call("GET", path), 400)
    assert client.call("GET", "/device?metadata.colour=red&limit=5&offset=0").status_code == 200


def test_many_numbers(tenant):
    # They come back as they were written, and no larger.
    numbers = ",".join(["1e20"] * 205_000)
    answer = tenant.admin.session.post(
        URL + f"/api/v1/devices/{tenant.device()}/commands",
        data='{"type":"REBOOT","params":{"a":[' + numbers + "]}}",
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    kept = answer.status_code == 201 and numbers in answer.text
    assert kept, answer.text[:300]
    path = f"/api/v1/commands/{answer.json()['id']}"
    kept = numbers in tenant.admin.session.get(URL + path, timeout=60).text
    assert kept


def test_what_a_path_takes(tenant):
    answer = tenant.admin.session.options(URL + "/device", timeout=10)
    assert answer.status_code == 204 and {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("service", ["registry", "config", "commands", "bridge"])
def test_every_described_operation_is_there(tenant, service):
    text = requests.get(URL + f"/openapi/{service}.yaml", timeout=10).text
    described = yaml.safe_load(text)
    assert described["openapi"].startswith("3.1") and {"/livez", "/readyz", "/metrics"} <= set(described["paths"])
    base = os.environ[f"MARTLET_{service.upper()}_URL"]
    for path, operations in described["paths"].items():
        url = base + re.sub(r"\{\w+\}", str(uuid.uuid4()), path)
        answer = tenant.admin.session.options(url, timeout=10)
        allowed = answer.headers["Allow"].split(", ")
        for method in set(operations) - {"parameters", "description", "summary", "servers"}:
            assert method.upper() in allowed, f"{method} {path}"


def test_roles(tenant):
    device = tenant.device()
    viewer, operator = tenant.client("viewer"), tenant.client("operator")
    problem(viewer.call("POST", f"/api/v1/devices/{device}/commands", {"type": "REBOOT"}), 403)
    problem(operator.call("GET", "/commands"), 403)
    problem(operator.call("POST", "/board", {}), 403)
    problem(tenant.admin.call("POST", "/organisation", {"name": "Mine"}), 403)
    operator.call("POST", f"/api/v1/devices/{device}/commands", {"type": "REBOOT"}, 201)
    viewer.get(f"/api/v1/devices/{device}/commands")


def test_another_organisation_does_not_exist(tenant):
    stranger = Tenant()
    device = tenant.device()
    command = tenant.admin.command(device)["id"]
    unknown = stranger.admin.call("GET", f"/api/v1/devices/{'0' * 16}/commands").json()
    for path in (
        f"/api/v1/devices/{device}/commands", f"/devices/{device}/commands", f"/commands/{command}",
        f"/api/v1/commands/{command}", f"/device/deviceId/{device}", f"/device/deviceId/{device}/state",
        f"/board/id/{tenant.board}", f"/organisation/id/{tenant.id}", f"/api/v1/devices/{device}/desired-state",
    ):
        problem(stranger.admin.call("GET", path), 404)
    refused = stranger.admin.call("GET", f"/api/v1/devices/{device}/commands").json()
    assert refused == unknown, "exactly as if it did not exist"
    problem(stranger.admin.call("POST", f"/api/v1/devices/{device}/commands", {"type": "REBOOT"}), 404)


def test_a_revoked_key_ends_everywhere_within_a_second(tenant):
    made = tenant.root.post("/apiKey", {"organisationId": tenant.id, "name": "short", "role": "admin"})
    client = Client(made["key"])
    paths = ["/whoami", "/commands", "/api/v1/config-artefacts"]
    for path in paths:
        client.get(path)
    tenant.root.call("DELETE", f"/apiKey/id/{made['id']}")
    eventually(
        "401 everywhere", lambda: all(client.call("GET", p).status_code == 401 for p in paths), within=1.5, every=0.1)


def test_the_same_mcu_id_on_two_boards(tenant):
    mcu = f"twin-{uuid.uuid4().hex[:8]}"
    other = tenant.admin.post(
        "/board", {"name": "Other", "description": "", "soc": tenant.soc + "-b", "organisationId": tenant.id,
                   "public": False, "metadataFields": []})
    first = tenant.device(mcu)
    # It is known well by then: that must not hide the second one.
    assert tenant.admin.call("POST", f"/devices/{mcu}/commands", {"command": "REBOOT"}).status_code == 201
    second = tenant.admin.post(
        "/device", {"mcuId": mcu, "boardId": other["id"], "organisationId": tenant.id})["deviceId"]
    # A moment may pass until the copy knows the second one, too.
    refused = eventually(
        "409", lambda: [a for a in [tenant.admin.call("POST", f"/devices/{mcu}/commands", {"command": "REBOOT"})]
                        if a.status_code == 409], within=5)
    both = problem(refused[0], 409)
    assert first in both["detail"] and second in both["detail"]


def test_garbage_from_a_device_is_set_aside_and_stops_nothing(tenant, fleet):
    device = tenant.device()
    before = ends("martlet.dead-letter")
    topic = f"martlet/v1/{device}/command/status"
    for payload in (b"not json", b"{}", b'{"id":"x","status":"SUCCESS"}', b"\xff\xfe", b"[" * 200, b""):
        publish(topic, payload)
    publish(f"martlet/v1/{device}/reported", b'{"slots":[]}')
    fleet([device])
    ids = [tenant.admin.command(device)["id"] for _ in range(20)]
    all_succeed(tenant.admin, [device], ids)
    letters = eventually(
        "seven dead letters",
        lambda: (lambda found: found if len(found) >= 7 else None)(
            [value for _, key, value, _ in records("martlet.dead-letter", before) if device in json.dumps(value)]))
    assert all(topic.split("/")[2] in letter["origin"] and letter["reason"] for letter in letters)


def test_an_answer_to_another_devices_command_is_nobodys(tenant, fleet):
    victim, thief = tenant.devices(2)
    fleet([victim], "--behaviour", f"{victim}=never")
    command = tenant.admin.command(victim)["id"]
    answer = json.dumps({"id": command, "status": "SUCCESS", "result": {"stolen": True}}).encode()
    publish(f"martlet/v1/{thief}/command/status", answer)
    publish(f"martlet/v1/{victim}/command/status", json.dumps({"id": command, "status": "ACKNOWLEDGED"}).encode())
    seen = eventually(
        "ACKNOWLEDGED by its own device",
        lambda: (lambda c: c if c["status"] == "ACKNOWLEDGED" else None)(tenant.admin.status(command)))
    assert "result" not in seen


def test_a_hostile_socket_does_not_disturb_the_edge():
    address = urlparse(URL)
    for bytes_ in (b"GET\r\n\r\n", b"\x00" * 100, b"POST /device HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"GET /device/%00 HTTP/1.1\r\nHost: a\r\n\r\n"):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(bytes_)
            answer = connection.recv(4096)
            assert b" 4" in answer.split(b"\r\n")[0], answer[:100]
    problem(requests.get(URL + "/whoami", timeout=10), 401)
