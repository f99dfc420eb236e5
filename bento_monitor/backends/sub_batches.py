"""Running a batch in parts, several at once, and a padded batch by length.

If lengths vary, a batch padded to its longest row computes mostly padding. The mask `(batch, length)`, ones then zeros,
or an input `(batch,)` with the lengths themselves, tells them: rows are sorted, split, trimmed to the longest row of
each part, and reordered. Without either, the rows are split in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec
from ._base import Backend
from .arrays import empty_like_rows, put_rows, take_rows, to_numpy
from .call_shape import require_rows, shape_of, varying_axes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SubBatches:
    """Runs another backend on parts of `size` rows, with a mask of similar length, `streams` parts at once.

    The longest parts begin first, so that the streams end at about the same time.
    """

    def __init__(
        self,
        backend: Backend,
        size: int,
        mask_input: str | None,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        streams: int = 1,
    ) -> None:
        """Raise ReleaseError if rows cannot be run separately, or if an output would have to be padded again."""
        self._backend = backend
        self._size = size
        _require_sub_batchable(size, mask_input, inputs, outputs)
        self._mask_input = mask_input
        self._first_input = inputs[0].name
        self._varying_axes = varying_axes(inputs)
        # The executor's threads end when nothing refers to the executor any more.
        self._executor = ThreadPoolExecutor(streams, "bento-monitor-stream") if streams > 1 else None

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Run the batch in parts; run it whole if its mask is not ones then zeros, or if inputs disagree on lengths."""
        import numpy as np

        lengths: NDArray[np.int64] | None = None
        if self._mask_input is None:
            order = np.arange(inputs[self._first_input].shape[0])
        else:
            lengths = row_lengths(to_numpy(inputs[self._mask_input]))
            shape = shape_of(inputs, self._varying_axes)
            if lengths is None or shape is None or shape.length is None or lengths.max() > shape.length:
                return self._backend.run(inputs)
            order = (-lengths).argsort(kind="stable")
            if lengths.max() == shape.length and len(order) <= self._size:  # nothing to trim, nothing to split
                return self._backend.run(inputs)
        if lengths is None and len(order) <= self._size:
            return self._backend.run(inputs)
        outputs: list[Any] = []
        cuts = [order[start : start + self._size] for start in range(0, len(order), self._size)]

        def run_part(rows: NDArray[np.int64]) -> list[Any]:
            longest = None if lengths is None else max(1, int(lengths[rows[0]]))
            return self._backend.run(self._part(inputs, rows, longest))

        results = map(run_part, cuts) if self._executor is None else self._executor.map(run_part, cuts)
        for rows, parts in zip(cuts, results, strict=True):
            if not outputs:
                outputs = [empty_like_rows(part, len(order)) for part in parts]
            for output, part in zip(outputs, parts, strict=True):
                if part.shape != (len(rows), *output.shape[1:]):  # differs from when the release was made
                    return self._backend.run(inputs)
                put_rows(output, rows, part)
        return outputs

    def _part(self, inputs: Mapping[str, Any], rows: NDArray[np.int64], longest: int | None) -> dict[str, Any]:
        if longest is None:  # consecutive rows, hence a view
            return {name: value[int(rows[0]) : int(rows[-1]) + 1] for name, value in inputs.items()}
        part = {}
        for name, value in inputs.items():
            trimmed = [slice(None)] * value.ndim
            for axis in self._varying_axes[name]:
                trimmed[axis] = slice(longest)
            part[name] = take_rows(value[tuple(trimmed)], rows)
        return part


def row_lengths(given: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return the length of each row by a mask `(batch, length)` or by lengths `(batch,)`; None if it tells none."""
    import numpy as np

    if given.ndim != 1:
        return prefix_lengths(given)
    is_whole = given.dtype.kind in "iu" and given.size > 0 and given.min() > 0
    return given.astype(np.int64) if is_whole else None


def prefix_lengths(mask: NDArray[Any]) -> NDArray[np.int64] | None:
    """Return how many ones begin each row of a mask `(batch, length)`; None if it is not ones then zeros, or empty."""
    import numpy as np

    if mask.ndim != 2 or not mask.size:
        return None
    is_one = mask == 1
    lengths: NDArray[np.int64] = is_one.sum(axis=1, dtype=np.int64)
    prefix = np.arange(mask.shape[1]) < lengths[:, None]
    return lengths if np.array_equal(is_one, prefix) and not mask[~is_one].any() else None


def _require_sub_batchable(
    size: int, mask_input: str | None, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    if size < 1:
        raise ReleaseError(f"sub_batch_size is {size}: it must be 1 or more.")
    if mask_input is not None and mask_input not in {spec.name for spec in inputs}:
        raise ReleaseError(f"Sub-batches need an input that gives the lengths; mask_input is {mask_input!r}.")
    require_rows("Sub-batches", (*inputs, *outputs))
    for spec in outputs:
        if mask_input is not None and None in spec.shape[1:]:
            raise ReleaseError(f"The output {spec.name} has an axis as long as the batch's longest row: run it whole.")
