"""What a runner calls, and what a backend must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from ..errors import BentoMonitorError

FallbackReason = Literal["method", "name", "rank", "shape", "dtype", "value", "device", "gradient", "api", "error"]
"""Why a call is run by the user's own model where a release is active: what of its arguments the release was not made
for, a method that it does not have, another API than those that it governs, or an error that the release raised."""


class UnboundCallError(BentoMonitorError):
    """A call gives a model other arguments than its release was made for; nothing has run yet."""

    def __init__(self, message: str, reason: FallbackReason = "name") -> None:
        super().__init__(message)
        self.reason: FallbackReason = reason


class RunnableModel(Protocol):
    """A model as its user calls it: the arguments and the output are what the user's own code gives and expects."""

    @property
    def backend(self) -> str:
        """What executes it."""

    @property
    def precision(self) -> str:
        """The precision that it computes in."""

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model, or the method of it; several threads may do so at once."""


class Backend(Protocol):
    """Executes a model on named arrays. Its memory is freed with the last reference to it, hence after its last call.

    `run` gives the outputs in the order of the release's specs, as torch tensors or numpy arrays, whichever it has.
    """

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Execute the model once; several threads may do so at once."""
