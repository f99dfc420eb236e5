"""SHA-256 of the bytes of tensors, arrays and TorchScript archives, on several threads, without copies if possible."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..backends.arrays import is_torch_tensor
from ..errors import BentoMonitorError, ReleaseError
from .plain import frame
from .script_archive import archive_parts
from .tensor_bytes import tensor_parts

# A content's digest covers its pieces' digests: the piece size is part of the format, and limits a copy from a GPU.
PIECE_BYTES = 32 << 20
_MAX_THREADS = 4
_MIN_BYTES_PER_THREAD = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that are read when they are hashed, in one or several parts."""

    owner: int
    n_bytes: int
    read: Callable[[], Iterable[Any]]


def digest_contents(contents: Sequence[tuple[str, Any]]) -> list[bytes]:
    """Return the digest of each content; `contents` are pairs of a label for messages and a content.

    Raises:
        ReleaseError: the bytes of a content cannot be read, such as those of a tensor on the device `meta`.
    """
    heads: list[bytes] = []
    owners: list[int] = []
    pieces: list[Piece] = []
    seen: dict[Any, int] = {}
    for label, content in contents:
        key = _memory_of(content)
        if key not in seen:
            seen[key] = len(heads)
            head, found = _prepare(len(heads), label, content)
            heads.append(head)
            pieces += found
        owners.append(seen[key])
    hashed = [hashlib.sha256(head) for head in heads]
    for piece, digest in zip(pieces, digest_pieces(pieces), strict=True):
        hashed[piece.owner].update(digest)
    return [hashed[owner].digest() for owner in owners]


def digest_pieces(pieces: Sequence[Piece]) -> list[bytes]:
    """Return the digest of each piece; `hashlib` releases the GIL, so threads hash at once."""
    groups = list(_groups(pieces))
    threads = min(_MAX_THREADS, _usable_cpus(), len(groups))
    if threads < 2:
        return [digest for group in groups for digest in _digest_group(group)]
    with ThreadPoolExecutor(threads, thread_name_prefix="fingerprint") as pool:
        return [digest for digests in pool.map(_digest_group, groups) for digest in digests]


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _groups(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += piece.n_bytes
        if size >= _MIN_BYTES_PER_THREAD:
            yield group
            group, size = [], 0
    if group:
        yield group


def _digest_group(pieces: Sequence[Piece]) -> list[bytes]:
    digests = []
    for piece in pieces:
        digest = hashlib.sha256()
        for part in piece.read():
            digest.update(part)
        digests.append(digest.digest())
    return digests


def _prepare(owner: int, label: str, content: Any) -> tuple[bytes, list[Piece]]:
    """Return a header that describes a content, and the content's bytes in pieces."""
    try:
        parts = _parts(content)
    except BentoMonitorError as error:
        raise ReleaseError(f"The model cannot be fingerprinted: {label} {error}") from error
    except Exception as error:
        kind = type(content).__qualname__
        raise ReleaseError(
            f"The model cannot be fingerprinted: the bytes of {label} ({kind}) cannot be read ({error}). "
            "Wrap a model whose weights are tensors in memory."
        ) from error
    head = b"".join(frame(name.encode(), b"%d" % len(data)) for name, data in parts)
    return head, [piece for _, data in parts for piece in _pieces(owner, data)]


def _parts(content: Any) -> list[tuple[str, Any]]:
    if is_torch_tensor(content):
        return tensor_parts(content)
    import numpy as np

    if not isinstance(content, np.ndarray):
        return archive_parts(content)
    if content.dtype.hasobject:
        raise ReleaseError("is an array of records that hold Python objects: keep the objects in a list.")
    data = np.asarray(content)
    flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8) if data.size else np.empty(0, np.uint8)
    return [(f"numpy {content.dtype.descr if content.dtype.names else content.dtype.str} {content.shape}", flat)]


def _pieces(owner: int, data: Any) -> Iterator[Piece]:
    for start in range(0, len(data), PIECE_BYTES):
        part = data[start : start + PIECE_BYTES]
        yield Piece(owner, len(part), partial(_read, part))


def _read(part: Any) -> tuple[Any]:
    return (part.cpu().numpy() if is_torch_tensor(part) else part,)


def _memory_of(content: Any) -> Any:
    """Return an equal key for tensors that view the same memory in the same way, so that tied weights hash once."""
    if type(content).__module__.startswith("torch") and is_torch_tensor(content):
        try:
            where = content.untyped_storage().data_ptr()
            flags = (content.is_conj(), content.is_neg())
            if where:
                view = (content.storage_offset(), tuple(content.shape), content.stride(), content.dtype, content.device)
                return ("memory", where, view, flags)
        except (RuntimeError, NotImplementedError, ValueError):  # sparse, meta
            pass
    return ("object", id(content))
