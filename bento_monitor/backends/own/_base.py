"""What a runner needs of the user's own model, whatever that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

ModelKind = Literal["torch", "onnx", "estimator", "callable"]


class OwnModel(Protocol):
    """The user's own model, executed just as if nothing wrapped it.

    `names` are those of its positional arguments, `methods` those that are traced beside calls of the model itself,
    and `parameter` is a tensor that says on which device a torch module lies.
    """

    @property
    def kind(self) -> ModelKind:
        """What is wrapped."""

    @property
    def backend(self) -> str:
        """What executes it."""

    @property
    def precision(self) -> str:
        """The precision that it computes in."""

    @property
    def model(self) -> Any:
        """The object whose attributes the runner has."""

    @property
    def parameter(self) -> Any | None:
        """The first parameter of a torch module."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the positional arguments, in order."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are model calls; the model may lack some of an estimator's."""

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model, or a method of it; several threads may do so at once."""
