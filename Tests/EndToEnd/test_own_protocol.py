"""Devices with a protocol of their own: a raw MQTT client plays them, with two replicas and with a broker that restarts."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from suite import Tenant, ends, eventually, kill, publish, records, up

LONG = {"deliverSeconds": 120, "acknowledgeSeconds": 120, "completeSeconds": 120}


@pytest.fixture
def listen(listen):
    """Listens as a device that the broker remembers while it is away."""
    return lambda topic: listen(topic, "-i", f"own-{uuid.uuid4().hex[:12]}", "-c", "-x", "3600")


def board(tenant, **more):
    tenant.board = tenant.admin.post(
        "/board", {"name": "Own", "soc": f"own-{uuid.uuid4().hex[:12]}", "organisationId": tenant.id, **more})["id"]


def door(tenant):
    """One of `iotee_device`, by its hardware id."""
    mcu = f"HW-{uuid.uuid4().hex[:10]}"
    tenant.device(mcu)
    return mcu


def send(tenant, hardware, command, expect=201, **more):
    return tenant.admin.post(f"/devices/{hardware}/commands", {"command": command, **more}, expect)


def becomes(tenant, command, status, within=30):
    eventually(
        f"{command} is {status}", lambda: tenant.admin.get(f"/commands/{command}")["status"] == status, within)


def say(hardware, word):
    publish(f"iotee/dev/{hardware}/ack", word.encode())


def delivered(tenant, command):
    """It may have been before anybody listened: then it comes again after a second or two."""
    becomes(tenant, command, "published")


def test_lock_ack_done(tenant, listen):
    board(tenant, deviceType="iotee_device")
    hardware = door(tenant)
    device = listen(f"iotee/dev/{hardware}/#")
    made = send(tenant, hardware, "lock")
    assert made["topic"] == f"iotee/dev/{hardware}/rls" and made["device_type"] == "iotee_device"
    lock = made["command_id"]
    delivered(tenant, lock)
    eventually("it came", lambda: [f"iotee/dev/{hardware}/rls", "1"] in device.messages())
    say(hardware, " ACK\n")
    becomes(tenant, lock, "acknowledged")
    say(hardware, "what?")
    say(hardware, "done")
    becomes(tenant, lock, "completed")
    unlock = send(tenant, hardware, "unlock")["command_id"]
    delivered(tenant, unlock)
    eventually("it came", lambda: "0" in device.payloads())
    say(hardware, "error")
    becomes(tenant, unlock, "failed")
    assert tenant.admin.get(f"/commands/{unlock}")["error"]["code"] == "error"
    refused = send(tenant, hardware, "REBOOT", expect=422)
    assert all(name in str(refused["errors"]) for name in ("lock", "unlock", "reboot"))


def test_what_is_not_understood_is_set_aside(tenant, listen):
    board(tenant, deviceType="iotee_device")
    hardware = door(tenant)
    listen(f"iotee/dev/{hardware}/rls")
    since = ends("martlet.dead-letter")
    lock = send(tenant, hardware, "lock", )["command_id"]
    delivered(tenant, lock)
    say(hardware, "locked!")
    say(hardware, "done")
    becomes(tenant, lock, "completed")
    topic = f"iotee/dev/{hardware}/ack"
    eventually("it is there", lambda: any(key == topic for _, key, _, _ in records("martlet.dead-letter", since)))


def test_nothing_gets_out_of_its_template(tenant, listen):
    board(tenant, commandCatalogue={
        "say": {"topic": "x/{params.zone}/{device_id}", "payload": '{"text":"{params.msg}","n":{params.n}}'}})
    mcu = door(tenant)
    device = tenant.admin.get(f"/device?q={mcu}")[0]["deviceId"]
    everything = listen("x/#")
    for zone in ["a/#", "+", "a/b", "", "#", "\n", None, {}, "/\u0301"]:
        answer = send(tenant, mcu, "say", 422, params={"zone": zone, "msg": "x", "n": 1})
        assert [e["pointer"] for e in answer["errors"]] == ["/params/zone"], zone
    answer = send(tenant, mcu, "say", 422, params={"zone": "a", "msg": "x"})
    assert [e["pointer"] for e in answer["errors"]] == ["/params/n"]
    said = 'He said "hi" {params.n}\n'
    delivered(tenant, send(tenant, mcu, "say", params={"zone": "{params.msg}", "msg": said, "n": 1.0})["command_id"])
    expected = [f"x/{{params.msg}}/{device}", '{"text":"He said \\"hi\\" {params.n}\\n","n":1.0}']
    eventually("it came", lambda: expected in everything.messages())
    assert len([t for t, _ in everything.messages() if t.endswith(device)]) == 1
    for topic in ["x/+", "x/#", "x/{unknown}", "martlet/v1/{device_id}/desired", "$SYS/x", "{hardware_id}/x"]:
        body = {"name": "B", "soc": f"s-{uuid.uuid4().hex}", "commandCatalogue": {"a": {"topic": topic, "payload": "1"}}}
        answer = tenant.admin.call("POST", "/board", {**body, "organisationId": tenant.id}, expect=422).json()
        assert [e["pointer"] for e in answer["errors"]] == ["/commandCatalogue/a/topic"], topic


def test_another_tenant_with_the_same_hardware_id(tenant, listen):
    board(tenant, deviceType="iotee_device")
    hardware = door(tenant)
    listen(f"iotee/dev/{hardware}/rls")
    lock = send(tenant, hardware, "lock")["command_id"]
    delivered(tenant, lock)
    other = Tenant()
    board(other, deviceType="iotee_device")
    other.device(hardware)
    send(other, hardware, "unlock", expect=409)
    say(hardware, "done")
    becomes(tenant, lock, "completed")


def test_an_answer_topic_that_is_new_is_heard_from_the_first_answer(tenant, listen):
    prefix = f"new-{uuid.uuid4().hex[:10]}"
    board(tenant, commandCatalogue={"go": {
        "topic": f"{prefix}/{{hardware_id}}/do", "payload": "go", "answerTopic": f"{prefix}/{{hardware_id}}/said",
        "answers": {"completed": "ok"}, "timeouts": LONG}})
    hardware = door(tenant)
    device = listen(f"{prefix}/{hardware}/do")
    command = send(tenant, hardware, "go")["command_id"]
    eventually("it came", lambda: device.payloads() == ["go"])
    publish(f"{prefix}/{hardware}/said", b"OK")
    becomes(tenant, command, "completed")


def test_two_replicas_and_a_broker_that_restarts(tenant, listen, whole_stack):
    board(tenant, deviceType="iotee_device", commandTimeouts=LONG)
    up(2)
    doors = [door(tenant) for _ in range(6)]
    devices = {hardware: listen(f"iotee/dev/{hardware}/rls") for hardware in doors}

    def round_trip(hardware, command, payload, count):
        id = send(tenant, hardware, command)["command_id"]
        eventually(
            f"{hardware} got {command}", lambda: devices[hardware].payloads().count(payload) >= count, within=60)
        say(hardware, "ack")
        say(hardware, "done")
        becomes(tenant, id, "completed", within=60)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda hardware: round_trip(hardware, "lock", "1", 1), doors))
        kill("bridge")
        list(pool.map(lambda hardware: round_trip(hardware, "unlock", "0", 1), doors))
        kill("mosquitto")
        waiting = {hardware: send(tenant, hardware, "reboot")["command_id"] for hardware in doors}
        up(2)
        for hardware, id in waiting.items():
            eventually("it came", lambda h=hardware: "reboot" in devices[h].payloads(), within=90)
            say(hardware, "done")
            becomes(tenant, id, "completed", within=60)
