"""BIND_CONFIG_ARTEFACT and UNBIND_CONFIG_ARTEFACT on the running suite: followed to their end, also over kills."""

import json
import uuid

import pytest

from suite import Tenant, eventually, invariants_hold, kill, publish, retained, up

SHORT = {"deliverSeconds": 30, "acknowledgeSeconds": 2, "completeSeconds": 2}
LONG = {"deliverSeconds": 120, "acknowledgeSeconds": 120, "completeSeconds": 120}


def bind(tenant, device, made, **more):
    return tenant.admin.command(device, type="BIND_CONFIG_ARTEFACT", params={"artefactId": made["id"]}, **more)


def ends_as(client, command, status, within=60):
    """Waits for its end, and gives it with its timeline."""
    found = eventually(
        f"{command['id']} has ended", lambda: (lambda c: c if "completedAt" in c else None)(client.status(command["id"])),
        within)
    assert found["status"] == status, found
    return found


def moves(command):
    """The statuses that it went through."""
    found = []
    for entry in command["timeline"]:
        if entry["status"] not in found:
            found.append(entry["status"])
    return found


def state(tenant, device, slot="wifi"):
    return tenant.admin.get(f"/api/v1/devices/{device}/desired-state")["slots"].get(slot)


def report(device, made, status, **more):
    slot = {"version": made["version"], "sha256": made["sha256"], "status": status, **more}
    publish(f"martlet/v1/{device}/reported", json.dumps({"slots": {"wifi": slot}}).encode())


def test_bound_and_unbound_with_a_fleet(tenant, fleet):
    device = tenant.device()
    simulated = fleet([device], "--work-ms", "300")
    made = tenant.artefact({"v": 1})
    answer = bind(tenant, device, made)
    assert answer["status"] == "PENDING" and answer["topic"] == f"martlet/v1/{device}/desired"
    done = ends_as(tenant.admin, answer, "SUCCESS")
    assert moves(done) == ["PENDING", "SENT", "ACKNOWLEDGED", "SUCCESS"], done["timeline"]
    assert state(tenant, device)["status"] == "ACCEPTED"
    assert answer["id"] not in simulated.executions()
    binding = tenant.admin.get("/api/v1/desired-state-bindings?slot=wifi")["items"][0]
    assert binding["updatedBy"] == done["createdBy"] and binding["target"]["type"] == "DEVICE"
    history = tenant.admin.get(f"/api/v1/desired-state-bindings/{binding['id']}/history")["items"]
    assert [change["by"] for change in history] == [done["createdBy"]]
    # Already so.
    ends_as(tenant.admin, bind(tenant, device, made), "SUCCESS")
    # The other surface.
    path = f"/devices/{device}/commands"
    unbind = tenant.admin.post(path, {"command": "UNBIND_CONFIG_ARTEFACT", "params": {"slot": "wifi"}})
    done = ends_as(tenant.admin, {"id": unbind["command_id"]}, "SUCCESS")
    assert state(tenant, device) is None
    assert json.loads(retained(device)["desired"])["slots"] == {}
    again = tenant.admin.command(device, type="UNBIND_CONFIG_ARTEFACT", params={"slot": "wifi"})
    assert ends_as(tenant.admin, again, "FAILED")["error"]["code"] == "notBound"
    assert tenant.admin.call("POST", path, {"command": "BIND_CONFIG_ARTEFACT", "params": {"slot": "wifi"}}).status_code == 422
    viewer = tenant.client("viewer")
    body = {"type": "BIND_CONFIG_ARTEFACT", "params": {"artefactId": made["id"]}}
    assert viewer.call("POST", f"/api/v1/devices/{device}/commands", body).status_code == 403


def test_unbinding_falls_back_to_what_the_board_has(tenant, fleet):
    device = tenant.device()
    fleet([device])
    general, own = tenant.artefact({"v": "all"}), tenant.artefact({"v": "own"})
    tenant.bind("DEVICE_PROFILE", tenant.board, general, expect=(201,))
    ends_as(tenant.admin, bind(tenant, device, own), "SUCCESS")
    unbind = tenant.admin.command(device, type="UNBIND_CONFIG_ARTEFACT", params={"slot": "wifi"})
    ends_as(tenant.admin, unbind, "SUCCESS")
    found = state(tenant, device)
    assert (found["artefactId"], found["status"]) == (general["id"], "ACCEPTED")


def test_rejected_away_and_late(tenant):
    """A device that a test plays itself."""
    device = tenant.device()
    made = tenant.artefact({"v": 1})
    command = bind(tenant, device, made, timeouts=LONG)
    eventually("it is SENT", lambda: tenant.admin.status(command["id"])["status"] == "SENT")
    report(device, made, "IN_PROGRESS")
    eventually("it is ACKNOWLEDGED", lambda: tenant.admin.status(command["id"])["status"] == "ACKNOWLEDGED")
    report(device, made, "REJECTED", message="no room")
    done = ends_as(tenant.admin, command, "FAILED")
    assert (done["reason"], done["error"]) == ("device", {"code": "rejected", "message": "no room"})

    away = tenant.artefact({"v": 2})
    command = bind(tenant, device, away, timeouts=SHORT)
    done = ends_as(tenant.admin, command, "TIMEOUT")
    assert done["reason"] == "notAcknowledged" and done["sentAt"]
    # The binding stays: the answer may come late.
    assert state(tenant, device)["artefactId"] == away["id"]
    report(device, away, "ACCEPTED")
    late = eventually("the answer is kept", lambda: tenant.admin.status(command["id"]).get("lateOutcome"))
    assert late["status"] == "SUCCESS" and tenant.admin.status(command["id"])["status"] == "TIMEOUT"


def test_what_does_not_fit_fails(tenant):
    device = tenant.device()
    other = Tenant()
    foreign = other.artefact({"v": 1})
    mine = tenant.artefact({"v": 1})
    for params, code in [
        ({"artefactId": str(uuid.uuid4())}, "unknownArtefact"), ({"artefactId": foreign["id"]}, "unknownArtefact"),
        ({"artefactId": mine["id"], "slot": "radio"}, "wrongSlot"),
        ({"artefactId": mine["id"], "component": "imu0"}, "unknownComponent"),
    ]:
        command = tenant.admin.command(device, type="BIND_CONFIG_ARTEFACT", params=params)
        done = ends_as(tenant.admin, command, "FAILED")
        assert (done["error"]["code"], done["reason"]) == (code, code), done
    assert tenant.admin.get("/api/v1/desired-state-bindings")["items"] == []
    body = {"type": "BIND_CONFIG_ARTEFACT", "params": {"artefactId": foreign["id"]}}
    assert other.admin.call("POST", f"/api/v1/devices/{device}/commands", body).status_code == 404


def test_a_campaign_of_bindings(tenant, fleet):
    devices = tenant.devices(12)
    fleet(devices)
    made = tenant.artefact({"v": 1})
    campaign = tenant.admin.post("/api/v1/commands/bulk", {
        "target": {"deviceIds": devices}, "type": "BIND_CONFIG_ARTEFACT", "params": {"artefactId": made["id"]}}, expect=202)
    done = eventually("the campaign is done", lambda: (lambda c: c if c["status"] == "DONE" else None)(
        tenant.admin.get(f"/api/v1/commands/bulk/{campaign['id']}")), within=60)
    assert done["counts"]["success"] == 12, done


@pytest.mark.parametrize("victims", [["config"], ["commands"], ["config", "commands", "config-2", "commands-2"]])
def test_kills_in_the_middle(tenant, fleet, whole_stack, victims):
    up(2)
    devices = tenant.devices(6)
    fleet(devices, "--work-ms", "200")
    made = [tenant.artefact({"v": number}) for number in range(2)]
    commands = []
    for number, victim in enumerate(victims * 2):
        chosen = made[number % 2]
        # One after the other for each device, since a later one supersedes what is not done.
        batch = [bind(tenant, device, chosen, timeouts=LONG) for device in devices]
        kill(victim)
        up(2)
        for command in batch:
            ends_as(tenant.admin, command, "SUCCESS", within=120)
        commands += batch
    for device in devices:
        assert state(tenant, device)["artefactId"] == chosen["id"]
        bindings = tenant.admin.get(f"/api/v1/desired-state-bindings?targetId={device}")["items"]
        assert len(bindings) == 1
        # Each command changed it once: nothing was done twice, nothing was lost.
        history = tenant.admin.get(f"/api/v1/desired-state-bindings/{bindings[0]['id']}/history")["items"]
        assert len(history) == len(victims) * 2
    invariants_hold(tenant.admin)
