"""The digest of an ONNX file and of the external files in which it keeps tensors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..errors import ReleaseError
from .contents import PIECE_BYTES, Piece, digest_pieces
from .onnx_external import read_external_names
from .plain import frame

_State = tuple[int, int, int]
_STEP_BYTES = 1 << 20


class OnnxFileDigest:
    """The digest of an ONNX file: every byte of it and of its external data, but not its own name.

    The names, sizes and times of the files are read at construction: the session has loaded these files.
    """

    sees_writes = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failure: ReleaseError | None = None
        self._loaded: dict[str, _State] = {}
        try:
            self._loaded = {"": _state(path)}
            self._loaded |= {name: _state(_inside(path, name)) for name in read_external_names(path)}
        except OSError as error:
            name = error.filename if isinstance(error.filename, str) else path
            self._failure = _refusal(path, f"{name} cannot be read ({error.strerror}). Restore it and restart.")
        except ReleaseError as error:
            self._failure = error

    def digest(self) -> bytes:
        """Hash the files.

        Raises:
            ReleaseError: a file cannot be read, lies outside of the folder, or was changed since it was loaded.
        """
        if self._failure is not None:
            raise self._failure
        self._refuse_changes()
        try:
            digests = self._hash()
        except OSError as error:
            raise _refusal(self._path, f"it cannot be read ({error}).") from error
        self._refuse_changes()  # again, for changes during the read
        digest = hashlib.sha256()
        for name, of_file in digests:
            digest.update(frame(b"name", name.encode()) + frame(b"file", of_file))
        return digest.digest()

    def is_stale(self) -> bool:
        """Return False: the session has loaded what it serves."""
        return False

    def renew(self) -> None:
        """Do nothing: the session has loaded what it serves."""

    def _hash(self) -> list[tuple[str, bytes]]:
        names = sorted(self._loaded)
        descriptors = [os.open(_inside(self._path, name), os.O_RDONLY) for name in names]
        try:
            pieces = [
                piece
                for owner, (name, descriptor) in enumerate(zip(names, descriptors, strict=True))
                for piece in _pieces(owner, descriptor, self._loaded[name][0])
            ]
            hashed = [hashlib.sha256(b"%d" % self._loaded[name][0]) for name in names]
            for piece, digest in zip(pieces, digest_pieces(pieces), strict=True):
                hashed[piece.owner].update(digest)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return [(name, digest.digest()) for name, digest in zip(names, hashed, strict=True)]

    def _refuse_changes(self) -> None:
        for name, loaded in self._loaded.items():
            path = _inside(self._path, name)
            try:
                is_same = _state(path) == loaded
            except OSError:
                is_same = False
            if not is_same:
                raise _refusal(self._path, f"{path} changed since it was loaded. Restart the service.")


def _inside(path: Path, name: str) -> Path:
    """Return the path of the external file `name`, or of the model itself if the name is empty."""
    if not name:
        return path
    flat = Path(os.path.normpath(name))
    if flat.is_absolute() or flat.parts[:1] in ((), ("..",)):
        raise _refusal(path, f"it keeps tensors in {name!r}, outside of its folder. Move the file into the folder.")
    return path.parent / flat


def _state(path: Path) -> _State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _pieces(owner: int, descriptor: int, size: int) -> Iterator[Piece]:
    for start in range(0, size, PIECE_BYTES):
        n_bytes = min(PIECE_BYTES, size - start)
        yield Piece(owner, n_bytes, partial(_read, descriptor, start, n_bytes))


def _read(descriptor: int, start: int, n_bytes: int) -> Iterator[memoryview]:
    """Yield a piece of a file in steps, in one buffer; if a mapped file was truncated, it would kill the process."""
    buffer = memoryview(bytearray(min(_STEP_BYTES, n_bytes)))
    end = start + n_bytes
    while start < end:
        n_read = os.preadv(descriptor, [buffer[: end - start]], start)
        if not n_read:  # truncated meanwhile, which its size shows
            return
        yield buffer[:n_read]
        start += n_read


def _refusal(path: Path, why: str) -> ReleaseError:
    return ReleaseError(f"The model {path} cannot be fingerprinted: {why}")
