"""Large artefacts over the whole suite: the embedded store behind the edge, and a real S3 server, read by boto3."""

import base64
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import pytest
import requests
from botocore.config import Config

from suite import RUN, Client, Tenant, eventually, kill, mosquitto, publish, up

TOOLS = os.environ.get("MARTLET_TOOLS")
GATEWAY = Path(TOOLS or "/") / "bin/versitygw"
ARTEFACTS = "/api/v1/config-artefacts"
KEY, SECRET = "test-access", "test-secret"


class Store:
    """Where the suite keeps large artefacts now; `s3` is None for the embedded store."""

    def __init__(self, s3=None):
        self.s3 = s3

    def announce(self, tenant, data, kind="application/x-model", slot="model"):
        return tenant.admin.post(f"{ARTEFACTS}/upload-url", {
            "slot": slot, "profile": {"type": "DEVICE_PROFILE", "id": tenant.board}, "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(), "contentType": kind})

    def upload(self, tenant, data, **more):
        ticket = self.announce(tenant, data, **more)
        answer = put(ticket, data)
        assert answer.status_code == 200, answer.text
        return tenant.admin.post(ARTEFACTS, {"uploadId": ticket["uploadId"]})


def put(ticket, data, **changed):
    headers = {**ticket["headers"], **changed}
    return requests.put(ticket["url"], data=data, headers=headers, timeout=60)


@pytest.fixture(params=["embedded", "s3"])
def store(request):
    if request.param == "embedded":
        yield Store()
        return
    if not GATEWAY.exists():
        pytest.skip("MARTLET_TOOLS names no folder with bin/versitygw")
    folder = RUN / f"s3-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen(
        [str(GATEWAY), "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "posix", str(folder)],
        stdin=subprocess.DEVNULL, stdout=open(folder.with_suffix(".log"), "ab"), stderr=subprocess.STDOUT)
    endpoint = f"http://127.0.0.1:{port}"
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}, proxies={}))
    try:
        eventually("the gateway answers", lambda: reachable(endpoint))
        s3.create_bucket(Bucket="martlet")
        restart(MARTLET_S3_ENDPOINT=endpoint, MARTLET_S3_ACCESS_KEY=KEY, MARTLET_S3_SECRET_KEY=SECRET)
        yield Store(s3)
    finally:
        process.terminate()
        process.wait(20)
        restart()


def restart(**environment):
    kill("config")
    up(**environment)


def reachable(endpoint):
    try:
        return requests.get(endpoint, timeout=2).status_code
    except requests.RequestException:
        return None


def free_port():
    """Below those that the system gives to connections that go out: one of these could take it first."""
    for port in random.sample(range(22_000, 32_000), 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("no free port")


def test_a_large_artefact_reaches_its_device(tenant, store, listen):
    data = os.urandom(3_000_000)
    made = store.upload(tenant, data)
    assert (made["size"], made["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    if store.s3:
        # What no one here wrote reads what is there.
        keys = [o["Key"] for o in store.s3.list_objects_v2(Bucket="martlet")["Contents"]]
        assert len(keys) == 1 and keys[0].startswith(f"{tenant.id}/")
        stored = store.s3.get_object(Bucket="martlet", Key=keys[0])
        assert stored["Body"].read() == data
        assert stored["ContentType"] == "application/x-model"
    # By the console's way: a redirect to a signed address.
    read = tenant.client("viewer").call("GET", f"{ARTEFACTS}/{made['id']}/content")
    assert read.content == data and read.headers["Content-Type"] == "application/x-model"

    device = tenant.device()
    tenant.bind("DEVICE", device, made, "model", expect=(201,))
    topic = f"martlet/v1/{device}"
    kept = mosquitto("mosquitto_sub", "-t", f"{topic}/desired", "-C", "1", "-W", "15", capture_output=True, text=True)
    slot = json.loads(kept.stdout)["slots"]["model"]
    assert slot["size"] == len(data) and "content" not in slot
    answer = ask(listen, device, slot["sha256"])
    assert answer["sha256"] == slot["sha256"]
    # A device knows no key: the address alone is enough, and a part of it can be had.
    got = requests.get(answer["url"], timeout=30)
    assert hashlib.sha256(got.content).hexdigest() == slot["sha256"]
    assert int(got.headers["Content-Length"]) == len(data)
    assert requests.get(answer["url"], headers={"Range": "bytes=5-9"}, timeout=30).content == data[5:10]
    assert ask(listen, tenant.device(), slot["sha256"])["error"]["code"] == "notDesired"


def ask(listen, device, sha256):
    """Asks as a device does until it is answered: it may ask before it listens."""
    answers = listen(f"martlet/v1/{device}/artefact/url")

    def answer():
        publish(f"martlet/v1/{device}/artefact/get", json.dumps({"sha256": sha256}).encode())
        return answers.payloads()

    return json.loads(eventually("an answer", answer, every=0.5)[0])


def test_what_is_not_as_signed_is_refused_and_leaves_nothing(tenant, store):
    data = os.urandom(100_000)
    ticket = store.announce(tenant, data)
    other = bytes([data[0] ^ 1]) + data[1:]
    checksum = base64.b64encode(hashlib.sha256(other).digest()).decode()
    refusals = [
        (put(ticket, other), 400, "BadDigest"),
        (put(ticket, data + b"x", **{"Content-Length": str(len(data) + 1)}), 403, "SignatureDoesNotMatch"),
        (put(ticket, other, **{"x-amz-checksum-sha256": checksum}), 403, "SignatureDoesNotMatch"),
        (put(ticket, data, **{"Content-Type": "text/html"}), 403, "SignatureDoesNotMatch"),
        (put({**ticket, "url": ticket["url"].replace(ticket["uploadId"], str(uuid.uuid4()))}, data), 403,
         "SignatureDoesNotMatch"),
    ]
    for answer, status, code in refusals:
        assert answer.status_code == status and f"<Code>{code}</Code>" in answer.text, answer.text
    assert tenant.admin.call("POST", ARTEFACTS, {"uploadId": ticket["uploadId"]}).status_code == 409
    assert put(ticket, data).status_code == 200
    assert put(ticket, data).status_code == 412
    assert tenant.admin.post(ARTEFACTS, {"uploadId": ticket["uploadId"]})["version"] == 1


def test_an_address_that_is_over_and_an_upload_that_nobody_completes(tenant):
    restart(MARTLET_OBJECT_UPLOAD_SECONDS="1", MARTLET_OBJECT_GRACE_SECONDS="0", MARTLET_OBJECT_DOWNLOAD_SECONDS="1")
    try:
        store, data = Store(), os.urandom(70_000)
        late, stale = store.announce(tenant, data), store.announce(tenant, data)
        assert put(stale, data).status_code == 200
        files = RUN / "objects" / tenant.id
        assert len(list(files.iterdir())) == 1

        def is_over():
            answer = put(late, data)
            return answer.text if answer.status_code == 403 else None

        assert "<Code>AccessDenied</Code>" in eventually("the address is over", is_over, within=5)
        eventually("the stale one is swept", lambda: not list(files.iterdir()), within=30)
        refused = tenant.admin.call("POST", ARTEFACTS, {"uploadId": stale["uploadId"]})
        assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/uploadId"
        # Wherever it is, no log has what would let its reader in.
        log = (RUN / "config.log").read_text()
        assert "X-Amz-Signature" not in log
    finally:
        restart()


def test_a_kill_in_the_middle_of_an_upload_leaves_no_object(tenant):
    store, data = Store(), os.urandom(30_000_000)
    ticket = store.announce(tenant, data)

    uploader = subprocess.Popen(
        [sys.executable, "-c", UPLOADER, ticket["url"], json.dumps(ticket["headers"])], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    incoming = RUN / "objects/.incoming"
    before = set(incoming.iterdir())
    uploader.stdin.write(data[:10_000_000])
    uploader.stdin.flush()
    eventually("it is under way", lambda: any(f.stat().st_size > 1_000_000 for f in set(incoming.iterdir()) - before))
    kill("config")
    uploader.kill()
    uploader.wait()
    up()
    assert not list((RUN / "objects").glob(f"{tenant.id}/*"))
    assert tenant.admin.call("POST", ARTEFACTS, {"uploadId": ticket["uploadId"]}).status_code == 409
    assert put(ticket, data).status_code == 200
    made = tenant.admin.post(ARTEFACTS, {"uploadId": ticket["uploadId"]})
    kill("config")
    up()
    assert tenant.admin.call("GET", f"{ARTEFACTS}/{made['id']}/content").content == data, "and it outlives one"


# Sends what it reads, so that the length is there and the bytes are not.
UPLOADER = """
import http.client, json, sys
from urllib.parse import urlsplit
url = urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc)
connection.putrequest("PUT", f"{url.path}?{url.query}")
for name, value in json.loads(sys.argv[2]).items():
    connection.putheader(name, value)
connection.endheaders()
while piece := sys.stdin.buffer.read1(65536):
    connection.send(piece)
connection.getresponse()
"""


def test_another_tenants_and_other_roles(tenant):
    store, data = Store(), b"x" * 100
    ticket = store.announce(tenant, data)
    put(ticket, data)
    for role in ("viewer", "operator"):
        assert tenant.client(role).call("POST", f"{ARTEFACTS}/upload-url", {}).status_code == 403
    assert Client("mk_wrong").call("POST", f"{ARTEFACTS}/upload-url", {}).status_code == 401
    answer = Tenant().admin.call("POST", ARTEFACTS, {"uploadId": ticket["uploadId"]})
    assert answer.status_code == 422 and "there is no such upload" in answer.text
