"""The services' descriptions are OpenAPI 3.1, and they answer as their own say, whatever is sent to them."""

import os
import uuid
from urllib.parse import quote

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

from suite import ROOT, Tenant

SERVICES = ["registry", "config", "commands", "bridge"]
REGISTRY = os.environ["MARTLET_REGISTRY_URL"]
CONFIG = os.environ["MARTLET_CONFIG_URL"]
COMMANDS = os.environ["MARTLET_COMMANDS_URL"]


def description(service):
    return ROOT / f"Services/{service}/openapi.yaml"


def names_without_value(node, path=""):
    """In a flow mapping a comma ends a text: what was to follow it becomes a name of its own."""
    if isinstance(node, dict):
        for name, value in node.items():
            if value is None:
                yield f"{path}/{name}"
            yield from names_without_value(value, f"{path}/{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from names_without_value(value, f"{path}/{index}")


@pytest.mark.parametrize("service", SERVICES)
def test_is_openapi_3_1(service):
    document = yaml.safe_load(description(service).read_text())
    assert document["openapi"].startswith("3.1.")
    assert not list(names_without_value(document))
    validate(document)


class World:
    """A tenant with one of each, whose ids take the place of every second made-up one."""

    def __init__(self):
        self.tenant = Tenant()
        self.root = self.tenant.root.session.headers["X-API-Key"]
        self.key = self.tenant.admin.session.headers["X-API-Key"]
        device = self.tenant.admin.post("/device", {"mcuId": "mcu-1", "boardId": self.tenant.board})
        organisation = self.tenant.admin.get(f"/organisation/id/{self.tenant.id}")
        make = self.tenant.admin.post
        group = make("/group", {"name": "Group"})["id"]
        profile = make("/sensorProfile", {"name": "IMU"})["id"]
        network = make("/network", {"name": "Mesh", "networkId": 1, "key": "00ff"})["id"]
        self.tenant.admin.call(
            "PUT", f"/device/id/{device['id']}/component", {"key": "imu0", "sensorProfileId": profile}, expect=201)
        self.known = {
            "/group/id": {"id": group},
            "/sensorProfile/id": {"id": profile},
            "/network/id": {"id": network},
            "/organisation/id": {"id": self.tenant.id},
            "/organisation/name": {"name": organisation["name"]},
            "/organisation/slug": {"slug": organisation["slug"]},
            "/board": {"id": self.tenant.board},
            "/device/": {"id": device["id"], "deviceId": device["deviceId"], "soc": self.tenant.soc, "mcuId": "mcu-1",
                         "key": "imu0"},
        }
        profile = {"type": "DEVICE_PROFILE", "id": self.tenant.board}
        artefact = make("/api/v1/config-artefacts", {"slot": "wifi", "profile": profile, "content": {"ssid": "x"}})
        binding = self.tenant.admin.call("PUT", "/api/v1/desired-state-bindings", {
            "target": {"type": "DEVICE", "id": device["deviceId"]}, "slot": "wifi", "artefactId": artefact["id"]}, 201)
        command = self.tenant.admin.command(device["deviceId"])["id"]
        campaign = self.tenant.admin.call("POST", "/api/v1/commands/bulk", {
            "target": {"deviceIds": [device["deviceId"]]}, "type": "REBOOT"}, 202).json()["id"]
        self.known |= {
            "/api/v1/commands/{id}": {"id": command},
            "/api/v1/commands/bulk": {"id": campaign},
            "/commands/{id}": {"id": command},
            "/devices/": {"id": device["deviceId"]},
            "/api/v1/config-artefacts": {"id": artefact["id"], "against": artefact["id"]},
            "/api/v1/desired-state-bindings": {"id": binding.json()["id"]},
            "/api/v1/devices": {"deviceId": device["deviceId"], "id": command},
        }
        self.count = 0

    def place(self, case):
        """Only where the path was made to fit: what was made not to fit shall not."""
        path = case.meta.components.get(ParameterLocation.PATH)
        self.count += 1
        if self.count % 2 or path is None or not path.mode.is_positive:
            return
        for prefix, values in self.known.items():
            for name in set(values) & set(case.path_parameters) if case.path.startswith(prefix) else []:
                case.path_parameters[name] = values[name]


def holds_null(body):
    """Null counts as left out in what is sent, which the schemas do not repeat at each field."""
    if isinstance(body, dict):
        return any(value is None or holds_null(value) for value in body.values())
    return isinstance(body, list) and any(holds_null(value) for value in body)


@pytest.fixture
def world():
    return World()


# What a schema cannot say is no fault of either: a cursor, a filter, a tag, two fields that have to agree (so nothing is asked
# of requests that fit). Who may do what has tests of its own. If-Match is looked at before the body.
def described(service, *also):
    return schemathesis.openapi.from_path(
        description(service),
        config=schemathesis.Config.from_dict({
            "generation": {"with-security-parameters": False},
            "checks": {
                "positive_data_acceptance": {"enabled": False},
                "ignored_auth": {"enabled": False},
                "negative_data_rejection": {"expected-statuses": [400, 404, 405, 406, 409, 412, 414, 415, 422, 431, *also]},
            }
        }))


registry = described("registry")
# The embedded object store answers as S3 does.
config = described("config", 403, 411)
commands = described("commands")
fuzzed = settings(
    max_examples=int(os.environ.get("MARTLET_FUZZ_EXAMPLES", "20")), derandomize=True, database=None, deadline=None,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))


@registry.parametrize()
@fuzzed
def test_registry_answers_as_described(case, world):
    world.place(case)
    key = world.root if (case.method, case.path) == ("POST", "/organisation") else world.key
    case.call_and_validate(
        base_url=REGISTRY, headers={"X-API-Key": key}, timeout=30,
        excluded_checks=[negative_data_rejection] if holds_null(case.body) else [])


@config.parametrize()
@fuzzed
def test_config_answers_as_described(case, world):
    world.place(case)
    case.call_and_validate(
        base_url=CONFIG, headers={"X-API-Key": world.key}, timeout=30, allow_redirects=False,
        excluded_checks=[negative_data_rejection] if holds_null(case.body) else [])


# The live events have no end (test_live_events.py).
@commands.exclude(path="/api/v1/events").parametrize()
@fuzzed
def test_commands_answer_as_described(case, world):
    world.place(case)
    case.call_and_validate(
        base_url=COMMANDS, headers={"X-API-Key": world.key}, timeout=30,
        excluded_checks=[negative_data_rejection] if holds_null(case.body) else [])
