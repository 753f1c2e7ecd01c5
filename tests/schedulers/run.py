#!/usr/bin/env python3
"""examples/schedulers without their schedulers: the files as they are, with other paths, run as the scheduler would run them.

Each stops a run in its middle in its scheduler's way and starts it again in the same way; afterwards the target holds every row once.
Airflow is in test_airflow.py, the Debian package in deb.py.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from suite import Suite, Skip, check, checkout, equal, need

need("psycopg", "yaml")
import yaml
from engine import Workspace, program
from gate import INVALID, TABLES, Gates, pipeline, wait
from server import Server

EXAMPLES = os.path.join(checkout(), "examples", "schedulers")
FATAL = {"usage", "config", "credentials", "validation"}


def text_of(*parts):
    with open(os.path.join(EXAMPLES, *parts), encoding="utf-8") as file:
        return file.read()


class Place:
    """A machine's paths in a folder: etc/ for /etc/millrace, state/ for the state, bin/ with the command."""

    def __init__(self, server, gates, target):
        self.space = Workspace(extra={"source": server.credentials("sched")})
        self.gates, self.target = gates, target
        more = {"parameters": {"target": target, "key": gates.keys.get(target, 0), "day": ""}}
        self.space.write("etc/orders.json", {**pipeline(), **more})
        self.space.write("etc/invalid.json", {**pipeline(INVALID), **more, "stateKey": f"invalid-{target}"})
        self.space.write("etc/credentials.json", self.space.credentials)
        for folder in ("state", "bin", "scratch"):
            os.mkdir(self.space.file(folder))
        os.symlink(program(), self.space.file("bin", "millrace"))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.space.__exit__(*error)

    def adapted(self, text):
        for path, here in (("/usr/local/bin/millrace-cron.sh", os.path.join(EXAMPLES, "cron", "millrace-cron.sh")),
                           ("/usr/bin/millrace", self.space.file("bin", "millrace")), ("/etc/millrace", self.space.file("etc")),
                           ("/var/lib/millrace", self.space.file("state"))):
            text = text.replace(path, here)
        return text

    def start(self, command, environment):
        """In a session of its own, with this environment and nothing else."""
        return subprocess.Popen(
            command, env=environment, cwd=self.space.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True)

    def in_the_middle(self, process):
        """Waits until the run waits at its gate."""
        def waiting():
            if process.poll() is not None:
                raise AssertionError(f"exit {process.returncode}: {process.communicate()[0]}")
            return self.gates.waiting(self.target)
        wait(f"{self.target} to be in the middle", waiting)

    def stop_and_repeat(self, command, environment, stop, codes):
        """Stopped by stop(process) it ends with one of codes; started again, it does the work."""
        first = self.start(command, environment)
        self.in_the_middle(first)
        stop(first)
        out = first.communicate(timeout=60)[0]
        check(first.returncode in codes, f"exit {first.returncode}, wanted {codes}: {out}")
        self.gates.stopped(self.target)
        again = self.start(command, environment)
        out = again.communicate(timeout=60)[0]
        equal(again.returncode, 0, f"the second start's exit code: {out}")
        self.gates.complete(self.target)
        return out


def members(process):
    """The processes of a session, youngest first."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            # After the name: state, parent, group, session, ..; the 20th is the time of its start.
            fields = file.read().rpartition(")")[2].split()
            if int(fields[3]) == process.pid:
                found.append((int(fields[19]), int(path.split("/")[2])))
    return [pid for _, pid in sorted(found, reverse=True)]


def terminate(process):
    process.send_signal(signal.SIGTERM)


def fatal_codes():
    """The codes that a repetition cannot mend, by name, from the generated page."""
    with open(os.path.join(checkout(), "docs", "reference", "exit-codes.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| (\d+) \| (\w+) \|", file.read(), re.M)
    return {int(code) for code, name in rows if name in FATAL}


def same_codes():
    """The operator, the unit, the script and the job agree on what is not repeated, and with the program."""
    wanted = fatal_codes()
    equal(len(wanted), len(FATAL), "codes")
    numbers = lambda pattern, text: set(map(int, re.findall(r"\d+", re.search(pattern, text, re.M)[1]))) - {126, 127}
    equal(numbers(r"^FAIL = (.*)", text_of("airflow", "millrace_operator.py")), wanted, "Airflow")
    equal(numbers(r"^RestartPreventExitStatus=(.*)", text_of("systemd", "millrace@.service")), wanted, "systemd")
    equal(numbers(r"^    ([\d |]+)\) break ;;", text_of("cron", "millrace-cron.sh")), wanted, "cron")
    rules = yaml.safe_load(text_of("kubernetes", "cronjob.yaml"))["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    equal([set(r["onExitCodes"]["values"]) for r in rules if r["action"] == "FailJob"], [wanted], "Kubernetes")


# systemd


def verify_units(place):
    """systemd-analyze verify says nothing of the units, with and without the drop-ins."""
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze")
    folder = os.path.join(EXAMPLES, "systemd")
    for name in sorted(os.listdir(folder)):
        if os.path.isdir(os.path.join(folder, name)):
            shutil.copytree(os.path.join(folder, name), place.space.file("units", name))
        elif name.startswith("millrace@"):
            for instance in ("@.", "@orders.", "@delta-maintenance."):
                place.space.write(f"units/{name.replace('@.', instance)}", place.adapted(text_of("systemd", name)))
    for name in sorted(os.listdir(place.space.file("units"))):
        if not name.endswith(".d"):
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", place.space.file("units", name)], capture_output=True, text=True)
            equal((done.returncode, done.stdout + done.stderr), (0, ""), name)


def service(place, name):
    """The command and environment of the unit for one pipeline, its specifiers written out."""
    unit = place.adapted(text_of("systemd", "millrace@.service"))
    get = lambda key: re.search(rf"^{key}=(.*)", unit, re.M)[1].replace("%S/millrace", place.space.file("state")).replace("%i", name)
    credentials = get("LoadCredential").split(":")
    os.makedirs(place.space.file("run"), exist_ok=True)
    shutil.copy(credentials[1], place.space.file("run", credentials[0]))
    os.makedirs(place.space.file("state", name), exist_ok=True)
    words = (w.partition("=") for w in get("Environment").replace("%d", place.space.file("run")).split())
    return get("ExecStart").split(), {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **{k: v for k, _, v in words}}


def systemd(place):
    command, environment = service(place, "orders")
    place.stop_and_repeat(command, environment, terminate, [143])
    check(os.path.exists(place.space.file("state", "orders", "state.db")), "the state is not in the unit's state directory")
    refused = place.start(*service(place, "invalid"))
    refused.communicate(timeout=60)
    check(refused.returncode in fatal_codes(), f"exit {refused.returncode} of a pipeline whose rows are wrong")


# cron


def cron_line(place, file):
    """The command of the table's first line and the environment that cron gives it."""
    environment = {"HOME": place.space.path, "LOGNAME": "millrace"}
    for line in place.adapted(text_of("cron", "crontab")).splitlines():
        variable = re.match(r"([A-Z_]+)=(.*)", line)
        if variable:
            environment[variable[1]] = variable[2]
        elif line and not line.startswith("#"):
            command = line.split(None, 6)[6].replace("orders.json", file)
            environment.update(PATH=place.space.file("bin") + ":" + environment["PATH"], PAUSE="0")
            return [environment["SHELL"], "-c", command], environment
    return None


def cron_terminated(place):
    """SIGTERM to the script is handed on and not followed by another try."""
    command, environment = cron_line(place, "orders.json")
    # The run is the youngest of the session's processes, the script its parent.
    out = place.stop_and_repeat(command, environment, lambda process: os.kill(members(process)[1], signal.SIGTERM), [143])
    equal(out, "", "what a success prints")


def cron_repeats(place):
    """A run that dies is repeated by the script; a start beside it ends silently; wrong rows are told and not repeated."""
    command, environment = cron_line(place, "orders.json")
    first = place.start(command, environment)
    place.in_the_middle(first)
    beside = place.start(command, environment)
    equal((beside.communicate(timeout=60)[0], beside.returncode), ("", 9), "a start beside the first")
    os.kill(members(first)[0], signal.SIGKILL)
    wait("the second try", lambda: place.gates.waiting(place.target) or first.poll() is not None)
    place.gates.open(place.target)
    out = first.communicate(timeout=60)[0]
    equal((first.returncode, out), (0, ""), "the script")
    place.gates.complete(place.target)
    wrong = place.start(*cron_line(place, "invalid.json"))
    out = wrong.communicate(timeout=60)[0]
    equal((wrong.returncode, len(re.findall(r"run: run \S+ of orders begins", out))), (7, 1), f"wrong rows: {out}")
    check(out.startswith("millrace run ") and "broke the rules" in out, out)


# Kubernetes


def kubernetes(place):
    """The container's command with its environment and mounts, the pod's memory as a limit of the pipeline."""
    job = yaml.safe_load(text_of("kubernetes", "cronjob.yaml"))["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    equal((job["concurrencyPolicy"], pod["restartPolicy"]), ("Forbid", "Never"), "policies")
    names = {v["name"] for v in pod["volumes"]}
    check(all(m["name"] in names for m in container["volumeMounts"]), "a mount without a volume")
    here = lambda text: re.sub(r"^/(pipelines|credentials)\b", place.space.file("etc"), text).replace("/scratch", place.space.file("scratch"))
    environment = {"PATH": "/usr/bin:/bin", **{e["name"]: here(e.get("value", "orders-29000000")) for e in container["env"]}}
    arguments = [here(a).replace("$(JOB_NAME)", environment["JOB_NAME"]) for a in container["args"]]
    # The example's state is on a server, as its pipeline says; nothing may be written beside the pipeline.
    space = place.space
    space.write("etc/credentials.json", {**space.credentials, "state": space.credentials["source"]})
    with open(space.file("etc", "orders.json"), encoding="utf-8") as file:
        space.write("etc/orders.json", {**json.load(file), "state": {"postgres": "state"}, "resources": {"memory": "768MB"}})
    before = sorted(os.listdir(space.file("etc")))
    place.stop_and_repeat([program(), *arguments], environment, terminate, [143])
    equal((sorted(os.listdir(space.file("etc"))), os.listdir(space.file("scratch"))), (before, []), "files that were left")


def kubernetes_schema():
    tool = shutil.which("kubernetes-validate") or os.path.join(checkout(), ".venv", "airflow", "bin", "kubernetes-validate")
    if not os.path.exists(tool):
        raise Skip("no kubernetes-validate (bin/lib/airflow.sh)")
    done = subprocess.run([tool, "--strict", os.path.join(EXAMPLES, "kubernetes", "cronjob.yaml")], capture_output=True, text=True)
    equal(done.returncode, 0, done.stdout + done.stderr)


# DolphinScheduler


def task_script(place):
    task = json.loads(text_of("dolphinscheduler", "workflow.json"))[0]["taskDefinitionList"][0]
    equal(task["taskParams"]["rawScript"], text_of("dolphinscheduler", "millrace-task.sh"), "the script in workflow.json")
    equal([p["prop"] for p in task["taskParams"]["localParams"]], ["bizdate"], "parameters")
    place.space.write("task.command", "#!/bin/bash\n" + place.adapted(task["taskParams"]["rawScript"]).replace("${bizdate}", "2026-01-01")
                      .replace("${system.workflow.instance.id}", "17"))
    return ["bash", place.space.file("task.command")], {"PATH": place.space.file("bin") + ":/usr/bin:/bin", "MILLRACE_STATE": place.space.file("state")}


def kill_all(process):
    for pid in members(process):
        os.kill(pid, signal.SIGKILL)


def interrupt_then_terminate(process):
    for number in (signal.SIGINT, signal.SIGTERM):
        for pid in members(process):
            os.kill(pid, number)


def dolphin_killed(place):
    place.stop_and_repeat(*task_script(place), kill_all, [-signal.SIGKILL])


def dolphin_stopped(place):
    # The second signal ends the process at once, if the first one has not yet.
    place.stop_and_repeat(*task_script(place), interrupt_then_terminate, [130, 143, -signal.SIGTERM])


def in_place(function, *arguments):
    with Place(*arguments) as place:
        function(place)


def main():
    suite = Suite("schedulers")
    suite.case("codes that are not repeated", same_codes)
    suite.case("Kubernetes: the API's schema", kubernetes_schema)
    cases = {
        "systemd": systemd, "cron_terminated": cron_terminated, "cron_repeats": cron_repeats, "kubernetes": kubernetes,
        "dolphin_killed": dolphin_killed, "dolphin_stopped": dolphin_stopped}
    with Server() as server:
        server.execute(server.database("sched"), TABLES)
        with Gates(server, "sched", list(cases)) as gates:
            suite.case("systemd: units", in_place, verify_units, server, gates, "units")
            for name, function in cases.items():
                suite.case(name.replace("_", " "), in_place, function, server, gates, name)
    suite.end()


if __name__ == "__main__":
    main()
