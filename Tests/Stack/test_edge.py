"""The edge: routing, its own errors as problems, nothing sent twice, streams at once."""
import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest


def call(stack, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", stack.base, timeout=15)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, json.loads(text) if text else None


def raw(stack, data):
    with socket.create_connection(("127.0.0.1", stack.base), timeout=10) as wire:
        wire.sendall(data)
        received = b""
        while part := wire.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode(), json.loads(body)


def assert_problem(answer, body, status):
    assert answer.status == status
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert body["status"] == body["code"] == status
    assert body["message"] == body["detail"] and body["title"] and body["type"]


@pytest.mark.parametrize("service, path", [
    *[("registry", f"/{name}") for name in ("organisation", "apiKey", "whoami", "board", "network", "group",
                                            "sensorProfile", "device", "device-and-state", "audit")],
    ("registry", "/device/id/1/state"), ("registry", "/device?limit=1"), ("registry", "/organisation/name/a%2Fb%20c"),
    ("registry", "/device/export"), ("registry", "/device/import"),
    ("config", "/api/v1/config-artefacts"), ("config", "/api/v1/desired-state-bindings/x/history"),
    ("config", "/api/v1/rollouts/x/pause"), ("config", "/api/v1/devices/x:y/desired-state?explain=true"),
    ("commands", "/api/v1/devices/a%2Fb/commands"), ("commands", "/api/v1/devices/x/commands/y/cancel"),
    ("commands", "/api/v1/commands/bulk"), ("commands", "/api/v1/invariants"),
    ("commands", "/devices/x/commands"), ("commands", "/commands/purge"),
])
def test_each_path_reaches_its_service_unchanged(stack, service, path):
    answer, body = call(stack, "GET", path)
    assert (answer.status, body["service"], body["path"]) == (200, f"martlet-{service}", path)


@pytest.mark.parametrize("service", ["registry", "config", "commands", "bridge"])
def test_descriptions_of_all_services(stack, service):
    _, body = call(stack, "GET", f"/openapi/{service}.yaml")
    assert (body["service"], body["path"]) == (f"martlet-{service}", "/openapi.yaml")


@pytest.mark.parametrize("path", ["/", "/deviceX", "/nothing", "//device", "/api/v1/devices/x", "/api/v1/events2",
                                  "/metrics", "/readyz", "/_problem", "/openapi/other.yaml"])
def test_unknown_paths_are_problems(stack, path):
    assert_problem(*call(stack, "GET", path), 404)


def test_the_edge_is_alive(stack):
    assert call(stack, "GET", "/livez")[1] == {"status": "ok"}


def test_headers_for_the_services(stack):
    _, body = call(stack, "GET", "/device", headers={"X-Request-Id": "mine-1", "X-Forwarded-For": "6.6.6.6"})
    headers = body["headers"]
    assert headers["X-Request-Id"] == "mine-1" and headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["Host"] == f"127.0.0.1:{stack.base}"
    _, body = call(stack, "GET", "/device", headers={"X-Request-Id": 'bad"one'})
    assert len(body["headers"]["X-Request-Id"]) == 32


def test_a_service_sees_its_environment(stack):
    common = {"MARTLET_HTTP_HOST", "MARTLET_HTTP_PORT", "MARTLET_DATABASE_URL", "MARTLET_DATABASE_SCHEMA",
              "MARTLET_KAFKA_BOOTSTRAP", "MARTLET_REPLICA", "MARTLET_LOG_LEVEL"}
    mqtt = {"MARTLET_MQTT_HOST", "MARTLET_MQTT_PORT", "MARTLET_MQTT_USER", "MARTLET_MQTT_PASSWORD"}
    commands = set(call(stack, "GET", "/commands")[1]["environment"])
    assert common | {"MARTLET_ROOT_KEY"} <= commands and not mqtt & commands
    bridge = set(call(stack, "GET", "/openapi/bridge.yaml")[1]["environment"])
    assert common | mqtt <= bridge and "MARTLET_ROOT_KEY" not in bridge


def test_body_limits(stack):
    # A bit over 1 MiB is the service's own business, far over is refused here, bulk import passes.
    assert call(stack, "POST", "/device", b"x" * (1024 * 1024 + 1))[1]["service"] == "martlet-registry"
    assert_problem(*call(stack, "POST", "/device", b"x" * 2_000_000), 413)
    assert call(stack, "POST", "/device/import", b"x" * 2_000_000)[1]["size"] == 2_000_000


@pytest.mark.parametrize("status, data", [
    (400, b"nonsense\r\n\r\n"),
    (400, b"GET /device HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nConnection: close\r\n\r\n"),
    (400, b"POST /device HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"),
    (400, b"GET /../../etc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (400, b"GET /device%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (405, b"TRACE /device HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (414, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    (431, b"GET /device HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 40000 + b"\r\nConnection: close\r\n\r\n"),
    (501, b"POST /device HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n"),
    (505, b"GET /device HTTP/3.0\r\nHost: a\r\n\r\n"),
])
def test_protocol_errors_are_problems(stack, status, data):
    head, body = raw(stack, data)
    assert head.startswith(f"HTTP/1.1 {status}") and "application/problem+json" in head
    assert body["status"] == body["code"] == status


def test_events_arrive_at_once(stack):
    connection = http.client.HTTPConnection("127.0.0.1", stack.base, timeout=2)
    connection.request("GET", "/api/v1/events")
    assert connection.getresponse().readline() == b"data: first\n"
    connection.close()


def test_no_replica_gets_a_request_after_another_has_it(stack):
    stack.script("up", "2")
    before = {stack.pid("registry"), stack.pid("registry-2")}
    for method in ["POST", "PATCH"]:
        assert_problem(*call(stack, method, "/device", b"{}", {"X-Test": "die"}), 502)
        said = stack.script("up").said
        assert len(before & {stack.pid("registry"), stack.pid("registry-2")}) == 1, said
        before = {stack.pid("registry"), stack.pid("registry-2")}


def kill(pid):
    """Returns when it is gone: until then the kernel takes connections for it and drops them unanswered."""
    os.kill(pid, signal.SIGKILL)
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.005)


def test_a_dead_replica_is_not_noticed(stack):
    stack.script("up", "2")
    kill(stack.pid("commands-2"))
    for n in range(40):
        answer, _ = call(stack, "POST" if n % 2 else "GET", "/commands", b"{}")
        assert answer.status == 200


def test_a_missing_service_is_a_problem_that_says_when_to_come_back(stack):
    stack.script("up", "2")
    for name in ["config", "config-2"]:
        kill(stack.pid(name))
    answer, body = call(stack, "GET", "/api/v1/rollouts")
    assert_problem(answer, body, 502)
    assert answer.getheader("Retry-After") == "1"
