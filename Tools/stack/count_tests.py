"""Adds up the JUnit files of all runners in a folder: the last line of `make test`.

A part that failed without a failed test in its file (it did not build, it crashed) counts as one failure, so that
the line can never look clean over a run that was not.
"""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count(file):
    total = failed = skipped = 0
    for case in ElementTree.parse(file).iter("testcase"):
        total += 1
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
    return total, failed, skipped


def main(folder):
    by_part = {}
    for file in sorted(folder.glob("*.xml")):
        part = file.stem.removesuffix("-swift-testing")
        try:
            counted = count(file)
        except ElementTree.ParseError:
            counted = (1, 1, 0)
        by_part[part] = tuple(a + b for a, b in zip(by_part.get(part, (0, 0, 0)), counted))
    failed_parts = folder / "failed-parts"
    for part in failed_parts.read_text().split() if failed_parts.exists() else []:
        total, failed, skipped = by_part.get(part, (0, 0, 0))
        by_part[part] = (total, failed, skipped) if failed else (total + 1, 1, skipped)
    total, failed, skipped = (sum(column) for column in zip(*by_part.values())) if by_part else (0, 0, 0)
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or total == 0 else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
