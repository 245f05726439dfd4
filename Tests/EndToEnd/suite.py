"""The running suite as a client sees it: HTTP, Kafka, simulated devices, and its processes."""

import json
import os
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from confluent_kafka import Consumer, KafkaException, TopicPartition

ROOT = Path(__file__).resolve().parents[2]
RUN = Path(os.environ["MARTLET_RUN"])
BIN = Path(os.environ.get("BIN") or ROOT / ".build/release")
URL = os.environ["MARTLET_URL"]


def eventually(what, condition, within=30, every=0.1):
    """Waits until the condition gives something true and returns that."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {within} s: {what}")


class Client:
    """One API key."""

    def __init__(self, key):
        self.session = requests.Session()
        self.session.headers["X-API-Key"] = key

    def call(self, method, path, body=None, expect=None, **more):
        answer = self.session.request(method, URL + path, json=body, timeout=30, **more)
        if expect is not None:
            assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def post(self, path, body, expect=201):
        return self.call("POST", path, body, expect).json()

    def get(self, path, expect=200):
        return self.call("GET", path, None, expect).json()

    def command(self, device, **body):
        return self.post(f"/api/v1/devices/{device}/commands", {"type": "REBOOT", **body})

    def status(self, command):
        return self.get(f"/api/v1/commands/{command}")


class Tenant:
    """An organisation with an admin key, a board, and devices."""

    def __init__(self):
        root = Client(os.environ["MARTLET_ROOT_KEY"])
        self.root = root
        self.id = root.post("/organisation", {"name": f"Tenant {uuid.uuid4().hex[:12]}"})["id"]
        self.admin = self.client("admin")
        self.soc = f"soc-{uuid.uuid4().hex[:12]}"
        self.board = self.admin.post(
            "/board",
            {"name": "Board", "description": "", "soc": self.soc, "organisationId": self.id, "public": False,
             "metadataFields": []},
        )["id"]

    def client(self, role):
        key = self.root.post("/apiKey", {"organisationId": self.id, "name": role, "role": role})
        return Client(key["key"])

    def device(self, mcu=None):
        mcu = mcu or uuid.uuid4().hex[:12]
        body = {"mcuId": mcu, "boardId": self.board, "organisationId": self.id, "metadata": {}}
        return self.admin.post("/device", body)["deviceId"]

    def devices(self, count):
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: self.device(), range(count)))

    def artefact(self, content, slot="wifi", profile=None, kind="DEVICE_PROFILE"):
        return self.admin.post("/api/v1/config-artefacts", {
            "slot": slot, "profile": {"type": kind, "id": profile or self.board}, "content": content})

    def bind(self, kind, target, artefact, slot="wifi", priority=0, expect=(200, 201)):
        answer = self.admin.call("PUT", "/api/v1/desired-state-bindings", {
            "target": {"type": kind, "id": target}, "slot": slot, "artefactId": artefact["id"], "priority": priority})
        assert answer.status_code in expect, answer.text
        return answer.json()


class Fleet:
    """`martlet simulate` over some devices; its log says what was delivered and executed."""

    def __init__(self, devices, *flags, folder=None):
        self.folder = Path(folder or RUN / f"fleet-{uuid.uuid4().hex[:8]}")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "devices.txt").write_text("\n".join(devices) + "\n")
        self.log = self.folder / "log.ndjson"
        command = [
            str(BIN / "martlet"), "simulate", "--devices-file", str(self.folder / "devices.txt"),
            "--mqtt-host", os.environ["MARTLET_MQTT_HOST"], "--mqtt-port", os.environ["MARTLET_MQTT_PORT"],
            "--mqtt-user", os.environ["MARTLET_MQTT_SIM_USER"], "--log", str(self.log), "--quiet", *flags,
        ]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.folder / "stderr.log", "ab"))
        eventually(
            "the fleet is connected",
            lambda: len({e["device"] for e in self.events("connected")}) == len(set(devices)), within=60)

    def events(self, kind):
        if not self.log.exists():
            return []
        events = []
        for line in self.log.read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line may be half written
            if event["event"] == kind:
                events.append(event)
        return events

    def executions(self, awaited=()):
        """Ids in the order of their work, as soon as the log holds those awaited (or as many as that number): it is written behind."""
        def there():
            ids = [event["id"] for event in self.events("execution")]
            enough = len(ids) >= awaited if isinstance(awaited, int) else set(awaited) <= set(ids)
            return (ids,) if enough else None
        return eventually("the fleet's log is written", there)[0]

    def receptions(self):
        """What came, repeats too: the simulated devices themselves drop those, so executions say nothing of them."""
        return [(event["device"], event["id"]) for event in self.events("delivery")]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)


def send(client, devices, count, **body):
    """Sends so many commands to the devices in turn, as a client must: what is not confirmed is tried again."""

    def one(number):
        device = devices[number % len(devices)]
        while True:
            try:
                answer = client.call("POST", f"/api/v1/devices/{device}/commands", {"type": "REBOOT", **body})
            except requests.RequestException:
                time.sleep(0.2)
                continue
            if answer.status_code == 201:
                return answer.json()["id"]
            assert answer.status_code in (502, 503, 504), f"{answer.status_code}: {answer.text}"
            time.sleep(0.2)

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(count)))


def outcomes(client, devices):
    """Every command of the devices: id → status."""
    found = {}
    for device in devices:
        cursor = ""
        while True:
            page = client.get(f"/api/v1/devices/{device}/commands?limit=1000{cursor}")
            found.update({c["id"]: c["status"] for c in page["items"]})
            if page["nextCursor"] is None:
                break
            cursor = f"&cursor={page['nextCursor']}"
    return found


def in_order(client, devices, fleet):
    """Each device has heard of its commands in the order in which they were created, repeats apart."""
    heard = {}
    for device, command in fleet.receptions():
        of_device = heard.setdefault(device, [])
        if command not in of_device:
            of_device.append(command)
    for device in devices:
        created = list(reversed(list(outcomes(client, [device]))))  # the list is newest first
        assert heard.get(device, []) == [i for i in created if i in set(heard.get(device, []))], device


def all_succeed(client, devices, ids, within=90):
    """Waits until every command is SUCCESS; what else they were is in the message."""

    def done():
        found = outcomes(client, devices)
        return all(found.get(i) == "SUCCESS" for i in ids)

    try:
        eventually("all commands reach SUCCESS", done, within, every=0.5)
    except AssertionError:
        found = outcomes(client, devices)
        rest = [f"{i}: {found.get(i)}" for i in ids if found.get(i) != "SUCCESS"]
        raise AssertionError(f"{len(rest)} of {len(ids)} are not SUCCESS: {rest[:5]}") from None


def invariants_hold(client):
    answer = eventually("no command is open", lambda: (lambda a: a if a["open"] == 0 else None)(
        client.get("/api/v1/invariants")), within=60)
    assert answer["holds"], answer


def pid(name):
    return int((RUN / f"{name}.pid").read_text())


def kill(name, number=signal.SIGKILL):
    """Ends a process of the stack as a crash would, and waits until it is gone."""
    process = pid(name)
    os.kill(process, number)
    eventually(f"{name} is gone", lambda: not Path(f"/proc/{process}").exists() or _is_zombie(process), within=20)


def _is_zombie(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def up(replicas=1, **environment):
    """Starts what is not running."""
    subprocess.run(
        [str(ROOT / "Tools/stack/up.sh"), str(replicas)], check=True, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=180, env={**os.environ, **environment})


def one_replica():
    """Ends second replicas, gracefully."""
    for file in RUN.glob("*-2.pid"):
        process = int(file.read_text())
        if Path(f"/proc/{process}").exists():
            kill(file.stem, signal.SIGTERM)


def records(topic, since):
    """All records of a topic from the offsets of `ends` on: (type, key, value)."""
    consumer = Consumer({
        "bootstrap.servers": os.environ["MARTLET_KAFKA_BOOTSTRAP"], "group.id": f"test-{uuid.uuid4().hex}",
        "enable.auto.commit": False})
    goals = ends(topic)
    consumer.assign([TopicPartition(topic, p, o) for p, o in since.items()])
    open_partitions = {p for p, o in goals.items() if since.get(p, 0) < o}
    found = []
    deadline = time.monotonic() + 60
    while open_partitions and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        headers = dict(message.headers() or [])
        value = json.loads(message.value()) if message.value() else None
        found.append((headers.get("ce_type", b"").decode(), (message.key() or b"").decode(), value, headers))
        if message.offset() + 1 >= goals[message.partition()]:
            open_partitions.discard(message.partition())
    consumer.close()
    assert not open_partitions, "the topic could not be read to its end"
    return found


def ends(topic):
    consumer = Consumer({
        "bootstrap.servers": os.environ["MARTLET_KAFKA_BOOTSTRAP"], "group.id": f"test-{uuid.uuid4().hex}"})
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions

    def end(partition):
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        except KafkaException:
            return None  # a broker that has just come back

    offsets = {p: eventually(f"the end of {topic}/{p}", lambda p=p: end(p))[1] for p in partitions}
    consumer.close()
    return offsets


def mosquitto_command(program, *arguments):
    """One of Debian's own clients, as any device."""
    return [
        program, "-h", os.environ["MARTLET_MQTT_HOST"], "-p", os.environ["MARTLET_MQTT_PORT"], "-V", "5",
        "-u", os.environ["MARTLET_MQTT_SIM_USER"], "-P", os.environ["MARTLET_MQTT_SIM_PASSWORD"], "-q", "1", *arguments]


def mosquitto(program, *arguments, **more):
    return subprocess.run(mosquitto_command(program, *arguments), timeout=20, **more)


class Listener:
    """What comes on a topic, as a device without any library of ours sees it."""

    def __init__(self, topic, *flags):
        self.file = RUN / f"listener-{uuid.uuid4().hex[:8]}.log"
        self.process = subprocess.Popen(
            mosquitto_command("mosquitto_sub", "-t", topic, "-F", "%t %p", *flags),
            stdin=subprocess.DEVNULL, stdout=open(self.file, "wb"), stderr=subprocess.DEVNULL)

    def messages(self):
        """Topic and payload of each that is written whole; what is behind a line break of a payload is left out."""
        return [line.split(" ", 1) for line in self.file.read_text().split("\n")[:-1] if " " in line]

    def payloads(self):
        return [payload for _, payload in self.messages()]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def publish(topic, payload, *flags):
    """One MQTT message from outside."""
    mosquitto("mosquitto_pub", "-t", topic, "-s" if payload else "-n", *flags, input=payload, check=True)


def retained(device):
    """What the broker keeps for a device: topic → payload."""
    answer = mosquitto(
        "mosquitto_sub", "-t", f"martlet/v1/{device}/#", "-F", "%r %t %p", "-W", "1", stdin=subprocess.DEVNULL,
        capture_output=True, text=True)
    lines = [line.split(" ", 2) for line in answer.stdout.splitlines()]
    return {topic.removeprefix(f"martlet/v1/{device}/"): payload for kept, topic, payload in lines if kept == "1"}
