#!/usr/bin/env python3
"""page.py [--write]: docs/guide/spark.md tells each row of differences.tsv; without --write, checks that it does."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join(ROOT, "docs", "guide", "spark.md")
START, END = "<!-- from tests/oracle/differences.tsv -->\n", "<!-- end -->\n"
KINDS = {"refused": "refused here", "accepted": "refused there", "type": "another type", "error": "an error here",
         "range": "an error here", "value": "another value", "silent": "an error there", "*": "all of these"}
MODES = {"*": "on, off", "on,off": "on, off"}


def rows():
    with open(os.path.join(HERE, "differences.tsv"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


def table():
    out = ["| | what differs | ANSI | how |\n", "|---|---|---|---|\n"]
    # Rows with the same reason are one difference.
    groups = {}
    for mode, kinds, _, _, reason in rows():
        group = groups.setdefault(reason, ([], []))
        group[0].append(MODES.get(mode, mode))
        group[1].extend(KINDS[kind] for kind in kinds.split(","))
    groups.pop("open", None)
    for i, (reason, (modes, kinds)) in enumerate(groups.items(), 1):
        modes = ", ".join(dict.fromkeys(", ".join(modes).split(", ")))
        out.append(f"| {i} | {reason} | {modes} | {', '.join(dict.fromkeys(kinds))} |\n")
    return out, len(groups)


def main():
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    start, end = text.index(START) + len(START), text.index(END)
    lines, count = table()
    if count > 20:
        sys.exit(f"{count} differences from Spark; at most 20 are allowed")
    if "--write" in sys.argv:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text[:start] + "".join(lines) + text[end:])
    elif text[start:end] != "".join(lines):
        sys.exit("docs/guide/spark.md differs from tests/oracle/differences.tsv: run tests/oracle/page.py --write")
    print(f"{count} differences")


if __name__ == "__main__":
    main()
