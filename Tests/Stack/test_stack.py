"""up, up again, down, clean, and what is said when something is in the way."""
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

from conftest import Stack

NAMES = {"postgres", "kafka", "mosquitto", "registry", "config", "commands", "bridge", "edge"}


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    while alive(pid):
        time.sleep(0.02)


def psql(url, sql):
    return subprocess.run(["psql", "-XAtc", sql, url], capture_output=True, text=True, timeout=20)


def test_all_parts_run_and_are_described(stack):
    assert set(stack.pids()) == NAMES
    env = stack.env()
    assert env["MARTLET_URL"] == f"http://127.0.0.1:{stack.base}"
    assert env["MARTLET_REGISTRY_URL"] == f"http://127.0.0.1:{stack.base + 1}"
    assert {"MARTLET_ROOT_KEY", "MARTLET_MQTT_HOST", "MARTLET_MQTT_PORT", "MARTLET_MQTT_SIM_USER",
            "MARTLET_MQTT_SIM_PASSWORD", "MARTLET_KAFKA_BOOTSTRAP", "MARTLET_DATABASE_URL", "MARTLET_CONFIG_URL",
            "MARTLET_COMMANDS_URL", "MARTLET_BRIDGE_URL"} <= set(env)
    assert "not running" not in stack.script("status").said


def test_secrets_are_private_and_on_no_command_line(stack):
    secrets = [file.read_text() for file in (stack.run / "secrets").iterdir()]
    for file in [stack.run / "stack.env", *(stack.run / "secrets").iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for pid in stack.pids().values():
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in line for secret in secrets)


def test_up_again_leaves_what_runs_alone(stack):
    before = stack.pids()
    said = stack.script("up").said
    assert stack.pids() == before
    assert said.count("already running") == len(NAMES)


def test_up_starts_what_was_killed_and_only_that(stack):
    for name in NAMES - {"kafka"}:
        before = stack.pids()
        kill(before[name])
        stack.script("up")
        after = stack.pids()
        assert after[name] != before[name] and alive(after[name])
        del before[name], after[name]
        assert after == before, f"killing {name} moved others"


def test_services_follow_an_embedded_broker_to_its_new_port(stack):
    kill(stack.pid("kafka"))
    said = stack.script("up").said
    assert "services are started again" in said
    environ = pathlib.Path(f"/proc/{stack.pid('commands')}/environ").read_text()
    assert f"MARTLET_KAFKA_BOOTSTRAP={stack.env()['MARTLET_KAFKA_BOOTSTRAP']}" in environ


def test_a_pid_that_belongs_to_somebody_else_is_not_touched(stack):
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        kill(stack.pid("config"))
        (stack.run / "config.pid").write_text(f"{stranger.pid}\n")
        stack.script("up")
        assert stack.pid("config") != stranger.pid and stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_each_role_reaches_its_own_schema_only(stack):
    owner = stack.env()["MARTLET_DATABASE_URL"]
    password = (stack.run / "secrets/postgres-config").read_text()
    config = re.sub(r"//[^@]+@", f"//config:{password}@", owner)
    assert psql(config, "CREATE TABLE IF NOT EXISTS mine (n int); SHOW search_path; SHOW jit").stdout.split() == [
        "CREATE", "TABLE", "config", "off"]
    for sql in ["CREATE TABLE registry.x (n int)", "CREATE TABLE public.x (n int)", "CREATE SCHEMA more"]:
        assert "permission denied" in psql(config, sql).stderr
    assert psql(owner, "SELECT count(*) FROM config.mine").stdout.strip() == "0"
    wrong = psql(re.sub(r":[^:@]+@", ":wrong@", owner), "SELECT 1")
    assert "password authentication failed" in wrong.stderr


def test_mosquitto_takes_its_two_accounts_only(stack, tmp_path):
    env = stack.env()

    def publish(user, password):
        (tmp_path / "mosquitto_pub").write_text(f"-u {user}\n-P {password}\n" if user else "")
        return subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", env["MARTLET_MQTT_PORT"], "-t", "martlet/v1/x/state", "-m", "{}",
             "-q", "1"], env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)}, capture_output=True, timeout=20).returncode

    assert publish("simulator", env["MARTLET_MQTT_SIM_PASSWORD"]) == 0
    assert publish("bridge", (stack.run / "secrets/mqtt-bridge").read_text()) == 0
    assert publish("simulator", "wrong") != 0
    assert publish(None, None) != 0


def test_second_replicas_come_and_go_with_the_stack(stack):
    before = stack.pids()
    stack.script("up", "2")
    after = stack.pids()
    assert set(after) == NAMES | {"registry-2", "config-2", "commands-2", "bridge-2"}
    assert {name: after[name] for name in before} == before
    # What was killed of two is started again without saying REPLICAS again.
    kill(after["commands-2"])
    stack.script("up")
    assert alive(stack.pid("commands-2"))


def test_down_leaves_nothing_and_up_finds_the_data(stack):
    env, pids = stack.env(), stack.pids()
    stack.script("down")
    assert stack.pids() == {}
    assert not any(alive(pid) for pid in pids.values())
    assert "Down" in stack.script("down").said
    assert "is down" in stack.script("status").said
    # A shell that has sourced stack.env asks for no other Kafka by that.
    stack.script("up", MARTLET_KAFKA_BOOTSTRAP=env["MARTLET_KAFKA_BOOTSTRAP"])
    assert set(stack.pids()) == NAMES
    again = stack.env()
    assert again["MARTLET_ROOT_KEY"] == env["MARTLET_ROOT_KEY"]
    assert psql(again["MARTLET_DATABASE_URL"], "SELECT count(*) FROM config.mine").stdout.strip() == "0"


def test_a_taken_port_gets_one_clear_line(stack):
    kill(stack.pid("registry"))
    with socket.create_server(("127.0.0.1", stack.base + 1)):
        done = stack.script("up", check=False)
    assert done.returncode != 0
    assert f"port {stack.base + 1} (registry) is taken by" in done.said and "MARTLET_REGISTRY_PORT" in done.said
    assert f"process {os.getpid()}" in done.said
    stack.script("up")


def test_a_service_that_ends_while_starting_shows_its_log(stack):
    kill(stack.pid("bridge"))
    program = stack.bin / "martlet-bridge"
    program.unlink()
    program.write_text("#!/bin/sh\necho 'the reason why'\nexit 1\n")
    program.chmod(0o755)
    done = stack.script("up", check=False)
    assert done.returncode != 0 and "the reason why" in done.said and "bridge ended while starting" in done.said


def test_a_folder_that_is_gone_leaves_nothing_that_is_in_the_way(tmp_path):
    made = Stack(tmp_path)
    try:
        made.script("up")
        made.script("down")
        shutil.rmtree(made.run)
        made.script("up")
    finally:
        made.script("clean")


def test_bad_settings_get_one_clear_line(stack):
    assert "REPLICAS=many: a number" in stack.script("up", "many", check=False).said
    assert "MARTLET_PORT_BASE=x is not a port" in stack.script("up", MARTLET_PORT_BASE="x", check=False).said
