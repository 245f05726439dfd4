"""Pages of docs, run as a reader would: every block in one shell, in order, and what each prints as the page says."""

import re
import subprocess

import pytest

from suite import ROOT

PAGES = ["tour-registry", "tour-config", "tour-commands", "own-protocols"]
MARK = "@@ end of block"


def blocks(page):
    """Each block of shell with what is to be printed (nothing, where the page says nothing)."""
    text = (ROOT / f"docs/{page}.md").read_text()
    found = re.findall(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL)
    assert len(found) == text.count("```sh\n")
    return found


def pattern(expected):
    return "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", expected))


@pytest.mark.parametrize("page", PAGES)
def test_does_what_it_says(page):
    parts = blocks(page)
    script = "".join(f"{shell}\nprintf '%s\\n' '{MARK}'\n" for shell, _ in parts)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    printed = done.stdout.split(f"{MARK}\n")
    for (shell, expected), said in zip(parts, printed):
        assert re.fullmatch(pattern(expected), said), f"{shell}\nprinted\n{said}\nnot\n{expected}\n{done.stderr}"
    assert done.returncode == 0, f"{printed[-1]}{done.stderr}"
