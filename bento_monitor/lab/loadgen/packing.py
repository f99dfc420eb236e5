"""Byte strings of any lengths as two arrays, which an `.npz` file can hold without pickle."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...resilience.atomic_files import write_atomic


def pack(strings: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all bytes concatenated, and the end of each string."""
    data = np.frombuffer(b"".join(strings), dtype=np.uint8)
    return data, np.cumsum([len(string) for string in strings], dtype=np.int64)


def unpack(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[bytes, ...]:
    """Return the strings that were passed to `pack`."""
    raw = data.tobytes()
    starts = [0, *ends.tolist()]
    return tuple(raw[start:end] for start, end in zip(starts, ends.tolist(), strict=False))


def write_bodies(path: Path, bodies: Sequence[bytes]) -> None:
    """Write request bodies as a file that a LoadSpec can name."""
    data, ends = pack(bodies)
    write_arrays(path, {"data": data, "ends": ends})


def read_bodies(path: Path) -> tuple[bytes, ...]:
    """Read request bodies from a file that `write_bodies` wrote.

    Raises:
        InputError: the file cannot be read, or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return unpack(arrays["data"], arrays["ends"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} holds no request bodies ({error}): write it with write_bodies.") from error


def write_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write an `.npz` file atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())
