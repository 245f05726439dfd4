"""Commands to many devices: each device gets its command once, and all is counted, whatever is killed meanwhile."""

import json
import threading
import time
from collections import Counter
from datetime import datetime

import pytest

from suite import URL, Tenant, ends, eventually, invariants_hold, kill, records, up

LONG = {"deliverSeconds": 120, "acknowledgeSeconds": 120, "completeSeconds": 120}
BULK = "/api/v1/commands/bulk"


def campaign(client, target, expect=202, **body):
    return client.post(BULK, {"target": target, "type": "REBOOT", **body}, expect)


def commands(client, id, query=""):
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{BULK}/{id}/commands?limit=1000{query}{cursor}")
        found += page["items"]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    return found


def done(client, id, within=90):
    def look():
        state = client.get(f"{BULK}/{id}")
        assert sum(state["counts"].values()) == state["total"], state
        return state if state.get("finishedAt") else None

    return eventually(f"campaign {id} is over", look, within=within)


def imported(tenant, count, prefix):
    """Devices as rows of an import; their deviceIds."""
    lines = "".join(
        json.dumps({"mcuId": f"{prefix}{n}", "boardId": tenant.board, "organisationId": tenant.id}) + "\n"
        for n in range(count))
    answer = tenant.admin.session.post(
        f"{URL}/device/import", data=lines, headers={"Content-Type": "application/x-ndjson"}, timeout=120)
    assert answer.json()["created"] == count, answer.text


def test_a_group_a_filter_and_a_list(tenant, fleet):
    devices = tenant.devices(12)
    simulated = fleet(devices)
    group = tenant.admin.post("/group", {"name": "Some"})["id"]
    tenant.admin.post(f"/group/id/{group}/device", {"deviceIds": devices[:8]}, 200)
    since = ends("martlet.commands.events")
    made = campaign(tenant.admin, {"type": "DEVICE_GROUP", "id": group}, params={"delaySeconds": 0})
    assert made["total"] == 8 and made["status"] == "RUNNING"
    state = done(tenant.admin, made["id"])
    assert state["status"] == "DONE" and state["counts"]["success"] == 8
    found = commands(tenant.admin, made["id"])
    assert {c["deviceId"] for c in found} == set(devices[:8]) and {c["bulkId"] for c in found} == {made["id"]}
    told = eventually("its end is told", lambda: [
        (kind, value) for kind, key, value, _ in records("martlet.commands.events", since) if key == made["id"]][1:])
    assert told[0][0] == "martlet.campaign.finished" and told[0][1]["counts"] == state["counts"]

    online = eventually("all are online", lambda: (
        lambda dry: dry if dry["online"] == 12 else None)(
            campaign(tenant.admin, {"filter": "online==true"}, 200, dryRun=True, ratePerMinute=60)))
    assert online == {"total": 12, "online": 12, "offline": 0, "refused": [], "unknown": [], "minutes": 1}
    made = campaign(tenant.admin, {"filter": f"online==true;deviceId=in=({','.join(devices[:5])})"})
    assert made["total"] == 5, made
    assert done(tenant.admin, made["id"])["counts"]["success"] == 5
    made = campaign(tenant.admin, {"deviceIds": [devices[0], devices[0], "nobody", devices[1]]})
    assert made["total"] == 2 and made["unknown"] == ["nobody"]
    assert done(tenant.admin, made["id"])["counts"]["success"] == 2
    executed = Counter(simulated.executions(15))
    assert len(executed) == 15 and set(executed.values()) == {1}
    assert [c["id"] for c in tenant.admin.get(BULK)["items"]][0] == made["id"]
    invariants_hold(tenant.admin)


def test_a_faulty_filter_has_its_place(tenant):
    answer = tenant.admin.call("POST", BULK, {"target": {"filter": "mcuId=="}, "type": "REBOOT"}, 400).json()
    assert "column 8" in answer["detail"] and answer["errors"][0]["pointer"] == "/target/filter"


def test_who_may(tenant):
    device = tenant.device()
    other = Tenant()
    body = {"target": {"deviceIds": [device]}, "type": "REBOOT"}
    tenant.client("viewer").call("POST", BULK, body, 403)
    made = campaign(tenant.client("operator"), {"deviceIds": [device]})
    tenant.client("viewer").get(f"{BULK}/{made['id']}")
    for method, path in [("GET", ""), ("GET", "/commands"), ("POST", "/cancel"), ("POST", "/retry")]:
        other.admin.call(method, f"{BULK}/{made['id']}{path}", None, 404)
    assert other.admin.get(BULK)["items"] == []
    assert campaign(other.admin, {"deviceIds": [device]})["unknown"] == [device]
    group = tenant.admin.post("/group", {"name": "G"})["id"]
    other.admin.call("POST", BULK, {**body, "target": {"type": "DEVICE_GROUP", "id": group}}, 404)
    assert campaign(other.admin, {"filter": f"deviceId=={device}"})["total"] == 0


@pytest.mark.parametrize("replicas", [1, 2])
def test_services_are_killed_in_the_middle(tenant, fleet, whole_stack, replicas):
    imported(tenant, 1500, "bulk-")
    devices = [row["deviceId"] for row in tenant.admin.get("/device?limit=1000&filter=mcuId==bulk-1*")][:150]
    up(replicas)
    simulated = fleet(devices)
    state = {}
    sender = threading.Thread(target=lambda: state.update(
        campaign(tenant.admin, {"filter": "mcuId==bulk-*"}, ratePerMinute=9000,
                 timeouts={"deliverSeconds": 40})))
    sender.start()
    kill("registry")
    sender.join()
    up(replicas)
    for service in ["commands", "commands-2" if replicas == 2 else "commands", "bridge"]:
        time.sleep(1.5)
        kill(service)
        up(replicas)
    over = done(tenant.admin, state["id"], within=180)
    assert over["total"] == 1500 and over["status"] == "DONE", over
    found = commands(tenant.admin, state["id"])
    assert len(found) == len({c["deviceId"] for c in found}) == 1500
    by = Counter(c["status"] for c in found)
    assert by["SUCCESS"] == over["counts"]["success"] == 150 and by["TIMEOUT"] == over["counts"]["timeout"] == 1350
    executed = Counter(simulated.executions(15))
    assert len(executed) == 150 and set(executed.values()) == {1}
    invariants_hold(tenant.admin)


def test_the_rate_holds_with_two_replicas_and_a_kill(tenant, whole_stack):
    """A minute's worth, in which whoever makes the commands is killed twice."""
    imported(tenant, 1500, "rate-")
    up(2)
    rate = 1200
    made = campaign(tenant.admin, {"filter": "mcuId==rate-*"}, ratePerMinute=rate, timeouts=LONG)
    begin = time.monotonic()
    for service in ["commands", "commands-2"]:
        time.sleep(20)
        kill(service)
        up(2)

    eventually("all are made", lambda: tenant.admin.get(f"{BULK}/{made['id']}")["counts"]["waiting"] == 0, within=90)
    took = time.monotonic() - begin
    times = sorted(
        datetime.fromisoformat(c["createdAt"].replace("Z", "+00:00")).timestamp()
        for c in commands(tenant.admin, made["id"]))
    assert len(times) == 1500
    windows = [sum(1 for t in times if start <= t < start + 60) for start in times if start + 60 <= times[-1]]
    assert windows and min(windows) >= rate * 0.95 and max(windows) <= rate * 1.05, (min(windows), max(windows), took)
    answer = tenant.admin.call("POST", f"{BULK}/{made['id']}/cancel", None, 200).json()
    assert answer["counts"]["cancelled"] == 1500


def test_cancel_and_retry(tenant, fleet):
    devices = tenant.devices(6)
    simulated = fleet(devices[:3])
    made = campaign(tenant.admin, {"deviceIds": devices}, timeouts={"deliverSeconds": 2})
    over = done(tenant.admin, made["id"])
    assert over["counts"]["success"] == 3 and over["counts"]["timeout"] == 3
    again = tenant.admin.post(f"{BULK}/{made['id']}/retry", None, 202)
    assert again["total"] == 3 and again["retryOf"] == made["id"]
    cancelled = tenant.admin.call("POST", f"{BULK}/{again['id']}/cancel", None, 200).json()
    assert cancelled["status"] == "CANCELLED" and cancelled["counts"]["cancelled"] == 3
    assert done(tenant.admin, again["id"])["status"] == "CANCELLED"
    assert tenant.admin.post(f"{BULK}/{again['id']}/retry", None, 202)["total"] == 0
    first = {c["deviceId"]: c for c in commands(tenant.admin, made["id"])}
    for command in commands(tenant.admin, again["id"]):
        assert first[command["deviceId"]]["id"] == command["retryOf"]
        assert first[command["deviceId"]]["retriedBy"] == command["id"]
    assert len(simulated.executions(3)) == 3
