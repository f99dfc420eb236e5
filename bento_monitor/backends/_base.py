"""The interfaces of a model that a runner calls, and of a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from ..errors import BentoMonitorError

FallbackReason = Literal["method", "name", "rank", "shape", "dtype", "value", "device", "gradient", "api", "error"]
"""Why the own model runs a call while a release is active.

The release was not made for an argument, the method or the API of the call, or it raised an error.
"""


class UnboundCallError(BentoMonitorError):
    """A call has other arguments than the release was made for; nothing has run yet."""

    def __init__(self, message: str, reason: FallbackReason = "name") -> None:
        super().__init__(message)
        self.reason: FallbackReason = reason


class RunnableModel(Protocol):
    """A model as its user calls it: it takes and returns what the user's own code passes and expects."""

    @property
    def backend(self) -> str:
        """The name of the backend that executes the model."""

    @property
    def precision(self) -> str:
        """The precision that the model computes in."""

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model, or one of its methods; several threads may do so at once."""


class Backend(Protocol):
    """Executes a model on named arrays.

    The memory is freed with the last reference to the backend, hence after its last call. `run` returns the outputs in
    the order of the release's specs, as torch tensors or numpy arrays, depending on the backend.
    """

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Execute the model once; several threads may do so at once."""
