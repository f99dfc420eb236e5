"""The model inputs on which static quantization is calibrated, read from a file of a model host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CalibrationInputs:
    """A data reader for `onnxruntime.quantization`, with one call of the model at a time."""

    def __init__(self, path: Path, graph: Path, *, is_padded: bool) -> None:
        """Read the calls from `path`; inputs that the graph does not have are left out.

        With `is_padded`, every axis is padded with zeros to its longest length: the histograms of percentile and
        entropy need tensors of one shape.
        """
        import onnx

        names = {item.name for item in onnx.load(graph, load_external_data=False).graph.input}
        with np.load(path, allow_pickle=False) as file:
            calls: dict[str, dict[str, NDArray[Any]]] = {}
            for key in file.files:
                number, _, name = key.partition("/")
                if name in names:
                    calls.setdefault(number, {})[name] = file[key]
        self._calls = _padded(list(calls.values())) if is_padded else list(calls.values())
        self._next: Iterator[Mapping[str, NDArray[Any]]] = iter(self._calls)

    def get_next(self) -> Mapping[str, NDArray[Any]] | None:
        """Return the next call's inputs by name; None after the last one."""
        return next(self._next, None)

    def __iter__(self) -> CalibrationInputs:
        return self

    def __next__(self) -> Mapping[str, NDArray[Any]]:
        return next(self._next)

    def __len__(self) -> int:
        return len(self._calls)


def _padded(calls: list[dict[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
    longest = {
        name: tuple(max(lengths) for lengths in zip(*(call[name].shape for call in calls), strict=True))
        for name in calls[0]
    }
    return [{name: _pad(value, longest[name]) for name, value in call.items()} for call in calls]


def _pad(value: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    missing = [(0, longest - length) for length, longest in zip(value.shape, shape, strict=True)]
    return np.pad(value, missing) if any(after for _, after in missing) else value
