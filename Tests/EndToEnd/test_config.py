"""Configuration for many: targets, membership, fallback, explanation and plans, through all services and to the devices."""

import os
import subprocess

import pytest

from suite import ends, eventually, kill, records, up

BINDINGS = "/api/v1/desired-state-bindings"


class Config:
    """What one tenant has bound."""

    def __init__(self, tenant):
        self.admin, self.artefact, self.bind = tenant.admin, tenant.artefact, tenant.bind

    def unbind(self, binding):
        self.admin.call("DELETE", f"{BINDINGS}/{binding['id']}", None, 204)

    def state(self, device):
        return self.admin.get(f"/api/v1/devices/{device}/desired-state")

    def has(self, device, artefact, path="wifi"):
        """Waits until the device has accepted it; None: until the slot is gone."""
        def there():
            slot = self.state(device)["slots"].get(path)
            if artefact is None:
                return slot is None
            return slot and slot["artefactId"] == artefact["id"] and slot["status"] == "ACCEPTED"

        eventually(f"{device} has {artefact and artefact['version']}", there)

    def converged(self, binding, total):
        def there():
            numbers = self.admin.get(f"{BINDINGS}/{binding['id']}")["convergence"]
            return numbers if (numbers["total"], numbers["accepted"]) == (total, total) else None

        return eventually(f"{total} have it", there, within=60)

    def group(self, devices=()):
        group = self.admin.post("/group", {"name": "Group"})["id"]
        self.join(group, devices)
        return group

    def join(self, group, devices):
        if devices:
            answer = self.admin.call("POST", f"/group/id/{group}/device", {"deviceIds": list(devices)})
            assert answer.status_code < 300, answer.text


@pytest.fixture
def config(tenant):
    return Config(tenant)


def test_most_specific_wins_and_unbinding_falls_back(config, tenant, fleet):
    devices = tenant.devices(4)
    fleet(devices)
    one, two, *rest = devices
    for_all, for_group, for_one = (config.artefact({"v": n}) for n in (1, 2, 3))
    board = config.bind("DEVICE_PROFILE", tenant.board, for_all)
    numbers = config.converged(board, 4)
    assert 0 <= numbers["p50Seconds"] <= numbers["p95Seconds"] < 30
    group = config.group([one, two])
    grouped = config.bind("DEVICE_GROUP", group, for_group)
    config.converged(grouped, 2)
    single = config.bind("DEVICE", one, for_one)
    config.has(one, for_one)
    config.has(two, for_group)
    for device in rest:
        config.has(device, for_all)

    explained = config.admin.get(f"/api/v1/devices/{one}/desired-state?explain=true")["slots"]["wifi"]
    assert [(c["bindingId"], c["target"]["type"], c["rank"], c["won"]) for c in explained["candidates"]] == [
        (single["id"], "DEVICE", 1, True), (grouped["id"], "DEVICE_GROUP", 2, False),
        (board["id"], "DEVICE_PROFILE", 3, False)]
    assert "more specific" in explained["candidates"][1]["why"]
    evidence = explained["evidence"]
    assert evidence["publishedAt"] <= evidence["deliveredAt"] and evidence["publishedAt"] <= evidence["reportedAt"]

    # Members come and go.
    config.join(group, [rest[0]])
    config.has(rest[0], for_group)
    config.admin.call("DELETE", f"/group/id/{group}/device", {"deviceIds": [two]})
    config.has(two, for_all)
    config.unbind(single)
    config.has(one, for_group)
    config.unbind(grouped)
    config.has(one, for_all)
    config.unbind(board)
    for device in devices:
        config.has(device, None)
    history = config.admin.get(f"{BINDINGS}/{grouped['id']}/history")["items"]
    assert [(h["rev"], "before" in h, "after" in h) for h in history] == [(2, True, False), (1, False, True)]


def test_components_get_what_is_for_their_sensor_profile(config, tenant, fleet):
    device = tenant.device()
    record = config.admin.get(f"/device/deviceId/{device}")["id"]
    profile = config.admin.post("/sensorProfile", {"name": "IMU"})["id"]
    fleet([device])
    common, special = (
        config.artefact({"rate": n}, "classifier", profile, "SENSOR_PROFILE") for n in (1, 2))
    config.bind("SENSOR_PROFILE", profile, common, "classifier")
    component = config.admin.call(
        "PUT", f"/device/id/{record}/component", {"key": "imu0", "sensorProfileId": profile}, 201).json()
    config.has(device, common, "imu0/classifier")
    binding = config.bind("COMPONENT", component["id"], special, "classifier")
    config.has(device, special, "imu0/classifier")
    targets = config.admin.get(f"{BINDINGS}/{binding['id']}/targets")["items"]
    assert [(t["deviceId"], t["component"], t["status"]) for t in targets] == [(device, "imu0", "ACCEPTED")]
    config.unbind(binding)
    config.has(device, common, "imu0/classifier")
    config.admin.call("DELETE", f"/device/id/{record}/component/imu0", None, 204)
    config.has(device, None, "imu0/classifier")


def test_what_is_deleted_reaches_nobody(config, tenant, fleet):
    devices = tenant.devices(2)
    fleet(devices)
    group = config.group(devices)
    for_all, for_group = config.artefact({"v": 1}), config.artefact({"v": 2})
    board = config.bind("DEVICE_PROFILE", tenant.board, for_all)
    grouped = config.bind("DEVICE_GROUP", group, for_group)
    config.converged(grouped, 2)
    assert config.admin.call("DELETE", f"/group/id/{group}", None).status_code == 409, "it has a binding"
    config.unbind(grouped)
    config.converged(board, 2)
    # The registry hears of it a moment later.
    eventually("the group is free", lambda: config.admin.call("DELETE", f"/group/id/{group}", None).status_code in (200, 204))
    record = config.admin.get(f"/device/deviceId/{devices[0]}")["id"]
    config.admin.call("DELETE", f"/device/id/{record}", None)
    config.converged(board, 1)
    assert config.admin.call("DELETE", f"/board/id/{tenant.board}", None).status_code == 409, "it has devices"


def test_a_plan_is_what_happens_or_nothing_does(config, tenant, fleet):
    devices = tenant.devices(3)
    fleet(devices)
    group = config.group(devices[:2])
    artefact = config.artefact({"v": 1})
    change = {"target": {"type": "DEVICE_GROUP", "id": group}, "slot": "wifi", "artefactId": artefact["id"]}

    def plan():
        return config.admin.post(f"{BINDINGS}/plan", {"changes": [change]})

    stale = plan()
    assert sorted(d["deviceId"] for d in stale["devices"]) == sorted(devices[:2]) and stale["total"] == 2
    config.join(group, [devices[2]])
    refused = config.admin.call("PUT", f"{BINDINGS}/plan/{stale['planId']}/apply", None, 409).json()
    assert devices[2] in refused["detail"]
    fresh = plan()
    assert fresh["total"] == 3
    applied = config.admin.call("PUT", f"{BINDINGS}/plan/{fresh['planId']}/apply", None, 200).json()
    config.converged(applied["bindings"][0], 3)


def test_a_device_that_is_away_is_offline_and_converges_when_it_is_back(config, tenant, fleet):
    device = tenant.device()
    binding = config.bind("DEVICE_PROFILE", tenant.board, config.artefact({"v": 1}))

    def reason():
        targets = config.admin.get(f"{BINDINGS}/{binding['id']}/targets")["items"]
        return targets and targets[0].get("reason")

    eventually("offline", lambda: reason() == "offline")
    fleet([device])
    config.converged(binding, 1)


def test_config_killed_while_it_resolves_forgets_nobody(config, tenant, fleet, whole_stack):
    devices = tenant.devices(200)
    fleet(devices)
    first, second = config.artefact({"v": 1}), config.artefact({"v": 2})
    config.bind("DEVICE_PROFILE", tenant.board, first)
    binding = config.bind("DEVICE_PROFILE", tenant.board, second)
    kill("config")
    up()
    config.converged(binding, len(devices))


def test_nobody_gets_another_document_while_the_copy_is_read_once_more(config, tenant, fleet, whole_stack):
    devices = tenant.devices(5)
    simulated = fleet(devices)
    group = config.group(devices[:3])
    board = config.bind("DEVICE_PROFILE", tenant.board, config.artefact({"v": 1}))
    grouped = config.bind("DEVICE_GROUP", group, config.artefact({"v": 2}))
    config.converged(grouped, 3)
    config.converged(board, 2)
    before = {device: config.state(device)["revision"] for device in devices}

    def documents(newest):
        """All that came, once the fleet's log, which is written behind, has these."""
        came = [(event["device"], event["revision"]) for event in simulated.events("desired")]
        return came if set(newest.items()) <= set(came) else None

    heard = eventually("the fleet's log is written", lambda: documents(before))
    kill("registry")
    kill("config")
    sql = """
      TRUNCATE config.directory_device, config.directory_group, config.directory_board, config.directory_sensor_profile,
        config.directory_api_key, config.directory_organisation;
      UPDATE config.consumer_offset SET next_offset = 0 WHERE consumer = 'directory';
    """
    subprocess.run(["psql", os.environ["MARTLET_DATABASE_URL"], "-qc", sql], check=True, stdin=subprocess.DEVNULL)
    up()

    eventually("the copy is back", lambda: config.admin.call("GET", BINDINGS, None).status_code == 200, within=60)
    for device in devices:
        eventually("the device is known", lambda d=device: config.admin.call(
            "GET", f"/api/v1/devices/{d}/desired-state", None).status_code == 200, within=60)
    # A change behind it all: when it is there, what was due before has been looked at.
    marker = config.bind("DEVICE_PROFILE", tenant.board, config.artefact({"m": 1}, "marker"), "marker")
    config.converged(marker, 5)
    after = {device: revision + 1 for device, revision in before.items()}
    assert {device: config.state(device)["revision"] for device in devices} == after
    came = eventually("the fleet's log is written", lambda: documents(after))
    assert sorted(came) == sorted(heard + list(after.items()))


def test_changes_are_told(config, tenant, fleet):
    device = tenant.device()
    fleet([device])
    before = ends("martlet.config.events")
    binding = config.bind("DEVICE_PROFILE", tenant.board, config.artefact({"v": 1}))
    config.converged(binding, 1)
    config.unbind(binding)
    config.has(device, None)

    def told():
        mine = [(kind.removeprefix("martlet.config."), value) for kind, _, value, _ in
                records("martlet.config.events", before) if value["organisationId"] == tenant.id]
        kinds = [kind for kind, _ in mine]
        return mine if kinds.count("documentChanged") == 2 else None

    events = eventually("all is told", told)
    kinds = {kind for kind, _ in events}
    assert {"bindingCreated", "bindingRemoved", "documentChanged", "documentPublished", "reported", "converged"} <= kinds
    created = next(value for kind, value in events if kind == "bindingCreated")
    assert created["after"]["version"] == 1 and "before" not in created
    removed = next(value for kind, value in events if kind == "bindingRemoved")
    assert removed["before"]["version"] == 1 and "after" not in removed
