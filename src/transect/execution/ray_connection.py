"""A connection to a Ray cluster: to one that runs, or to a private one on this machine."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from transect.errors import MissingDependency, StudyError

_HOW_TO_START = (
    "Start one with `ray start --head` (and `ray start --address=<head>:6379` on the other machines), give the address "
    'of one that runs ("host:6379", or "ray://host:10001" from a machine that is no part of it), or use '
    'address="local" for a private one on this machine'
)
_SECONDS_TO_ANSWER = 10.0
_OBJECT_STORE = 256 * 2**20  # bytes; jobs exchange files, and small values
_LOOPBACK = "127.0.0.1"


@contextmanager
def connected(address: str | None, workers: int | None, runtime_env: Mapping[str, Any] | None) -> Iterator[Any]:
    """A connection of this process to a cluster, for a block.

    Args:
        address: See :class:`~transect.execution.ray_executor.RayExecutor`.
        workers: Jobs that a private cluster should be able to run at a time.
        runtime_env: Given to ``ray.init``.

    Yields:
        The module ``ray``.

    Raises:
        MissingDependency: Ray is not installed.
        StudyError: No cluster answers there, or this process is connected to one already and an address is given.
    """
    ray = _load()
    if ray.is_initialized():
        if address is not None:
            raise StudyError(
                f"this process is connected to a Ray cluster already, expected no address, got {address!r}: leave it "
                "out to use that cluster, or call ray.shutdown() first"
            )
        yield ray  # somebody else's connection: it stays
        return
    options = dict(log_to_driver=False, logging_level=logging.ERROR, runtime_env=dict(runtime_env or {}) or None)
    with _private(ray, workers, options) if address == "local" else _existing(ray, address, options):
        yield ray


@contextmanager
def _existing(ray: Any, address: str | None, options: dict[str, Any]) -> Iterator[None]:
    address = address or "auto"
    try:
        _refuse_silence(address)
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        sought = "of Ray on this machine" if address == "auto" else f"at {address!r}"
        raise StudyError(f"cannot connect to a cluster {sought} ({_first_line(error)}). {_HOW_TO_START}.") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _private(ray: Any, workers: int | None, options: dict[str, Any]) -> Iterator[None]:
    processors = max(workers or 0, os.cpu_count() or 1)
    with TemporaryDirectory(prefix="ray-", dir=_short_folder(), ignore_cleanup_errors=True) as folder:
        try:
            with _on_loopback():
                options = options | {"include_dashboard": False, "num_cpus": processors, "_temp_dir": folder}
                ray.init(address="local", object_store_memory=_OBJECT_STORE, **options)
            _refuse_open_ports(ray)
            yield
        finally:
            ray.shutdown()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray listen on the loopback device alone, as it does by itself on macOS and Windows.

    ``ray.init`` has no argument for it: an address of ``127.0.0.1`` is replaced by one that others can reach.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _refuse_open_ports(ray: Any) -> None:
    used = {node["NodeManagerAddress"] for node in ray.nodes()}
    if used != {_LOOPBACK}:
        raise StudyError(
            f"expected a private Ray cluster on {_LOOPBACK}, got {sorted(used)}: Ray {ray.__version__} does not keep "
            "to it. Start a cluster yourself with `ray start --head`, and use its address"
        )


def _refuse_silence(address: str) -> None:
    """Ray tries for a long time, and then says little, where a moment shows that nobody listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def _short_folder() -> str | None:
    """Where Ray keeps its files by default. Among them are sockets, whose paths may have a hundred characters or so."""
    return os.environ.get("RAY_TMPDIR") or ("/tmp" if sys.platform != "win32" else None)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _load() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingDependency(
            f"Ray cannot be imported ({error}): install it with pip install 'transect[ray]', on every machine of the "
            "cluster in the same version, or run the jobs on this machine with LocalExecutor"
        ) from error
