"""MillraceOperator: one run of a pipeline file as a task of Airflow (3.x; 2.10 and newer 2.x).

The program runs as a process of its own, in its own session. It is told to stop once, with SIGTERM, whatever ends the task:
`execution_timeout`, "mark as failed" or "clear" in the web interface, a worker that shuts down or dies (the kernel sends it then, for the
process asks to be told of its parent's death). It then ends in good order with 143, and the retry, or the next run, goes on; nothing is
lost or written twice. A run that had committed before the signal came has succeeded, and so has the task.

Which exit codes fail for good and which are tried again: FAIL. The table is in docs/guide/schedulers.md.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Sequence

try:
    from airflow.sdk import BaseOperator
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 2
    from airflow.exceptions import AirflowException, AirflowFailException
    from airflow.models.baseoperator import BaseOperator

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
# What a repetition cannot mend: usage, configuration, credentials, validation.
FAIL = (2, 3, 4, 7)
# The largest report that goes to XCom whole, as JSON; of a larger one the parts that grow with the data are left out.
XCOM_BYTES = 32 * 1024
GROWING = ("splits", "steps", "plan", "advice")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Between fork and exec: SIGTERM to this process when its parent dies, even by SIGKILL."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class MillraceOperator(BaseOperator):
    """Runs `millrace run FILE`.

    :param file: the pipeline file, as the worker sees it (templated)
    :param parameters: values for ${name} in it (templated)
    :param credentials: the credentials file. Its path, not its content, is what the command gets to know (templated)
    :param state: the state directory; a worker's own disk is no place for it when another worker may do the retry. Better:
        "state": {"postgres": ..} in the pipeline (templated)
    :param environment: more environment variables, such as VAULT_TOKEN from a Connection (templated, never logged)
    :param run_key: the name of this run, the same in all of its tries: one that has succeeded is not run again. Without it, a try whose
        success Airflow did not hear of is loaded again. "{{ run_id }}/{{ task.task_id }}" is right for most (templated)
    :param fresh: forget watermarks and positions first: a new start instead of a continuation
    :param arguments: further options of `millrace run`
    :param program: the command
    :param grace: seconds between SIGTERM and SIGKILL
    :param fail_codes: exit codes that are not retried
    """

    template_fields: Sequence[str] = ("file", "parameters", "credentials", "state", "environment", "run_key", "arguments")
    ui_color = "#d8ecf3"

    def __init__(
        self,
        *,
        file: str,
        parameters: dict | None = None,
        credentials: str | None = None,
        state: str | None = None,
        environment: dict | None = None,
        run_key: str | None = None,
        fresh: bool = False,
        arguments: Sequence[str] = (),
        program: str = "millrace",
        grace: float = 120,
        fail_codes: Sequence[int] = FAIL,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.file = file
        self.parameters = parameters or {}
        self.credentials = credentials
        self.state = state
        self.environment = environment or {}
        self.run_key = run_key
        self.fresh = fresh
        self.arguments = list(arguments)
        self.program = program
        self.grace = grace
        self.fail_codes = tuple(fail_codes)
        self._process = None
        self._stopping = None

    def execute(self, context):
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            report = os.path.join(folder, "report.json")
            command = self._command(report)
            self.log.info("running %s", " ".join(command))
            self._process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                start_new_session=True, preexec_fn=die_with_parent)
            last = deque(maxlen=20)
            try:
                self._listen(last)
            except BaseException:
                # execution_timeout, and in Airflow 2 any end from outside, are exceptions out of nowhere. The process is
                # stopped and waited for; a run that was done in spite of that is a success.
                self.on_kill()
                self._listen(last)
                if self._process.returncode != 0:
                    raise
                self.log.warning("the run had committed when it was told to stop: success")
            finally:
                self._end()
            return self._judge(self._read(report), last)

    def on_kill(self):
        """Asks the process to stop, once, and sees to it that it does. Called by signal handlers: execute() waits, not this."""
        process = self._process
        if process is None or process.returncode is not None or self._stopping is not None:
            return
        self.log.warning("stopping process %d: SIGTERM, SIGKILL after %s s", process.pid, self.grace)
        self._stopping = threading.Timer(self.grace, self._signal, [signal.SIGKILL])
        self._stopping.daemon = True
        self._signal(signal.SIGTERM)
        self._stopping.start()

    def _signal(self, number):
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _end(self):
        if self._stopping is not None:
            self._stopping.cancel()
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._process.stderr.close()

    def _command(self, report):
        command = [self.program, "run", self.file, "--report", report, "--progress", "none", "--log-format", "json", "--quiet"]
        for name, value in self.parameters.items():
            command += ["--param", f"{name}={value}"]
        if self.run_key:
            command += ["--run-key", self.run_key]
        if self.fresh:
            command.append("--fresh")
        return command + list(self.arguments)

    def _environment(self):
        """Secrets and places go through the environment: a command line can be read by every user of the machine."""
        environment = {**os.environ, **self.environment}
        if self.credentials:
            environment["MILLRACE_CREDENTIALS"] = self.credentials
        if self.state:
            environment["MILLRACE_STATE"] = self.state
        return environment

    def _listen(self, last):
        """Hands log lines on, at their level, until the process has ended."""
        for line in self._process.stderr:
            text = line.decode("utf-8", "backslashreplace").rstrip()
            try:
                record = json.loads(text)
                level, text = LEVELS.get(record["level"], logging.INFO), record["message"]
            except (ValueError, KeyError, TypeError):
                level = logging.ERROR
            if text:
                last.append(text)
                self.log.log(level, "%s", text)
        self._process.wait()

    @staticmethod
    def _read(path):
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def _judge(self, report, last):
        code = self._process.returncode
        if code == 0:
            if len(json.dumps(report)) > XCOM_BYTES:
                report = {key: value for key, value in report.items() if key not in GROWING}
            return report
        error = report.get("error") or {}
        said = error.get("message") or " | ".join(list(last)[-3:])
        hint = f" ({error['hint']})" if error.get("hint") else ""
        ended = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
        message = f"millrace run {self.file}: {ended}: {said}{hint}"
        raise (AirflowFailException if code in self.fail_codes else AirflowException)(message)
