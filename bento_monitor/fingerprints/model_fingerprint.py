"""The fingerprint of the model that a `MonitoredRunner` wraps: a hash of its weights, graph and code."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol

from ..backends.own import OwnCallable, OwnEstimator, OwnModel, OwnOnnxFile
from ..errors import BentoMonitorError, ReleaseError
from .estimator_digest import EstimatorDigest, NoDigest
from .modules import modules_of, write_tensors
from .onnx_file import OnnxFileDigest
from .plain import frame
from .rules import rules
from .tensor_bytes import as_plain_tensors
from .tree_state import TreeState
from .walk import Walk

_FORMAT = "v1"
_WATCHING_SHARE = 0.01  # the share of time that a serving worker spends on hashing


class _Subject(Protocol):
    sees_writes: bool

    def digest(self) -> bytes: ...
    def is_stale(self) -> bool: ...
    def renew(self) -> None: ...


class ModelFingerprint:
    """The fingerprint of a model: equal in every process that loads it, different for other weights, graph or code.

    Plain attributes, code and hooks are read at construction, which takes milliseconds and raises nothing: later, an
    attribute may be a cache that calls have filled. Weights and files are hashed at the first `value()`.
    """

    def __init__(self, own: OwnModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._clock = clock
        self._value: str | None = None
        self._subject = _subject_of(own)
        self._watch_at_s = 0.0

    def value(self) -> str:
        """Return `v1:` and 64 hexadecimal digits; the first call hashes every byte of the model, and keeps the result.

        Raises:
            ReleaseError: a weight has no values yet, a file cannot be read or was changed since it was loaded, or the
                model is a function or object, whose content cannot be read.
        """
        with self._lock:
            if self._value is None:
                started_s = self._clock()
                self._value = f"{_FORMAT}:{self._subject.digest().hex()}"
                ended_s = self._clock()
                self._watch_at_s = ended_s + (ended_s - started_s) / _WATCHING_SHARE
            return self._value

    def present_value(self) -> str:
        """Return `value()` for the current weights: they are hashed again only if they were written to since.

        An estimator is hashed each time, since nothing counts the writes into its arrays.

        Raises:
            ReleaseError: as `value`.
        """
        if self.is_stale() or not self._subject.sees_writes:
            self.renew()
        return self.value()

    def watched_value(self) -> str:
        """Return `present_value()` for a thread that polls in a serving worker: it hashes at most 1 % of the time.

        Because of that limit, a write into an estimator's array is seen late; a new fit is seen at once.

        Raises:
            ReleaseError: as `value`.
        """
        is_due = not self._subject.sees_writes and self._clock() >= self._watch_at_s
        if self.is_stale() or is_due:
            self.renew()
        return self.value()

    def is_stale(self) -> bool:
        """Whether the model has changed since `value()` hashed it, without hashing; False before the first `value()`.

        This detects replaced submodules, parameters and buffers, writes that torch counts, and a change of `training`.
        For an estimator, it detects a new fit and set parameters, but no write into an array.
        """
        return self._value is not None and self._subject.is_stale()

    def renew(self) -> None:
        """Make the next `value()` hash the tensors again.

        Attributes and code stay as loaded, unless a submodule was replaced or `training` has changed.
        """
        with self._lock:
            self._value = None
            self._subject.renew()


def _subject_of(own: OwnModel) -> _Subject:
    if isinstance(own, OwnOnnxFile):
        return OnnxFileDigest(own.path)
    if isinstance(own, OwnEstimator):
        return EstimatorDigest(own.model)
    return NoDigest(own.model) if isinstance(own, OwnCallable) else _ModuleDigest(own.model)


class _ModuleDigest:
    """The digest of a torch module: its structure at loading, and its tensors at hashing."""

    sees_writes = True

    def __init__(self, root: Any) -> None:
        self._root = root
        self._state: TreeState | None = None
        self._read_structure()

    def digest(self) -> bytes:
        """Hash the tensors."""
        try:
            with as_plain_tensors():
                return self._digest()
        except BentoMonitorError:
            raise
        except Exception as error:
            raise ReleaseError(
                f"The model cannot be fingerprinted: a part of it cannot be read ({type(error).__name__}: {error}). "
                "Keep parts that cannot be read, or are nested without end, outside of the model."
            ) from error

    def is_stale(self) -> bool:
        """Whether modules or tensors differ from the hashed ones."""
        if self._state is None:
            return False
        with as_plain_tensors():
            return not self._state.is_same()

    def renew(self) -> None:
        """Forget which tensors were hashed."""
        self._state = None

    def _digest(self) -> bytes:
        if self._loaded is None or not self._loaded.has_same_tree():
            self._read_structure()
        if self._failure is not None:
            raise self._failure
        state = TreeState(self._root)  # before hashing, so that a write meanwhile counts as stale
        tensors = Walk(rules())
        write_tensors(tensors, self._root)
        digest = hashlib.sha256(frame(b"runtime", _runtime().encode()))
        digest.update(self._structure.finish())
        digest.update(tensors.finish())
        self._state = state
        return digest.digest()

    def _read_structure(self) -> None:
        """Read classes, attributes, code and hooks; an error is kept for `digest`, since loading must go on."""
        self._failure: Exception | None = None
        self._loaded: TreeState | None = None
        try:
            with as_plain_tensors():
                self._structure = Walk(rules(), (id(module) for _, module in modules_of(self._root)))
                self._structure.value(self._root, "the model")
                self._structure.structure()
                self._loaded = TreeState(self._root)
        except Exception as error:
            self._failure = error


def _runtime() -> str:
    """Return the versions of Python and torch, which identify bytecode and the code of torch's modules."""
    torch = sys.modules.get("torch")
    version = "" if torch is None else str(torch.__version__).partition("+")[0]
    return f"python {sys.version_info.major}.{sys.version_info.minor} torch {version}"
