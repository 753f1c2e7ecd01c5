#!/usr/bin/env python3
"""make check-conformance CONFORMANCE=DIR: public test data of others against the engine.

Each module here whose name is that of a folder of DIR has `run(suite, directory)`, which adds its cases.
The last line is "N passed, N failed". Without DIR everything is skipped.
"""

import importlib
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, HERE)
from suite import Suite, need

need("pyarrow", "duckdb")


# Folders whose names are modules of Python's own.
MODULES = {"csv": "text_csv", "json": "text_json"}


def main():
    place = os.environ.get("CONFORMANCE", "")
    if not os.path.isdir(place):
        print("1..0 # SKIP set CONFORMANCE to the directory of the test data")
        return 77
    suite = Suite("conformance")
    for name in sorted(os.listdir(place)):
        module = MODULES.get(name, name)
        if os.path.exists(os.path.join(HERE, f"{module}.py")):
            importlib.import_module(module).run(suite, os.path.join(place, name))
    print(f"{suite.number - suite.failed} passed, {suite.failed} failed")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
