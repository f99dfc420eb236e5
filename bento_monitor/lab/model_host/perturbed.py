"""Inputs unlike the captured ones: a graph must agree with the module on them too, if it is the same model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...backends.arrays import is_torch_tensor, to_numpy, to_torch
from ...releases.release_record import TensorSpec
from .export_record import AxisLimit
from .state import CapturedCall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Inputs = dict[str, Any]
_FACTORS = (-1.0, 0.0, 10.0, 100.0)
_BATCH_SIZES = (1, 2, 3, 9)
_BASE_ROWS = 4
_BASES = 2
# A model that is this slow is compared on the perturbations of one captured call, of every kind, and if it is slower
# still, on no large batch.
_MAX_FIRST_BASE_S = 20.0
_LARGE_BATCH, _MAX_BEFORE_LARGE_S = 33, 5.0
_JITTER = 1e-6
_MAX_ELEMENTS = 2**24  # of all inputs of a call: an axis may be lengthened up to the limit of a branch


def perturbed_inputs(
    calls: Sequence[CapturedCall], specs: Sequence[TensorSpec], limits: Sequence[AxisLimit]
) -> Iterator[tuple[str, Inputs]]:
    """Yield pairs of the change, in words, and the inputs; every array is of the captured kind.

    Floats are scaled, shifted and get noise; ids are drawn again from the range seen; masks get other lengths; the
    order and number of rows change, and each axis that varies is shortened and lengthened, also past each of `limits`.
    The changes are made to a small and to a large captured call; to the large one only if those before took up to 20 s.
    A batch of 33 comes after the other changes of the small call, if these took up to 5 s.
    """
    import numpy as np

    generator = np.random.default_rng(0)
    ranges = {spec.name: _range_of([call.inputs[spec.name] for call in calls]) for spec in specs}
    begun_s = time.monotonic()
    for index, call in enumerate(_bases(calls)):
        if index and time.monotonic() - begun_s > _MAX_FIRST_BASE_S:
            return
        base = {spec.name: to_numpy(call.inputs[spec.name]) for spec in specs}
        few = _resized(base, specs, 0, _batch_length(base, specs), _BASE_ROWS)
        found = [*_other_floats(few, generator), *_other_integers(few, ranges, generator)]
        if index == 0:
            found += _other_sizes(few, specs, limits, generator)
        yield from _as_call(call, found)
        if index == 0 and time.monotonic() - begun_s <= _MAX_BEFORE_LARGE_S:
            yield from _as_call(call, _large_batch(few, specs))


def jittered(inputs: Mapping[str, Any]) -> Inputs:
    """Return the inputs with each float changed by about its rounding."""
    import numpy as np

    generator = np.random.default_rng(1)
    found = {}
    for name, value in inputs.items():
        array = to_numpy(value)
        if array.dtype.kind == "f":
            scale = np.abs(array) + np.abs(array).max(initial=0.0) * 0.1 + _JITTER
            array = (array + _JITTER * scale * generator.choice((-1.0, 1.0), array.shape)).astype(array.dtype)
        found[name] = like(value, array)
    return found


def like(value: Any, array: NDArray[Any]) -> Any:
    """Return a NumPy array as the kind of array that `value` is, on its device."""
    if not is_torch_tensor(value):
        return array
    return to_torch(array, value.device).to(value.dtype)


def _as_call(call: CapturedCall, found: Iterable[tuple[str, Inputs]]) -> Iterator[tuple[str, Inputs]]:
    for what, arrays in found:
        if sum(array.size for array in arrays.values()) <= _MAX_ELEMENTS:
            yield what, {name: like(call.inputs[name], array) for name, array in arrays.items()}


def _large_batch(base: Inputs, specs: Sequence[TensorSpec]) -> Iterator[tuple[str, Inputs]]:
    if batch := _batch_length(base, specs):
        yield f"a batch of {_LARGE_BATCH}", _resized(base, specs, 0, batch, _LARGE_BATCH)


def _other_sizes(
    base: Inputs, specs: Sequence[TensorSpec], limits: Sequence[AxisLimit], generator: np.random.Generator
) -> Iterator[tuple[str, Inputs]]:
    batch = _batch_length(base, specs)
    if batch:
        order = generator.permutation(batch)
        yield "rows in another order", _each(base, specs, lambda array: array[order])
        for size in _BATCH_SIZES:
            yield f"a batch of {size}", _resized(base, specs, 0, batch, size)
    for axis, length in _lengths(base, specs):
        for wanted in {1, 2, max(1, length - 1), length + 1, 2 * length}:
            yield f"a length of {wanted}", _resized(base, specs, axis, length, wanted)
    for limit in limits:
        is_batch = limit.axis == 0 and batch is not None
        one = base if is_batch else _resized(base, specs, 0, batch, 1)
        length = one[limit.input].shape[limit.axis]
        if length:
            what = "a batch" if is_batch else "a length"
            yield f"{what} of {limit.length + 1}", _resized(one, specs, limit.axis, length, limit.length + 1)


def _other_floats(base: Inputs, generator: np.random.Generator) -> Iterator[tuple[str, Inputs]]:
    import numpy as np

    floats = {name: array for name, array in base.items() if array.dtype.kind == "f"}
    if not floats:
        return
    for factor in _FACTORS:
        yield f"inputs times {factor:g}", base | {name: _cast(array * factor, array) for name, array in floats.items()}
    spread = {name: float(array.std()) or 1.0 for name, array in floats.items()}
    for sign in (1.0, -1.0):
        yield (
            f"inputs plus {sign * 100:g} standard deviations",
            base | {name: _cast(array + sign * 100 * spread[name], array) for name, array in floats.items()},
        )
    noisy = {
        name: _cast(array + spread[name] * generator.normal(size=array.shape), array) for name, array in floats.items()
    }
    yield "noise on the inputs", base | noisy
    holed = {name: array.copy() for name, array in floats.items()}
    for array in holed.values():
        array.reshape(-1)[:1] = np.nan
    yield "a NaN in the inputs", base | holed


def _other_integers(
    base: Inputs, ranges: Mapping[str, tuple[Any, Any]], generator: np.random.Generator
) -> Iterator[tuple[str, Inputs]]:
    import numpy as np

    for name, array in base.items():
        low, high = ranges[name]
        if array.dtype.kind not in "iub" or not array.size:
            continue
        if (int(low), int(high)) in ((0, 1), (1, 1)) and array.ndim:
            lengths = generator.integers(1, array.shape[-1] + 1, array.shape[:-1])
            for what, ends in (("random length", lengths), ("length 1", np.ones_like(lengths))):
                mask = np.arange(array.shape[-1]) < ends[..., None]
                yield f"{name} of {what}", base | {name: mask.astype(array.dtype)}
            continue
        for value in {int(low), int(high)}:
            yield f"{name} all {value}", base | {name: np.full_like(array, value)}
        drawn = generator.integers(int(low), int(high) + 1, array.shape).astype(array.dtype)
        yield f"{name} drawn again", base | {name: drawn}


def _bases(calls: Sequence[CapturedCall]) -> list[CapturedCall]:
    """Return the smallest call of several rows, and the largest."""
    ordered = sorted(calls, key=lambda call: sum(to_numpy(value).size for value in call.inputs.values()))
    several = [call for call in ordered if next(iter(call.inputs.values())).shape[:1] not in ((), (1,))] or ordered
    return several[:1] if len(several) == 1 else [several[0], several[-1]][:_BASES]


def _range_of(values: Sequence[Any]) -> tuple[Any, Any]:
    arrays = [array for array in map(to_numpy, values) if array.size and array.dtype.kind in "iub"]
    return (min(array.min() for array in arrays), max(array.max() for array in arrays)) if arrays else (0, 0)


def _batch_length(base: Inputs, specs: Sequence[TensorSpec]) -> int | None:
    """Return the number of rows if the first axes of all inputs with axes vary and have the same length, else None."""
    lengths = {base[spec.name].shape[0] if spec.shape[0] is None else None for spec in specs if spec.shape}
    return lengths.pop() if len(lengths) == 1 else None


def _lengths(base: Inputs, specs: Sequence[TensorSpec]) -> list[tuple[int, int]]:
    """Return each axis that varies, except the batch, with its length."""
    first = 1 if _batch_length(base, specs) else 0
    found = [
        (axis, base[spec.name].shape[axis])
        for spec in specs
        for axis, length in enumerate(spec.shape)
        if length is None and axis >= first
    ]
    return list(dict.fromkeys(each for each in found if each[1]))


def _resized(base: Inputs, specs: Sequence[TensorSpec], axis: int, length: int | None, wanted: int) -> Inputs:
    """Return inputs whose axes of `length` have the wanted length, filled by repetition; the batch is its own axis."""
    if length is None or (axis == 0 and length < wanted == _BASE_ROWS):
        return base
    import numpy as np

    is_batch = axis == 0 and _batch_length(base, specs) == length
    found = dict(base)
    for spec in specs:
        for each, fixed in enumerate(spec.shape):
            if fixed is None and found[spec.name].shape[each] == length and (each == 0) == is_batch:
                found[spec.name] = np.take(found[spec.name], np.arange(wanted) % length, axis=each)
    return found


def _each(base: Inputs, specs: Sequence[TensorSpec], change: Any) -> Inputs:
    return base | {spec.name: change(base[spec.name]) for spec in specs if spec.shape}


def _cast(array: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    with np.errstate(over="ignore"):
        return array.astype(like.dtype)
