"""A stack of the real scripts, PostgreSQL, Mosquitto and nginx, with stand-ins for what Swift builds."""
import os
import pathlib
import socket
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FAKE = pathlib.Path(__file__).with_name("fake_service.py")
PROGRAMS = ["martlet-registry", "martlet-config", "martlet-commands", "martlet-bridge", "martlet", "devkafka"]


def free_base():
    for base in range(21000, 31000, 100):
        try:
            for port in [*range(base, base + 9), *range(base + 11, base + 15)]:
                socket.create_server(("127.0.0.1", port)).close()
            return base
        except OSError:
            continue
    raise RuntimeError("no free range of ports")


class Stack:
    def __init__(self, folder):
        self.run = folder / "run"
        self.bin = folder / "bin"
        self.base = free_base()
        self.bin.mkdir(parents=True)
        for program in PROGRAMS:
            (self.bin / program).symlink_to(FAKE)

    def script(self, name, *arguments, check=True, **environment):
        """Runs Tools/stack/<name>.sh without standard input and gives all it said."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MARTLET_", "KAFKA_"))}
        settings = {"MARTLET_RUN": str(self.run), "BIN": str(self.bin), "MARTLET_PORT_BASE": str(self.base)}
        done = subprocess.run(
            [ROOT / f"Tools/stack/{name}.sh", *arguments], env=inherited | settings | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        done.said = done.stdout
        assert not check or done.returncode == 0, done.said
        return done

    def pid(self, name):
        return int((self.run / f"{name}.pid").read_text())

    def pids(self):
        return {file.stem: int(file.read_text()) for file in self.run.glob("*.pid")}

    def env(self):
        lines = (self.run / "stack.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    made = Stack(tmp_path_factory.mktemp("stack"))
    made.script("up")
    yield made
    made.script("clean")
