#!/usr/bin/env python3
"""C files are as clang-format 14 writes them with the settings of the tree."""

import os
import shutil
import subprocess
import sys

from lint import ROOT, tree


def main():
    tool = next((t for t in ("clang-format-14", "clang-format") if shutil.which(t)), None)
    if tool is None:
        print("clang-format is not installed")
        sys.exit(77)
    version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    if "version 14." not in version:
        print(f"clang-format 14 is wanted, this is: {version.strip()}")
        sys.exit(77)
    files = list(tree(["src", "include", "tests", "examples"], [".c", ".h"]))
    done = subprocess.run([tool, "--dry-run", "-Werror", "--ferror-limit=1", *files], cwd=ROOT)
    print(f"{len(files)} files checked")
    sys.exit(1 if done.returncode else 0)


main()
