"""The parent's side of the relay on a Ray cluster: hears how far attempts are."""

from __future__ import annotations

from typing import Any

from transect.execution.ray_task import Relay
from transect.execution.worker import Step

_FAILURES = 5  # after so many in a row nobody asks again: progress is a convenience, results do not depend on it


class News:
    """Steps of attempts, as they are told to a relay on this process's node.

    Args:
        ray: The module, connected.

    Attributes:
        relay: Handle of the :class:`~transect.execution.ray_task.Relay`.
        pending: What to wait for, with ``ray.wait``: news; empty when there will be none.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self._failures = ray, 0
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        options = dict(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self.relay = ray.remote(Relay).options(**options).remote()
        self.pending = [self.relay.take.remote()]

    def take(self) -> list[tuple[int, Step]]:
        """What has come, with the numbers of the attempts, when :attr:`pending` is ready."""
        try:
            news: list[tuple[int, Step]] = self._ray.get(self.pending[0])
            self._failures = 0
        except self._ray.exceptions.RayError:  # it died, and Ray starts it again
            news = []
            self._failures += 1
        self.pending = [self.relay.take.remote()] if self._failures < _FAILURES else []
        return news

    def close(self) -> None:
        """End the relay."""
        if self._ray.is_initialized():  # or the cluster is gone, and the relay with it
            self._ray.kill(self.relay)
