#!/usr/bin/env python3
"""Which folder of src/ may include which: the table of the architecture, read against every #include.

A folder may always include itself, except that operators do not include each other, stores do not
include each other, and connectors do not include each other. src/registry.c is the one file that
names concrete implementations, so it alone may include everything.
"""

import os
import re

from lint import Findings, read, tree

ALLOWED = {
    "base": set(),
    "col": {"base"},
    "ext": {"col", "base"},
    "enc": {"col", "base"},
    "sql": {"enc", "col", "base"},
    "net": {"base"},
    "store": {"net", "ext", "base"},
    "codec": {"ext", "base"},
    "format": {"enc", "ext", "col", "base"},
    "dataset": {"ext", "col", "base"},
    "op": {"ext", "sql", "enc", "col", "base"},
    "connect": {"dataset", "enc", "net", "ext", "col", "base"},
    "config": {"ext/option.h", "ext/registry.h", "net", "base"},
    "plan": {"config/spec.h", "ext", "sql", "col", "base"},
    "exec": {"plan/plan.h", "ext", "col", "base"},
    "state": {"net", "base"},
    "run": {"exec", "plan", "config", "state", "ext", "col", "base"},
    "api": {"enc", "run", "exec", "plan", "config", "state", "ext", "col", "base", "registry.h", "millrace.h"},
    "cli": {"api", "base", "millrace.h"},
    "main.c": {"cli", "api", "base", "millrace.h"},
}
# Folders whose implementations must not know each other: the part of the path that names one.
SEPARATE = {"store", "connect", "op"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def implementation(path):
    """connect/postgres/copy.c -> postgres; op/filter.c -> filter; None where the file is shared."""
    parts = path.split("/")
    if len(parts) > 2:
        return parts[1]
    stem = os.path.splitext(parts[1])[0]
    if parts[0] == "connect" or not is_implementation(parts[0], stem):
        return None
    return stem


def is_implementation(folder, stem):
    try:
        text = read(f"src/{folder}/{stem}.c")
    except FileNotFoundError:
        return False
    return re.search(r"^(static )?const struct mr_(op|store) \w+ =", text, re.M) is not None


def main():
    findings = Findings()
    checked = 0
    for path in tree(["src"], [".c", ".h", ".inc.h", ".cc", ".cpp"]):
        inside = path[len("src/") :]
        folder = inside.split("/")[0]
        if inside in ("registry.c", "registry.h"):
            continue
        checked += 1
        text = read(path)
        for match in INCLUDE.finditer(text):
            target = match.group(1)
            line = text.count("\n", 0, match.start()) + 1
            if target == "config.h":
                continue
            to = target.split("/")[0]
            if ".." in target.split("/"):
                findings.add(path, line, f'includes are written from src, not "{target}"')
            elif "/" not in target and target not in ("registry.h", "millrace.h"):
                findings.add(path, line, f'includes are written from src: "{folder}/{target}"?')
            elif to == folder:
                mine, other = implementation(inside), implementation(target)
                if folder in SEPARATE and other is not None and mine != other:
                    findings.add(path, line, f'{folder}: one implementation includes another: "{target}"')
            elif folder not in ALLOWED:
                findings.add(path, line, f"the folder {folder} is not in the table of the architecture")
            elif to not in ALLOWED[folder] and target not in ALLOWED[folder]:
                findings.add(path, line, f'{folder} may not include "{target}"')
    findings.end(f"{checked} files")


main()
