#!/usr/bin/env python3
"""No file over 1,000 lines and no function over 100, in C and in the scripts."""

import re

from lint import Findings, read, tree

FILE_LIMIT = 1000
FUNCTION_LIMIT = 100


def c_functions(lines):
    """(line, name, length) of each function: the braces that clang-format puts in column 0."""
    start, name = None, "?"
    for number, line in enumerate(lines, 1):
        match = re.match(r"^\w[^;=]*?(\w+)\(", line)
        if match and start is None:
            name = match.group(1)
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, name, number - start + 1
            start = None


def python_functions(lines):
    start, name = None, None
    for number, line in enumerate(lines + ["end"], 1):
        match = re.match(r"^( *)def (\w+)", line)
        if start is not None and line.strip() and len(line) - len(line.lstrip()) <= depth and not line.startswith(")"):
            yield start, name, last - start + 1
            start = None
        if match:
            start, name, depth = number, match.group(2), len(match.group(1))
        if line.strip():
            last = number


def main():
    findings = Findings()
    checked = 0
    for path in tree(["src", "include", "tests", "examples", "bin"], [".c", ".h", ".cc", ".py", ".sh"]):
        lines = read(path).splitlines()
        checked += 1
        if len(lines) > FILE_LIMIT:
            findings.add(path, len(lines), f"{len(lines)} lines; the limit is {FILE_LIMIT}")
        functions = python_functions if path.endswith(".py") else c_functions
        for line, name, length in functions(lines):
            if length > FUNCTION_LIMIT:
                findings.add(path, line, f"{name} has {length} lines; the limit is {FUNCTION_LIMIT}")
    findings.end(f"{checked} files")


main()
