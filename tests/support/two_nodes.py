"""A Ray cluster of two nodes on this machine, for tests; nothing of it is left afterwards."""

from __future__ import annotations

import importlib.util
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.waiting import until

HERE = Path(__file__).parents[1]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
QUIET = {
    "PYTHONPATH": str(HERE),  # where workers find fakes
    "RAY_AUTH_MODE": "disabled",  # or else Ray writes a token to the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
}
LOOPBACK = {"node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": 100 * 2**20}


class TwoNodes:
    """A cluster of a head with one processor, which also listens to clients, and a second node with two."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.port = free_port()
        self.cluster = Cluster()
        self.cluster.add_node(**LOOPBACK, num_cpus=1, ray_client_server_port=self.port)
        self.add()

    @property
    def address(self):
        return self.cluster.address

    def add(self):
        self.second = self.cluster.add_node(**LOOPBACK, num_cpus=2)

    def lose(self):
        """End every process of the second node."""
        self.cluster.remove_node(self.second, allow_graceful=False)


@contextmanager
def quiet_ray(patch):
    """Ray in a folder that is removed; every process that is started is gone at the end."""
    before = descendants(os.getpid())
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:  # sockets: a short path
        for name, value in {**QUIET, "RAY_TMPDIR": folder}.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        (Path(folder) / "ray").mkdir()
        yield
        started = set(descendants(os.getpid())) - set(before)
        until(lambda: not any(map(is_ray, started)), seconds=20)


@contextmanager
def two_nodes():
    """A cluster on the loopback device for the time of a block."""
    with pytest.MonkeyPatch.context() as patch, quiet_ray(patch):
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback addresses stay what they are, in processes
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)  # that are to come, and in this one
        nodes = TwoNodes()
        patch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
        nodes.cluster.shutdown()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def descendants(pid):
    """Processes that a process has started, and those that they have; none where the system does not say."""
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if parent_of(path) == pid]
    return [*children, *(below for child in children for below in descendants(child))]


def parent_of(stat):
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:  # it is gone
        return None


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_ray(pid):
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it is gone
        return False
    return is_running(pid) and ("ray::" in command or "/ray/" in command)
