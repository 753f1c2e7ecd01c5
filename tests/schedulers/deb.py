#!/usr/bin/env python3
"""The Debian package: built by `make deb`, installed by dpkg below a folder of its own, run there, removed, purged; nothing is left.

The build directory is the one of the command under test. Needs root, as dpkg does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, check, equal, need, skip_all

need("pyarrow")
from engine import Workspace, program
from pyarrow import parquet

PIPELINE = {"name": "p", "steps": [
    {"type": "extract", "method": "fromFile", "config": {"path": "in.csv", "format": "csv"}},
    {"type": "transform", "method": "filterRows", "config": {"condition": "a > 1"}},
    {"type": "load", "method": "toFile", "config": {"path": "out/"}}]}


def command(*words, **options):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options)
    check(done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Machine:
    """A folder that dpkg takes for a machine's root."""

    def __init__(self):
        self.build = os.path.dirname(program())
        self.root = tempfile.mkdtemp(prefix="millrace-deb-")
        for folder in ("updates", "info", "triggers"):
            os.makedirs(self.file("var/lib/dpkg", folder))
        open(self.file("var/lib/dpkg/status"), "w").close()
        self.package = None

    def file(self, *parts):
        return os.path.join(self.root, *parts)

    def dpkg(self, *words):
        # What the package depends on is on the real machine, whose libraries the program will use.
        return command("dpkg", f"--root={self.root}", "--force-depends", *words)

    def files(self):
        found = set()
        for folder, folders, names in os.walk(self.root):
            if folder == self.file("var/lib"):
                folders.remove("dpkg")
            found |= {os.path.relpath(os.path.join(folder, name), self.root) for name in [*folders, *names]}
        return found - {"var", "var/lib"}


def build(machine):
    out = command("make", "-s", "-C", machine.build, "deb")
    machine.package = re.search(r"in '(.*\.deb)'", out)[1]
    fields = command("dpkg-deb", "--field", machine.package)
    wanted = command(program(), "version").split()[1]
    version = re.search(r"^Version: (.*)", fields, re.M)[1]
    check(version in (wanted, wanted + "+test"), f"version {version} of {wanted}")
    depends = re.search(r"^Depends: (.*)", fields, re.M)[1]
    check("libc6 (>=" in depends and "libpq5" in depends, depends)
    with tempfile.TemporaryDirectory() as folder:
        control = os.path.join(folder, "control")
        with open(control, "w") as file:
            file.write("Source: check\n\nPackage: check\nArchitecture: any\n")
        command("dpkg-checkbuilddeps", "-d", depends, control)
    owners = {line.split()[1] for line in command("dpkg-deb", "--contents", machine.package).splitlines()}
    equal(owners, {"root/root"}, "owners of the files")


def install(machine):
    machine.dpkg("--install", machine.package)
    found = machine.files()
    for path in ("usr/bin/millrace", "usr/share/man/man1/millrace.1.gz", "usr/lib/systemd/system/millrace@.service",
                 "usr/lib/systemd/system/millrace@.timer", "usr/share/millrace/pipeline.schema.json", "usr/share/millrace/report.schema.json",
                 "usr/share/doc/millrace/copyright",
                 "usr/share/doc/millrace/changelog.gz", "usr/share/doc/millrace/reference/exit-codes.md",
                 "usr/share/doc/millrace/guide/schedulers.md", "usr/share/doc/millrace/examples/pipelines/simple-etl.json",
                 "usr/share/doc/millrace/examples/schedulers/airflow/millrace_operator.py"):
        check(path in found, f"{path} is not installed")
    check(not any("__pycache__" in path for path in found), "Python's leavings")
    check(not any("/pipelines/" in path and not path.endswith(".json") for path in found), "what runs of the examples left")
    equal(machine.dpkg("--verify", "millrace"), "", "dpkg --verify")
    check(not os.listdir(machine.file("etc")) if os.path.exists(machine.file("etc")) else True, "files below /etc")


def run(machine):
    millrace = machine.file("usr/bin/millrace")
    equal(command(millrace, "version"), command(program(), "version"), "version")
    with Workspace() as space:
        space.write("p.json", PIPELINE)
        space.write("in.csv", "a,b\n1,x\n2,y\n3,z\n")
        command(millrace, "run", "p.json", cwd=space.path, env={"PATH": "/usr/bin:/bin"})
        equal(parquet.read_table(space.file("out")).to_pylist(), [{"a": 2, "b": "y"}, {"a": 3, "b": "z"}], "rows")


def manual(machine):
    """Every command and every option of `run` is in the page, and it is a page without mistakes, where there is man to ask."""
    page = command("gzip", "-dc", machine.file("usr/share/man/man1/millrace.1.gz")).replace("\\-", "-")
    for line in re.findall(r"^  (\w+)", command(program(), "--help"), re.M):
        check(f".B {line}" in page, f"{line} is not in the manual page")
    for option in re.findall(r"^  (--[\w-]+)", command(program(), "run", "--help"), re.M):
        check(f".B {option}" in page, f"{option} is not in the manual page")
    check(".B 130, 143" in page, "no exit codes")
    if shutil.which("man"):
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", machine.file("usr/share/man/man1/millrace.1.gz")], capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
        equal((done.returncode, done.stderr), (0, ""), "man")


def remove(machine):
    machine.dpkg("--remove", "millrace")
    equal(machine.files(), set(), "files after removing")
    machine.dpkg("--purge", "millrace")
    equal(machine.files(), set(), "files after purging")
    equal(command("dpkg-query", f"--admindir={machine.file('var/lib/dpkg')}", "--show"), "", "packages that dpkg knows")


def repeatable(machine):
    """The same build packed twice is the same package."""
    first = machine.package + ".first"
    shutil.copy(machine.package, first)
    try:
        command("make", "-s", "-C", machine.build, "deb")
        with open(first, "rb") as one, open(machine.package, "rb") as other:
            check(one.read() == other.read(), "the second package differs from the first")
    finally:
        os.unlink(first)


def main():
    missing = [t for t in ("make", "dpkg", "dpkg-deb", "dpkg-shlibdeps", "dpkg-checkbuilddeps") if not shutil.which(t)]
    if missing or os.getuid() != 0:
        skip_all(f"{'no ' + missing[0] if missing else 'not root'}")
    suite = Suite("deb")
    machine = Machine()
    try:
        for case in (build, install, run, manual, remove, repeatable):
            suite.case(case.__name__, case, machine)
    finally:
        shutil.rmtree(machine.root, ignore_errors=True)
    suite.end()


if __name__ == "__main__":
    main()
