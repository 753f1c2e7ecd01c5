"""What private servers of tests have in common: ports, and an end whatever happens."""

import socket


def free_ports(count):
    """All different, and none that another test of this moment was given."""
    probes = []
    try:
        while len(probes) < count:
            probe = socket.socket()
            probes.append(probe)
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_port():
    return free_ports(1)[0]


class Private:
    """with Server() as server: prepared, started, and taken away again, also when it does not start."""

    def prepare(self):
        """Before the first start."""

    def __enter__(self):
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self
