"""Lanes, exclusive commands and commands that wait for their device, on the running suite with two replicas and with kills."""

import json
import threading
import time
from datetime import datetime

from suite import all_succeed, ends, eventually, invariants_hold, kill, outcomes, publish, records, up

LONG = {"deliverSeconds": 120, "acknowledgeSeconds": 120, "completeSeconds": 120}
LANES = ("default", "a", "b")


def firsts(fleet, device):
    """When each command first came to a device, in that order."""
    came = {}
    for event in fleet.events("delivery"):
        if event["device"] == device:
            came.setdefault(event["id"], datetime.fromisoformat(event["at"]))
    return came


def commands_of(client, device):
    """All of a device's, oldest first."""
    page = client.get(f"/api/v1/devices/{device}/commands?limit=1000")
    assert page["nextCursor"] is None
    return list(reversed(page["items"]))


def in_order_of_lanes(client, devices, fleet, exclusive_ms=0):
    """Each lane came in the order of creation, and nothing while an exclusive one before it was at work."""
    for device in devices:
        came = firsts(fleet, device)
        for lane in {c["lane"] for c in commands_of(client, device)}:
            mine = [c for c in commands_of(client, device) if c["lane"] == lane and c["id"] in came]
            times = [came[c["id"]] for c in mine]
            assert times == sorted(times), f"{device} {lane}"
            order = [i for i in came if i in {c["id"] for c in mine}]
            assert order == [c["id"] for c in mine], f"{device} {lane}"
            for one, following in zip(mine, mine[1:]):
                if one.get("exclusive"):
                    gap = (came[following["id"]] - came[one["id"]]).total_seconds() * 1000
                    assert gap >= exclusive_ms, f"{following['id']} came {gap} ms after {one['id']}"


def send_mixed(client, devices, count, every_third_exclusive=True):
    """To each device in turn, one after the other for each device, over its lanes; ids."""
    made = []
    for number in range(count):
        device = devices[number % len(devices)]
        body = {
            "type": "REBOOT", "timeouts": LONG, "lane": LANES[number % len(LANES)],
            "exclusive": every_third_exclusive and number % 7 < 3}
        while True:
            answer = client.call("POST", f"/api/v1/devices/{device}/commands", body)
            if answer.status_code == 201:
                made.append(answer.json()["id"])
                break
            assert answer.status_code in (502, 503, 504), answer.text
            time.sleep(0.2)
    return made


def test_lanes_keep_their_order_whatever_is_killed(tenant, fleet, whole_stack):
    up(2)
    devices = tenant.devices(5)
    simulated = fleet(devices, "--work-ms", "40")
    before = ends("martlet.commands.events")
    result = {}
    sender = threading.Thread(target=lambda: result.update(ids=send_mixed(tenant.admin, devices, 300)))
    sender.start()
    for name in ("commands-2", "bridge", "commands"):
        time.sleep(0.7)
        kill(name)
        up(2)
    sender.join(timeout=240)
    assert not sender.is_alive()
    all_succeed(tenant.admin, devices, result["ids"], within=150)
    executed = simulated.executions(result["ids"])
    assert len(executed) == len(set(executed)), "none was executed twice"
    in_order_of_lanes(tenant.admin, devices, simulated, exclusive_ms=39)
    invariants_hold(tenant.admin)
    told = [v["commandId"] for k, _, v, _ in records("martlet.commands.events", before)
            if k == "martlet.command.succeeded" and v["commandId"] in set(executed)]
    assert sorted(told) == sorted(set(executed)), "each end was told once"


def test_a_crowd_in_one_lane_does_not_keep_another_waiting(tenant, fleet):
    device = tenant.device()
    # It takes what comes and answers nothing in the test's time.
    simulated = fleet([device], "--never-percent", "100")
    crowd = send_mixed(tenant.admin, [device], 1, False)[0]
    for _ in range(200):
        tenant.admin.command(device, lane="crowd", timeouts=LONG)
    other = tenant.admin.command(device, lane="other", timeouts=LONG)["id"]
    eventually("the last one came", lambda: other in firsts(simulated, device), within=15)
    assert crowd in firsts(simulated, device)
    assert len(firsts(simulated, device)) <= 16, "more than the window"
    for command in outcomes(tenant.admin, [device]):
        tenant.admin.call("POST", f"/api/v1/commands/{command}/cancel")


def test_timeouts_of_exclusive_ones_let_the_next_go_with_a_replica_killed(tenant, whole_stack):
    """Nobody listens; the deadlines alone move the lane on, exactly once each."""
    up(2)
    device = tenant.device()
    before = ends("martlet.commands.events")
    ids = [tenant.admin.command(device, exclusive=True, timeouts={"deliverSeconds": 2 + n % 3})["id"] for n in range(30)]
    kill("commands-2")
    eventually(
        "all are TIMEOUT", lambda: set(outcomes(tenant.admin, [device]).values()) == {"TIMEOUT"}, within=30)
    told = [v["commandId"] for k, _, v, _ in records("martlet.commands.events", before)
            if k == "martlet.command.deadlinePassed" and v["commandId"] in set(ids)]
    assert sorted(told) == sorted(ids)


def test_a_command_waits_for_its_device(tenant, fleet, whole_stack):
    up(2)
    device = tenant.device()
    held = tenant.admin.command(device, waitTimeoutMs=90_000, lane="a")
    behind = tenant.admin.command(device, lane="a", timeouts=LONG)["id"]
    over = tenant.admin.command(device, waitTimeoutMs=700, lane="b")["id"]
    times = [datetime.fromisoformat(held[name]) for name in ("createdAt", "deadline")]
    assert (times[1] - times[0]).total_seconds() == 90 and held["attempts"] == 0
    ended = eventually(
        "not heard in time", lambda: (lambda c: c if c["status"] == "TIMEOUT" else None)(tenant.admin.status(over)))
    assert ended["reason"] == "notHeard" and ended["attempts"] == 0
    assert tenant.admin.status(held["id"])["status"] == "PENDING"
    kill("commands-2")
    simulated = fleet([device])
    all_succeed(tenant.admin, [device], [held["id"], behind])
    came = eventually(
        "the log is written", lambda: (lambda ids: ids if {held["id"], behind} <= set(ids) else None)(
            list(firsts(simulated, device))))
    assert came == [held["id"], behind]
    story = [entry["event"] for entry in tenant.admin.status(held["id"])["timeline"]]
    assert story[:3] == ["created", "heard", "dispatched"]
    # One that is there is waited for too, until it says anything.
    again = tenant.admin.command(device, waitTimeoutMs=90_000)["id"]
    other = tenant.admin.command(device, lane="b")["id"]
    all_succeed(tenant.admin, [device], [other])
    eventually("its answers were heard", lambda: tenant.admin.status(again)["status"] == "SUCCESS")
    last = tenant.admin.command(device, waitTimeoutMs=90_000)["id"]
    assert tenant.admin.status(last)["status"] == "PENDING"
    publish(f"martlet/v1/{device}/state", json.dumps({"battery": 80}).encode())
    all_succeed(tenant.admin, [device], [last])


def test_what_a_device_finds_when_it_is_back(tenant, fleet):
    """Live commands of each lane in order, with the ids that it had, and nothing that is over."""
    device = tenant.device()
    # The broker keeps nothing for it: what comes again is the suite's doing.
    first = fleet([device], "--never-percent", "100", "--sessions-expiry", "0")
    sent = [tenant.admin.command(device, lane=LANES[n % 3], timeouts=LONG)["id"] for n in range(6)]
    eventually("they came", lambda: set(firsts(first, device)) == set(sent))
    first.stop()
    short = [tenant.admin.command(device, lane=LANES[n % 3], timeouts={"deliverSeconds": 1})["id"] for n in range(3)]
    live = [tenant.admin.command(device, lane=LANES[n % 3], timeouts=LONG)["id"] for n in range(30)]
    eventually(
        "the short ones are over", lambda: all(tenant.admin.status(i)["status"] == "TIMEOUT" for i in short),
        within=10)
    back = fleet([device], "--sessions-expiry", "0")
    all_succeed(tenant.admin, [device], sent + live)
    eventually("the log is written", lambda: set(firsts(back, device)) >= set(sent + live))
    assert set(firsts(back, device)) == set(sent + live), "nothing that is over"
    in_order_of_lanes(tenant.admin, [device], back)


def test_an_answer_to_a_deleted_command_is_said_once(tenant, fleet):
    device = tenant.device()
    simulated = fleet([device], "--careful", "--receipt-ms", "300", "--work-ms", "1500")
    command = tenant.admin.command(device, timeouts=LONG)["id"]
    eventually("it came", lambda: command in firsts(simulated, device))
    tenant.admin.call("DELETE", f"/commands/{command}", expect=200)
    eventually("it is told", lambda: [e for e in simulated.events("receipt")
                                      if e["id"] == command and e["status"] == "UNKNOWN"])
