"""Adds up the JUnit files of all runners in a folder: the last line of `make test`, behind the names of what failed.

A part that failed without a failed test in its files (it did not build, it crashed) counts as one failure, so that
the line can never look clean over a run that was not.
"""
import collections
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def outcomes(file):
    """Each test of a file: its name, and why it failed, "skipped" or None."""
    try:
        cases = list(ElementTree.parse(file).iter("testcase"))
    except ElementTree.ParseError as error:
        yield file.name, f"unreadable: {error}"
        return
    for case in cases:
        fault = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        why = None if case.find("skipped") is None else "skipped"
        if fault is not None:
            why = " ".join((fault.get("message") or fault.text or "failed").split())[:300]
        yield f"{case.get('classname')}.{case.get('name')}", why


def main(folder):
    counts = collections.Counter()
    failures = []
    for file in sorted(folder.glob("*.xml")):
        for name, why in outcomes(file):
            counts["passed" if why is None else "skipped" if why == "skipped" else "failed"] += 1
            if why not in (None, "skipped"):
                failures.append((file.stem.removesuffix("-swift-testing"), name, why))
    failed_parts = folder / "failed-parts"
    for part in failed_parts.read_text().split() if failed_parts.exists() else []:
        # The files of a part are named after it: races-Postgres.xml.
        if not any(file == part or file.startswith(f"{part}-") for file, _, _ in failures):
            counts["failed"] += 1
            failures.append((part, part, "ended with an error outside of its tests: see its log"))
    for file, name, why in failures:
        print(f"  failed: {file}: {name}: {why}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
