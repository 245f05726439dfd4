"""docs/asyncapi.yaml says what the services publish: each record fits the one message that names its type."""

import re

import yaml
from jsonschema import Draft202012Validator

from suite import ROOT, all_succeed, ends, eventually, records, send

DOCUMENT = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
PUBLIC = ["martlet.commands.events", "martlet.config.events", "martlet.registry.events"]


def types(description):
    """The types that a message's description names: `a.b.c, .d`, and `<kind>` for what follows `for`."""
    words = re.findall(r"(?<![\w>])(martlet\.[\w.<>]+|\.\w+)", description.split(":")[0])
    first = words[0].rsplit(".", 1)[0]
    found = [word if word.startswith("martlet") else first + word for word in words]
    kinds = re.search(r" for ([\w, ]+)\.", description)
    if not kinds:
        return found
    return [word.replace("<kind>", kind) for word in found for kind in kinds.group(1).split(", ")]


def schemas():
    """(topic, type) → validators of headers and payload."""
    found = {}
    for channel in DOCUMENT["channels"].values():
        for reference in channel["messages"].values():
            message = DOCUMENT["components"]["messages"][reference["$ref"].rsplit("/", 1)[1]]
            if channel["address"] not in PUBLIC:
                continue
            parts = [
                Draft202012Validator({**message[part], "components": DOCUMENT["components"]}) for part in ("headers", "payload")]
            for kind in types(message["description"]):
                assert (channel["address"], kind) not in found, f"{kind} is described once"
                found[channel["address"], kind] = parts
    return found


def test_every_topic_is_described():
    wanted = set(re.findall(r'"(martlet\.[a-z.-]+)"', (ROOT / "Shared/Wire/KafkaTopic.swift").read_text()))
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == wanted


def test_every_event_of_a_command_is_described():
    """Those of the lifecycle's table, which is made of the code."""
    header = next(line for line in (ROOT / "docs/lifecycle.md").read_text().splitlines() if line.startswith("| status"))
    wanted = {f"martlet.command.{event.strip()}" for event in header.split("|")[2:-1]} | {"martlet.command.created"}
    assert {kind for _, kind in schemas() if kind.startswith("martlet.command.")} == wanted


def test_what_is_published_fits(tenant, fleet):
    """What the tests before have left on the topics, too."""
    devices = tenant.devices(2)
    artefact = tenant.artefact({"v": 1})
    tenant.bind("DEVICE", devices[0], artefact, expect=(201,))
    fleet(devices)
    all_succeed(tenant.admin, devices, send(tenant.admin, devices, 10))
    eventually("the device has converged", lambda: any(
        kind == "martlet.config.converged" and value["deviceId"] == devices[0]
        for kind, _, value, _ in records("martlet.config.events", last(500, "martlet.config.events"))), every=1)
    described, met = schemas(), set()
    for topic in PUBLIC:
        for kind, key, value, headers in records(topic, last(2000, topic)):
            assert (topic, kind) in described, f"{kind} on {topic} is not described"
            head, payload = described[topic, kind]
            texts = {name: content.decode() for name, content in headers.items()}
            faults = [e.message for e in head.iter_errors(texts)] + [
                f"{e.json_path}: {e.message}" for e in payload.iter_errors(value)]
            assert not faults, (kind, faults)
            assert key
            met.add(kind)
    assert met >= {
        "martlet.command.created", "martlet.command.succeeded", "martlet.config.artefactCreated",
        "martlet.config.bindingCreated", "martlet.config.documentChanged", "martlet.config.documentPublished",
        "martlet.config.reported", "martlet.config.converged", "martlet.registry.device.created",
        "martlet.registry.device.presence", "martlet.registry.organisation.created", "martlet.registry.apiKey.created"}


def last(count, topic):
    """Where the last so many of each partition begin."""
    return {partition: max(0, end - count) for partition, end in ends(topic).items()}
