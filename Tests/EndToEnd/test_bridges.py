"""Replicas of the bridge that sleep and wake up."""

import json
import os
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest

from proxy import Proxy
from suite import BIN, RUN, all_succeed, eventually, kill, pid, retained, up


class ExtraBridge:
    """A replica beside the stack's own, in its environment, that reaches the broker through a proxy."""

    def __init__(self):
        self.environment = dict(
            line.split("=", 1) for line in Path(f"/proc/{pid('bridge')}/environ").read_text().split("\0") if "=" in line)
        self.proxy = Proxy(os.environ["MARTLET_MQTT_HOST"], int(os.environ["MARTLET_MQTT_PORT"]))
        self.process = None

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        changed = {"MARTLET_REPLICA": "9", "MARTLET_HTTP_PORT": str(port), "MARTLET_MQTT_PORT": str(self.proxy.port)}
        self.process = subprocess.Popen(
            [str(BIN / "martlet-bridge")], env={**self.environment, **changed}, stdin=subprocess.DEVNULL,
            stdout=open(RUN / "bridge-9.log", "ab"), stderr=subprocess.STDOUT)
        eventually("the extra bridge is ready", lambda: self._is_ready(port), within=60)

    @staticmethod
    def _is_ready(port):
        return subprocess.run(
            ["curl", "-fsS", "-m", "2", "-o", "/dev/null", f"http://127.0.0.1:{port}/readyz"],
            capture_output=True).returncode == 0

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.proxy.close()


@pytest.fixture
def extra(whole_stack):
    bridge = ExtraBridge()
    yield bridge
    bridge.stop()


def test_what_a_sleeper_had_in_hand_does_not_stay(tenant, extra, listen):
    """A replica sleeps for longer than its group's session with a document on its way, and wakes up when another one
    has published the next: at rest the broker keeps the newest."""
    device = tenant.device()
    topic = f"martlet/v1/{device}/desired".encode()

    def bind(version):
        artefact = tenant.artefact({"v": version})
        assert artefact["version"] == version
        tenant.bind("DEVICE", device, artefact)

    extra.start()
    kill("bridge", signal.SIGTERM)
    bind(1)
    documents = listen(f"martlet/v1/{device}/desired")

    def revisions():
        return [json.loads(document)["revision"] for document in documents.payloads()]

    eventually("revision 1 is there", lambda: 1 in revisions(), within=60)
    extra.proxy.hold()
    bind(2)
    eventually("revision 2 is on its way", lambda: extra.proxy.holds(topic, b'"revision":2'))
    extra.process.send_signal(signal.SIGSTOP)
    up()
    eventually("the other replica has published revision 2", lambda: 2 in revisions(), within=60)
    bind(3)
    eventually("and 3", lambda: revisions()[-1] == 3, within=60)
    extra.proxy.release()
    eventually("the sleeper's comes last", lambda: revisions()[-1] == 2)
    extra.process.send_signal(signal.SIGCONT)
    eventually("the newest is there again", lambda: revisions()[-1] == 3, within=30)
    assert json.loads(retained(device)["desired"])["revision"] == 3


def test_the_next_of_a_deviceId_gets_nothing_of_the_first(tenant, fleet, whole_stack):
    """A bridge that was away with a command finds the end of its device behind it."""
    device = tenant.device()
    kill("bridge")
    old = tenant.admin.command(device)["id"]
    cancelled = tenant.admin.command(device, lane="b")["id"]
    tenant.admin.post(f"/api/v1/commands/{cancelled}/cancel", {}, expect=200)
    assert tenant.admin.call("DELETE", f"/device/id/{device}").status_code == 204
    eventually("its command is over", lambda: tenant.admin.status(old).get("reason") == "deviceDeleted")
    again = tenant.admin.post("/device", {
        "mcuId": uuid.uuid4().hex[:12], "boardId": tenant.board, "organisationId": tenant.id, "deviceId": device})
    assert again["deviceId"] == device
    simulated = fleet([device])
    up()
    new = tenant.admin.command(device)["id"]
    all_succeed(tenant.admin, [device], [new])
    assert simulated.executions([new]) == [new]
    assert {i for _, i in simulated.receptions()} == {new}, "nothing that is over"
