"""What the lints share: the files of the tree, and how a finding is printed."""

import os
import re
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
SKIPPED = re.compile(
    r"^(\.git|\.venv|\.sandbox|\.millrace|build.*|m4|autom4te\.cache|benchmark-results-.*|data|__pycache__)$"
)


def tree(folders=(".",), suffixes=()):
    """Paths relative to the checkout of the files below folders that end in one of suffixes."""
    for folder in folders:
        for base, names, files in os.walk(os.path.join(ROOT, folder)):
            names[:] = sorted(n for n in names if not SKIPPED.match(n))
            for name in sorted(files):
                if not suffixes or name.endswith(tuple(suffixes)):
                    yield os.path.relpath(os.path.join(base, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class Findings:
    """Collects path:line: message and ends the program with 0 or 1."""

    def __init__(self):
        self.count = 0

    def add(self, path, line, message):
        self.count += 1
        print(f"{path}:{line}: {message}")

    def end(self, checked):
        print(f"{checked} checked, {self.count} found")
        sys.exit(1 if self.count else 0)
