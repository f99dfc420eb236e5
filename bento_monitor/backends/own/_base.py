"""The interface of the user's own model, of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

ModelKind = Literal["torch", "onnx", "estimator", "callable"]


class OwnModel(Protocol):
    """The user's own model, executed as if nothing wrapped it.

    `names` are the names of its positional arguments, `methods` the methods that are traced besides calls of the model
    itself, and `parameter` is a tensor that shows the device of a torch module.
    """

    @property
    def kind(self) -> ModelKind:
        """The kind of the wrapped model."""

    @property
    def backend(self) -> str:
        """The name of the library that executes the model."""

    @property
    def precision(self) -> str:
        """The precision that the model computes in."""

    @property
    def model(self) -> Any:
        """The object whose attributes the runner exposes."""

    @property
    def parameter(self) -> Any | None:
        """The first parameter of a torch module."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the positional arguments, in order."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that count as model calls; the model may lack some of an estimator's methods."""

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model, or one of its methods; several threads may do so at once."""
