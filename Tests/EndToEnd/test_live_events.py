"""Live events reach every reader of their organisation exactly once, whatever replica it reads, and whatever is killed."""

import http.client
import json
import signal
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests

from suite import RUN, URL, Tenant, all_succeed, ends, eventually, kill, publish, records, send, up

PATH = "/api/v1/events"


def replicas():
    """The addresses of both replicas of the commands service."""
    ports = dict(line.split() for line in (RUN / "state/ports").read_text().splitlines())
    return [f"http://127.0.0.1:{ports[name]}" for name in ("commands", "commands-2")]


class Reader:
    """A client that keeps to the rules: it remembers the last id, and comes back."""

    def __init__(self, client, addresses, query="", last=None):
        self.headers = {"X-API-Key": client.session.headers["X-API-Key"]}
        self.addresses, self.query, self.last = addresses, query, last
        self.events, self.resets, self.comments, self.connects = [], 0, 0, 0
        self.statuses, self.socket, self.over, self.ended = [], None, False, threading.Event()
        self.connected = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.connected.wait(30), "the stream begins"

    def _run(self):
        while not self.over:
            address = self.addresses[self.connects % len(self.addresses)]
            self.connects += 1
            try:
                self._read(urlsplit(address))
            except (http.client.HTTPException, OSError):
                pass
            if not self.over:
                time.sleep(0.02 if self.connects % 8 else 0.3)
        self.ended.set()

    def _read(self, address):
        headers = dict(self.headers)
        if self.last is not None:
            headers["Last-Event-ID"] = self.last
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=40)
        connection.connect()
        self.socket = connection.sock
        with self.socket:
            connection.request("GET", PATH + self.query, headers=headers)
            answer = connection.getresponse()
            self.statuses.append(answer.status)
            if answer.status != 200:
                self.over = self.over or answer.status in (401, 403, 404)
                return
            assert answer.headers["Content-Type"] == "text/event-stream"
            block = []
            for line in lines(answer):
                if line:
                    block.append(line)
                    continue
                self._dispatch(block)
                block = []

    def _dispatch(self, block):
        fields = [line.split(": ", 1) for line in block if not line.startswith(":")]
        self.comments += sum(line.startswith(":") for line in block)
        values = dict(fields)
        if "event" in values and values["event"] == "reset":
            self.resets += 1
        elif "data" in values:
            event = json.loads(values["data"])
            assert event["type"] == values["event"] and event["specversion"] == "1.0"
            self.events.append(event)
        if "id" in values:
            self.last = values["id"]
            self.connected.set()

    def drop(self):
        """Breaks the connection, as a network does."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError):
            pass

    def stop(self):
        self.over = True
        self.drop()
        self.ended.wait(10)

    def keys(self):
        return [(e["source"], e["id"]) for e in self.events]

    def commands(self, status):
        return [e["data"]["commandId"] for e in self.events
                if e["type"].startswith("martlet.command.") and e["data"]["status"] == status]


def lines(answer):
    rest = b""
    # read1: what is there, and no more.
    while chunk := answer.read1(65536):
        rest += chunk
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode()


@pytest.fixture
def reader():
    made = []

    def make(*arguments, **more):
        made.append(Reader(*arguments, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def told_exactly_once(reader, tenant, since):
    """What Kafka has of the organisation is what the reader has, once each."""
    wanted = {}
    for topic, offsets in since.items():
        for kind, _, value, headers in records(topic, offsets):
            if value and value.get("organisationId") == tenant.id and live(topic, kind):
                wanted[(headers["ce_source"].decode(), headers["ce_id"].decode())] = kind
    eventually("the reader has heard of all", lambda: set(wanted) <= set(reader.keys()), within=30)
    heard = reader.keys()
    assert len(heard) == len(set(heard)), "nothing twice"
    assert set(heard) == set(wanted), "nothing else"
    assert {e["data"]["organisationId"] for e in reader.events} <= {tenant.id}
    return wanted


def live(topic, kind):
    return topic != "martlet.registry.events" or kind == "martlet.registry.device.presence"


def topic_ends():
    return {t: ends(t) for t in ("martlet.commands.events", "martlet.config.events", "martlet.registry.events")}


def revs_grow(reader):
    """Each command's events come in the order of its revisions, without gaps."""
    revs = {}
    for event in reader.events:
        if event["type"].startswith("martlet.command."):
            revs.setdefault(event["data"]["commandId"], []).append(event["data"]["rev"])
    for command, found in revs.items():
        assert found == list(range(found[0], found[0] + len(found))), (command, found)


@pytest.mark.parametrize("disturbance", ["reconnects", "kill"])
def test_every_event_exactly_once(tenant, fleet, reader, whole_stack, disturbance):
    up(2)
    other = Tenant()
    since = topic_ends()
    one = reader(tenant.admin, replicas())
    stays = reader(tenant.admin, [replicas()[1]])
    foreign = reader(other.admin, replicas())
    devices = tenant.devices(10)
    fleet(devices)
    over = threading.Event()

    drops = []

    def disturb():
        while not over.wait(0.15):
            drops.append(one.drop())
            if disturbance == "kill" and len(drops) in (4, 16):
                kill("commands-2" if len(drops) == 4 else "commands")
                up(2)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        ids = send(tenant.admin, devices, 500)
        while len(drops) < 17:
            ids += send(tenant.admin, devices, 10)
            time.sleep(0.05)
        all_succeed(tenant.admin, devices, ids)
    finally:
        over.set()
        disturber.join()
    told = told_exactly_once(one, tenant, since)
    told_exactly_once(stays, tenant, since)
    assert one.connects > 5 and one.resets == 0 and stays.resets == 0
    assert set(ids) <= set(one.commands("SUCCESS"))
    assert "martlet.registry.device.presence" in told.values()
    revs_grow(one)
    revs_grow(stays)
    assert not foreign.events and not foreign.resets


def test_config_events_and_filters(tenant, fleet, reader):
    devices = tenant.devices(2)
    all_of_it = reader(tenant.admin, [URL])
    of_one = reader(tenant.admin, [URL], f"?deviceId={devices[0]}")
    created = reader(tenant.admin, [URL], "?type=martlet.command.created,martlet.config.*")
    artefact = tenant.artefact({"v": 1})
    tenant.bind("DEVICE", devices[0], artefact, expect=(201,))
    fleet(devices)
    ids = send(tenant.admin, devices, 20)
    all_succeed(tenant.admin, devices, ids)
    eventually("all is heard", lambda: set(ids) <= set(all_of_it.commands("SUCCESS")))
    eventually("all is created", lambda: len(created.commands("PENDING")) == 20)
    eventually("the device has reported", lambda: "martlet.config.reported" in {e["type"] for e in created.events})
    kinds = {e["type"] for e in created.events if not e["type"].startswith("martlet.config.")}
    assert kinds == {"martlet.command.created"}
    eventually("its device's are heard", lambda: len(set(of_one.commands("SUCCESS"))) == 10)
    assert {e["data"]["deviceId"] for e in of_one.events} == {devices[0]}
    assert {e["type"] for e in of_one.events} >= {"martlet.registry.device.presence", "martlet.command.created"}


def test_who_may_read_and_what_is_refused(tenant):
    other = Tenant()
    device = other.device()

    def status(client, query="", **headers):
        with requests.get(URL + PATH + query, headers={**client.session.headers, **headers}, stream=True, timeout=20) as a:
            return a.status_code

    assert requests.get(URL + PATH, timeout=20).status_code == 401
    assert status(tenant.client("viewer")) == 200
    assert status(tenant.root) == 400 and status(tenant.root, f"?organisationId={tenant.id}") == 200
    assert status(tenant.admin, f"?organisationId={other.id}") == 404
    assert status(tenant.admin, f"?deviceId={device}") == 404
    for query in ("?deviceId=", "?type=", "?type=x", "?type=martlet.command.sent&type=martlet.command.sent", "?limit=1",
                  "?cursor=x", "?what=1", "?type=martlet.command.sent,,"):
        assert status(tenant.admin, query) == 400, query


def test_an_id_that_is_unknown_is_answered_with_reset(tenant, reader):
    device = tenant.device()
    before = reader(tenant.admin, [URL])
    good = before.last
    for bad in ("x", "7", good[:-3], good + "A", "A" * 5000, good.replace(good[8:30], "_" * 22)):
        one = reader(tenant.admin, [URL], last=bad)
        command = tenant.admin.command(device)["id"]
        eventually("it goes on", lambda: command in one.commands("PENDING"))
        assert one.resets == 1, bad
        one.stop()


def test_a_revoked_key_ends_its_streams(tenant, reader):
    made = tenant.root.post("/apiKey", {"organisationId": tenant.id, "name": "short", "role": "viewer"})
    client = tenant.client("viewer")
    client.session.headers["X-API-Key"] = made["key"]
    stays = reader(tenant.admin, [URL])
    ends_soon = reader(client, [URL])
    time.sleep(1.5)
    assert not ends_soon.over
    tenant.root.call("DELETE", f"/apiKey/id/{made['id']}", expect=204)
    began = time.monotonic()
    eventually("its stream ends", lambda: ends_soon.over, within=5)
    assert 401 in ends_soon.statuses and time.monotonic() - began < 3
    assert not stays.over and stays.connects == 1


def test_a_slow_reader_is_cut_off_and_the_others_go_on(tenant, reader, fleet):
    """It stops reading; its organisation goes on. When it reads again its stream ends, and it resumes without a gap."""
    devices = tenant.devices(4)
    since = topic_ends()
    quick = reader(tenant.admin, [replicas()[0]])
    address = urlsplit(replicas()[0])
    # With buffers of the usual size: through a window of 4 KiB what is left would trickle, a persist timer at a time.
    slow = socket.create_connection((address.hostname, address.port))
    before = cuts(address)
    key = tenant.admin.session.headers["X-API-Key"]
    slow.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
    assert b"200 OK" in slow.recv(4096)
    fleet(devices)
    ids = []
    while cuts(address) == before:
        assert len(ids) < 12_000, "it is cut off"
        ids += send(tenant.admin, devices, 500)
    all_succeed(tenant.admin, devices, ids)
    # What was on its way is there, then the end.
    slow.settimeout(70)
    got = b""
    try:
        while chunk := slow.recv(1 << 16):
            got += chunk
    except ConnectionResetError:
        pass
    last = [line for line in got.split(b"\n") if line.startswith(b"id: ")][-2][4:].decode().strip()
    seen = got.count(b"\nevent: ")
    told = told_exactly_once(quick, tenant, since)
    assert 0 < seen < len(told)
    rest = reader(tenant.admin, [replicas()[0]], last=last)
    eventually("it has caught up", lambda: rest.keys() and rest.keys()[-1] in quick.keys()[-200:] or rest.resets)


def test_much_that_was_missed_is_told_in_pieces(tenant, reader):
    """14 MB of events: more than is read for one reader at a time, and than is kept in memory."""
    device = tenant.device()
    first = reader(tenant.admin, [replicas()[0]])
    start, since = first.last, topic_ends()
    ids = [tenant.admin.command(device, lane=f"lane-{number % 10}")["id"] for number in range(60)]
    for command in ids:
        answer = {"id": command, "status": "SUCCESS", "result": "x" * 240_000}
        publish(f"martlet/v1/{device}/command/status", json.dumps(answer).encode())
    eventually("all are over", lambda: set(first.commands("SUCCESS")) == set(ids), within=60)
    late = reader(tenant.admin, [replicas()[0]], last=start)
    told_exactly_once(late, tenant, since)
    revs_grow(late)
    assert late.resets == 0


def cuts(address):
    text = requests.get(f"http://{address.netloc}/metrics", timeout=10).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("martlet_live_cut_total"))


def test_sigterm_ends_streams_and_they_go_on_elsewhere(tenant, reader, whole_stack):
    up(2)
    device = tenant.device()
    one = reader(tenant.admin, replicas())
    first = tenant.admin.command(device)["id"]
    eventually("it is heard", lambda: first in one.commands("PENDING"))
    began = time.monotonic()
    kill("commands", signal.SIGTERM)
    assert time.monotonic() - began < 10
    second = tenant.admin.command(device)["id"]
    eventually("it goes on at the other", lambda: second in one.commands("PENDING"))
    assert one.resets == 0 and one.connects > 1
    keys = one.keys()
    assert len(keys) == len(set(keys))
