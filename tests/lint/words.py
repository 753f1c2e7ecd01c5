#!/usr/bin/env python3
"""No notes to self and no paths of somebody's machine in what is shipped."""

import re

from lint import Findings, read, tree

# Written with a class in the middle so that this file does not find itself.
PATTERNS = [
    (re.compile(r"\b(TO[D]O|FIX[M]E|HA[C]K)\b"), "a note to self: do it or drop it"),
    (re.compile(r"\b[Pp]hase [1-9]\b"), "plans do not belong in the code"),
    (re.compile(r"(?<![\w.$}])/(wor[k]|hom[e]|roo[t]|User[s])/[\w.-]+"), "a path of one machine"),
]
SUFFIXES = [".c", ".h", ".cc", ".py", ".sh", ".md", ".json", ".sql", ".ac", ".am", ".inc", ".txt", ".in"]


def main():
    findings = Findings()
    checked = 0
    for path in tree([".", ".ci"], SUFFIXES + ["run"]):
        try:
            lines = read(path).splitlines()
        except UnicodeDecodeError:
            findings.add(path, 0, "not UTF-8")
            continue
        checked += 1
        for number, line in enumerate(lines, 1):
            for pattern, message in PATTERNS:
                match = pattern.search(line)
                if match:
                    findings.add(path, number, f"{message}: {match.group(0)}")
    findings.end(f"{checked} files")


main()
