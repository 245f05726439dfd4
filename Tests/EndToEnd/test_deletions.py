"""What is deleted is gone everywhere, what is made counts everywhere at once, and once."""

import os
import signal
import subprocess
import time
import uuid

import pytest
import requests

from suite import Client, all_succeed, eventually, invariants_hold, kill, send, up

SERVICES = {name: os.environ[f"MARTLET_{name.upper()}_URL"] for name in ("registry", "config", "commands")}
PATHS = {"registry": "/device?limit=1", "config": "/api/v1/config-artefacts?limit=1", "commands": "/commands?limit=1"}


def statuses(key):
    return {n: requests.get(SERVICES[n] + PATHS[n], headers={"X-API-Key": key}, timeout=10).status_code for n in PATHS}


def test_a_key_counts_at_once_and_its_revocation_within_a_second(tenant):
    for _ in range(3):
        made = tenant.root.post("/apiKey", {"organisationId": tenant.id, "name": "k", "role": "admin"})
        assert statuses(made["key"]) == {"registry": 200, "config": 200, "commands": 200}
        tenant.root.call("DELETE", f"/apiKey/id/{made['id']}", None, 204)
        answered = time.monotonic()
        eventually("refused everywhere", lambda: set(statuses(made["key"]).values()) == {401}, every=0.02)
        assert time.monotonic() - answered < 1.2, "a second, and the three requests that look"


def test_when_a_key_was_last_used_is_told_by_every_service(tenant):
    keys = {
        name: tenant.root.post("/apiKey", {"organisationId": tenant.id, "name": name, "role": "admin"}) for name in PATHS}
    assert not any("lastUsedAt" in key for key in keys.values())
    for name, key in keys.items():
        answer = requests.get(SERVICES[name] + PATHS[name], headers={"X-API-Key": key["key"]}, timeout=10)
        assert answer.status_code == 200
        kill(name, signal.SIGTERM)  # else it tells twice a minute
    up()

    def used():
        shown = {key["id"]: key for key in tenant.root.get(f"/apiKey?organisationId={tenant.id}&limit=1000")}
        return all("lastUsedAt" in shown[key["id"]] for key in keys.values())

    eventually("all are known", used)


def test_a_key_counts_at_once_while_others_try_wrong_ones(tenant):
    for number in range(25):
        Client(f"mk_wrong{number}").call("GET", "/api/v1/config-artefacts", None, 401)
    started = time.monotonic()
    assert tenant.admin.get("/api/v1/config-artefacts")["items"] == []
    assert time.monotonic() - started < 1
    made = tenant.root.post("/apiKey", {"organisationId": tenant.id, "name": "k", "role": "viewer"})
    assert Client(made["key"]).get("/api/v1/config-artefacts")["items"] == []


def test_a_deleted_device_ends_its_commands_and_its_successor_keeps_its_own(tenant, fleet):
    device = tenant.device("phoenix")
    ids = [tenant.admin.command(device, timeouts={"deliverSeconds": 600})["id"] for _ in range(20)]
    # What the bridge was given is back, the first of them at least: what is still on its way when a device is deleted, its
    # successor would get. How many were given before the first came back is a matter of speed.
    def is_back(command):
        return command["attempts"] == [entry["event"] for entry in command["timeline"]].count("undelivered")

    def are_back():
        commands = list(map(tenant.admin.status, ids))
        return commands[0]["attempts"] > 0 and all(map(is_back, commands))

    eventually("nobody listens", are_back, within=20)
    tenant.admin.call("DELETE", f"/device/id/{device}", None, 204)
    # The copies hear of it within moments; what is made before that ends with the others.
    path = f"/api/v1/devices/{device}/commands"
    eventually("404", lambda: tenant.admin.call("POST", path, {"type": "REBOOT"}).status_code == 404, within=1)
    body = {"mcuId": "phoenix", "boardId": tenant.board, "organisationId": tenant.id, "deviceId": device}
    assert tenant.admin.post("/device", body)["deviceId"] == device
    new = tenant.admin.command(device, timeouts={"deliverSeconds": 600})["id"]

    def ended():
        return all(c["status"] == "FAILED" and c["reason"] == "deviceDeleted" for c in map(tenant.admin.status, ids))

    eventually("all are FAILED", ended, within=10)
    assert tenant.admin.status(new)["status"] == "PENDING"
    simulated = fleet([device])
    all_succeed(tenant.admin, [device], [new])
    assert simulated.executions([new]) == [new], "nothing of the one before"
    invariants_hold(tenant.admin)


def test_invariants_are_of_the_own_organisation(tenant, fleet):
    device = tenant.device()
    fleet([device])
    all_succeed(tenant.admin, [device], send(tenant.admin, [device], 10))
    invariants_hold(tenant.admin)
    assert tenant.client("viewer").get("/api/v1/invariants")["created"] == 10
    assert tenant.root.get("/api/v1/invariants")["created"] >= 10


@pytest.mark.parametrize("path,body", [
    ("/device", {"mcuId": "once"}), ("/board", {"name": "once", "soc": "once"}),
    ("/apiKey", {"name": "once", "role": "viewer"}),
    ("/api/v1/devices/{device}/commands", {"type": "REBOOT"}), ("/devices/{device}/commands", {"command": "REBOOT"}),
    ("/api/v1/config-artefacts", {"slot": "once", "content": {"a": 1}}),
])
def test_an_idempotency_key_makes_one_through_both_replicas(tenant, path, body):
    path = path.replace("{device}", tenant.device())
    if path == "/device":
        body = {**body, "boardId": tenant.board}
    if "artefacts" in path:
        body = {**body, "profile": {"type": "DEVICE_PROFILE", "id": tenant.board}}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answers = [tenant.admin.call("POST", path, body, 201, headers=headers) for _ in range(6)]
    assert len({a.text for a in answers}) == 1, "the first answer again"
    assert tenant.admin.call("POST", path, {**body, "more": 1}, None, headers=headers).status_code == 422


def test_an_idempotency_key_outlives_its_processes(tenant, whole_stack):
    device = {"mcuId": "kept", "boardId": tenant.board}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    made = tenant.admin.call("POST", "/device", device, 201, headers=headers)
    path = f"/api/v1/devices/{made.json()['deviceId']}/commands"
    sent = tenant.admin.call("POST", path, {"type": "REBOOT"}, 201, headers=headers)
    for service in ("registry", "commands"):
        kill(service)
    up()
    assert tenant.admin.call("POST", "/device", device, 201, headers=headers).text == made.text
    again = tenant.admin.call("POST", path, {"type": "REBOOT"}, 201, headers=headers)
    assert again.json() == sent.json(), "a key is one of its service's"


def test_what_configuration_uses_is_not_deleted(tenant):
    board = tenant.admin.post("/board", {"name": "used", "soc": uuid.uuid4().hex[:12]})["id"]
    group = tenant.admin.post("/group", {"name": "used"})["id"]
    made = tenant.artefact({"a": 1}, profile=board)
    bound = tenant.bind("DEVICE_GROUP", group, made, expect=(201,))
    users = f"SELECT count(*) FROM registry.config_user WHERE id IN ('{made['id']}', '{bound['id']}')"

    # An event is some milliseconds behind the answer that it tells of.
    def heard():
        ask = ["psql", os.environ["MARTLET_DATABASE_URL"], "-Atc", users]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip() == "2"

    eventually("the registry has heard of both", heard)
    for path, user in (
            (f"/board/id/{board}", f"artefact {made['id']}"), (f"/group/id/{group}", f"binding {bound['id']}")):
        assert f"the {user}" in tenant.admin.call("DELETE", path, None, 409).json()["detail"]
    tenant.admin.call("DELETE", f"/api/v1/desired-state-bindings/{bound['id']}", None, 204)
    tenant.admin.call("DELETE", f"/api/v1/config-artefacts/{made['id']}", None, 204)
    for path in (f"/board/id/{board}", f"/group/id/{group}"):
        eventually(f"free: {path}", lambda: tenant.admin.call("DELETE", path).status_code == 204)
