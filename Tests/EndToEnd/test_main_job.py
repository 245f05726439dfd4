"""The main job: commands through all four services, and a configuration that reaches its device."""

import hashlib
import json
import time

from suite import all_succeed, ends, eventually, in_order, invariants_hold, records, send


def test_a_thousand_commands_to_fifty_devices(tenant, fleet):
    devices = tenant.devices(50)
    simulated = fleet(devices)
    # What a device has in hand when its coming is heard goes again: it may have been lost. An answer is heard after the coming.
    first = send(tenant.admin, devices, len(devices))
    all_succeed(tenant.admin, devices, first)
    before = ends("martlet.commands.events")
    ids = send(tenant.admin, devices, 1000)
    all_succeed(tenant.admin, devices, first + ids)
    assert sorted(simulated.executions(ids)) == sorted(first + ids), "every command was executed, and once"
    came = [i for _, i in simulated.receptions() if i not in set(first)]
    assert sorted(came) == sorted(ids), "none came twice: nothing was disturbed"
    in_order(tenant.admin, devices, simulated)
    invariants_hold(tenant.admin)
    events = [(kind, value["commandId"]) for kind, _, value, _ in records("martlet.commands.events", before)]
    for kind in ("created", "sent", "acknowledged", "succeeded"):
        told = [i for k, i in events if k == f"martlet.command.{kind}" and i in set(ids)]
        assert sorted(told) == sorted(ids), f"{kind} was told of every command, and once"


def test_the_story_of_one_command(tenant, fleet):
    device = tenant.device("story-1")
    fleet([device])
    created = tenant.admin.post(f"/devices/{device}/commands", {"command": "REBOOT", "params": {"delay": 1}})
    assert created["status"] == "pending" and created["hardware_id"] == "story-1"
    assert created["device_id"] == device and created["topic"] == f"martlet/v1/{device}/command"
    path = f"/commands/{created['command_id']}"
    done = eventually("completed", lambda: (lambda c: c if c["status"] == "completed" else None)(tenant.admin.get(path)))
    assert done["result"]["type"] == "REBOOT" and done["params"] == {"delay": 1}
    whole = tenant.admin.get(f"/api/v1/devices/story-1/commands/{created['command_id']}")
    assert [entry["event"] for entry in whole["timeline"]][0] == "created"
    assert {"sent", "acknowledged", "succeeded"} <= {entry["event"] for entry in whole["timeline"]}
    story = {entry["event"]: (entry["replica"], entry.get("attempt")) for entry in whole["timeline"]}
    assert story["created"] == story["acknowledged"] == ("commands-1", None), story
    assert story["sent"] == ("bridge-1", whole["attempts"]), story
    assert whole["createdAt"] <= whole["sentAt"] <= whole["completedAt"]
    history = tenant.admin.get(f"/devices/{device}/commands?limit=100")["items"]
    assert [c["command_id"] for c in history] == [created["command_id"]]


def test_a_command_that_is_never_answered_becomes_timeout(tenant, fleet):
    device = tenant.device()
    fleet([device], "--behaviour", f"{device}=never")
    command = tenant.admin.command(device, timeouts={"acknowledgeSeconds": 2})
    ended = eventually(
        "TIMEOUT", lambda: (lambda c: c if c["status"] == "TIMEOUT" else None)(tenant.admin.status(command["id"])))
    assert ended["reason"] == "notAcknowledged"
    assert "deadline" not in ended and "sentAt" in ended


def test_a_command_to_a_device_that_is_not_there(tenant, fleet):
    device = tenant.device()
    command = tenant.admin.command(device, timeouts={"deliverSeconds": 60})
    time.sleep(1)
    assert tenant.admin.status(command["id"])["status"] == "PENDING", "nobody listens: that is not SENT"
    simulated = fleet([device])
    all_succeed(tenant.admin, [device], [command["id"]], within=20)
    assert simulated.executions([command["id"]]) == [command["id"]]


def test_a_late_answer_is_kept_and_changes_nothing(tenant, fleet):
    device = tenant.device()
    fleet([device], "--behaviour", f"{device}=late", "--late-ms", "3500")
    command = tenant.admin.command(device, timeouts={"acknowledgeSeconds": 1, "completeSeconds": 1})
    late = eventually(
        "the late outcome", lambda: (lambda c: c if "lateOutcome" in c else None)(tenant.admin.status(command["id"])))
    assert late["status"] == "TIMEOUT" and late["lateOutcome"]["status"] in ("ACKNOWLEDGED", "SUCCESS")


def test_a_device_that_answers_twice_and_one_that_fails(tenant, fleet):
    twice, fails = tenant.devices(2)
    fleet([twice, fails], "--behaviour", f"{twice}=twice", "--behaviour", f"{fails}=fail")
    first, second = tenant.admin.command(twice), tenant.admin.command(fails)
    all_succeed(tenant.admin, [twice], [first["id"]])
    failed = eventually(
        "FAILED", lambda: (lambda c: c if c["status"] == "FAILED" else None)(tenant.admin.status(second["id"])))
    assert failed["error"]["code"] and failed["error"]["message"]


def test_more_commands_than_the_window_reach_the_device_in_order(tenant, fleet):
    device = tenant.device()
    ids = [tenant.admin.command(device, timeouts={"deliverSeconds": 120})["id"] for _ in range(40)]
    simulated = fleet([device])
    all_succeed(tenant.admin, [device], ids)
    assert simulated.executions(ids) == ids


def test_a_traceparent_goes_from_http_through_kafka(tenant, fleet):
    device = tenant.device()
    fleet([device])
    before = ends("martlet.commands.events")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = tenant.admin.call(
        "POST", f"/api/v1/devices/{device}/commands", {"type": "REBOOT"}, 201,
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert trace in answer.headers["traceparent"]
    all_succeed(tenant.admin, [device], [answer.json()["id"]])
    mine = [h for _, key, _, h in records("martlet.commands.events", before) if key == device]
    assert mine and all(trace in h["traceparent"].decode() for h in mine)


def test_a_configuration_reaches_its_device_and_is_accepted(tenant, fleet):
    device = tenant.device()
    content = {"ssid": "martlet", "channels": [1, 6, 11], "power": 1e21}
    artefact = tenant.admin.post(
        "/api/v1/config-artefacts",
        {"slot": "wifi", "profile": {"type": "DEVICE_PROFILE", "id": tenant.board}, "content": content})
    assert artefact["version"] == 1
    body = tenant.admin.call("GET", f"/api/v1/config-artefacts/{artefact['id']}/content", None, 200)
    assert hashlib.sha256(body.content).hexdigest() == artefact["sha256"]
    tenant.admin.call(
        "PUT", "/api/v1/desired-state-bindings",
        {"target": {"type": "DEVICE", "id": device}, "slot": "wifi", "artefactId": artefact["id"]}, 201)
    simulated = fleet([device])  # connects afterwards: the document is retained

    def accepted():
        slots = tenant.admin.get(f"/api/v1/devices/{device}/desired-state")["slots"]
        return slots["wifi"] if slots.get("wifi", {}).get("status") == "ACCEPTED" else None

    slot = eventually("ACCEPTED", accepted)
    assert slot["desired"] == {"version": 1, "sha256": artefact["sha256"]}
    assert slot["reported"]["sha256"] == artefact["sha256"] and slot["reported"]["version"] == 1
    assert json.dumps(simulated.events("connected"))
