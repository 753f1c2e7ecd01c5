"""The shared library, for tests that give it frames and take rows through the Arrow C stream (examples/embed/pyarrow_stream.py)."""

import os
import sys

from engine import program
from suite import checkout, skip_all

sys.path.insert(0, os.path.join(checkout(), "examples", "embed"))
import pyarrow_stream

LIBRARY = os.path.join(os.path.dirname(program()), ".libs", "libmillrace.so")
if not os.path.exists(LIBRARY):
    skip_all("no shared library")
LIB = pyarrow_stream.library(LIBRARY)
