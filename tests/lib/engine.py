"""Running the command in a folder of its own, as a user would."""

import json
import os
import shutil
import subprocess
import tempfile

from suite import Failure, checkout


def program():
    """The command under test: $MILLRACE_BIN, else that of the current directory (make check), else the one of build/."""
    here = "millrace" if os.path.isfile("millrace") else os.path.join(checkout(), "build", "millrace")
    return os.path.abspath(os.environ.get("MILLRACE_BIN") or here)


def catches(process, number):
    """Has it set its handler for that signal? Before, it dies of one."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt:"))
    return mask >> (number - 1) & 1


class Result:
    def __init__(self, command, code, out, err, report):
        self.command, self.code, self.out, self.err, self.report = command, code, out, err, report

    def __str__(self):
        return f"$ {' '.join(self.command)}\nexit {self.code}\n{self.out[-3000:]}{self.err[-3000:]}"

    def expect(self, code):
        if self.code != code:
            raise Failure(f"exit {self.code}, wanted {code}\n{self}")
        return self


class Workspace:
    """A folder with a pipeline, credentials, and whatever the run makes; removed when the case is over."""

    def __init__(self, postgres=None, buckets=None, extra=None):
        self.path = tempfile.mkdtemp(prefix="millrace-case-")
        self.credentials = {"defaults": {}}
        if postgres:
            self.credentials["defaults"]["postgres"] = postgres
        if buckets:
            self.credentials["defaults"]["s3"] = {"buckets": buckets}
        self.credentials.update(extra or {})
        os.mkdir(self.file("config"))
        self.write("config/credentials.json", self.credentials)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not os.environ.get("MILLRACE_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)

    def file(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.file(name)), exist_ok=True)
        with open(self.file(name), "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False))
        return name

    def publish(self, name, content):
        """A file that others see as a whole or not at all: a text, or what `content` writes when it is given a path."""
        hidden = self.file(os.path.dirname(name), ".new")
        os.makedirs(os.path.dirname(hidden), exist_ok=True)
        if callable(content):
            content(hidden)
        else:
            self.write(hidden, content)
        os.rename(hidden, self.file(name))

    def environment(self, extra=None):
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("MILLRACE_", "PG", "AWS_", "VAULT_"))}
        keep.update(extra or {})
        return keep

    def start(self, *arguments, environment=None, **options):
        """The process, started; the caller waits or kills."""
        return subprocess.Popen(
            [program(), *arguments], cwd=self.path, env=self.environment(environment), stdin=subprocess.DEVNULL, **options
        )

    def millrace(self, *arguments, environment=None, timeout=120):
        """The command to its end. Bytes that are not UTF-8 show as escapes."""
        command = [program(), *arguments]
        done = subprocess.run(
            command, cwd=self.path, env=self.environment(environment), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="backslashreplace", timeout=timeout,
        )
        return Result(["millrace", *arguments], done.returncode, done.stdout, done.stderr, None)

    def run(self, pipeline, *arguments, **options):
        """`millrace run` of a dict or of a file in the folder, with its report."""
        if not isinstance(pipeline, str):
            pipeline = self.write("pipeline.json", pipeline)
        report = self.file("report.json")
        if os.path.exists(report):
            os.unlink(report)
        result = self.millrace("run", pipeline, "--report", "report.json", "--progress", "none", *arguments, **options)
        if os.path.exists(report):
            with open(report, encoding="utf-8") as file:
                result.report = json.load(file)
        return result
