"""The fingerprint of the model that a `MonitoredRunner` wraps: which weights, graph and code it has."""

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
_WATCHING_SHARE = 0.01  # of the time, spent on hashing in a worker that serves


class _Subject(Protocol):
    sees_writes: bool

    def digest(self) -> bytes: ...
    def is_stale(self) -> bool: ...
    def renew(self) -> None: ...


class ModelFingerprint:
    """The fingerprint of a model: the same in every process that loads it, another for other weights, graph or code.

    Plain attributes, code and hooks are looked at when this is made, which takes milliseconds and raises nothing: later
    an attribute may be a cache that calls have filled. Weights and files are hashed at the first `value()`.
    """

    def __init__(self, own: OwnModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._clock = clock
        self._value: str | None = None
        self._subject = _subject_of(own)
        self._watch_at_s = 0.0

    def value(self) -> str:
        """`v1:` and 64 hexadecimal digits. The first call hashes every byte of the model; its result is kept.

        Raises:
            ReleaseError: a weight has no values yet, a file cannot be read or was changed since it was loaded, or the
                model is a function or object that cannot be read at all.
        """
        with self._lock:
            if self._value is None:
                started_s = self._clock()
                self._value = f"{_FORMAT}:{self._subject.digest().hex()}"
                ended_s = self._clock()
                self._watch_at_s = ended_s + (ended_s - started_s) / _WATCHING_SHARE
            return self._value

    def present_value(self) -> str:
        """`value()` of the weights as they are now: hashed again where they were written to since, else as cheap.

        An estimator is hashed each time, for nothing counts what is written into its arrays.

        Raises:
            ReleaseError: as `value`.
        """
        if self.is_stale() or not self._subject.sees_writes:
            self.renew()
        return self.value()

    def watched_value(self) -> str:
        """`present_value()` for a thread that asks over and over beside requests: it hashes 1 % of the time at most.

        What is written into an estimator's array is seen as late as that allows; a new fit at once.

        Raises:
            ReleaseError: as `value`.
        """
        is_due = not self._subject.sees_writes and self._clock() >= self._watch_at_s
        if self.is_stale() or is_due:
            self.renew()
        return self.value()

    def is_stale(self) -> bool:
        """Whether the model has changed since `value()` hashed it; False before that. It hashes nothing.

        Seen are replaced submodules, parameters and buffers, writes that torch counts, and a change of `training`. Of
        an estimator, seen are a new fit and set parameters, not what is written into an array.
        """
        return self._value is not None and self._subject.is_stale()

    def renew(self) -> None:
        """Let the next `value()` hash the tensors again.

        Attributes and code stay as they were loaded, unless a submodule was replaced or `training` has changed.
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
    """The digest of a torch module: its structure as it was loaded, and its tensors as they are when hashed."""

    sees_writes = True

    def __init__(self, root: Any) -> None:
        self._root = root
        self._state: TreeState | None = None
        self._look()

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
                "Keep what cannot be read, or is nested without end, outside of the model."
            ) from error

    def is_stale(self) -> bool:
        """Whether modules or tensors are others than those that were hashed."""
        if self._state is None:
            return False
        with as_plain_tensors():
            return not self._state.is_same()

    def renew(self) -> None:
        """Forget which tensors were hashed."""
        self._state = None

    def _digest(self) -> bytes:
        if self._loaded is None or not self._loaded.has_same_tree():
            self._look()
        if self._failure is not None:
            raise self._failure
        state = TreeState(self._root)  # before hashing: what is written meanwhile is then seen as stale
        tensors = Walk(rules())
        write_tensors(tensors, self._root)
        digest = hashlib.sha256(frame(b"runtime", _runtime().encode()))
        digest.update(self._structure.finish())
        digest.update(tensors.finish())
        self._state = state
        return digest.digest()

    def _look(self) -> None:
        """Walk over classes, attributes, code and hooks; a failure is kept for `digest`, since loading must go on."""
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
    """What stands for code that is taken by name: bytecode is of a Python version, torch's modules of torch's."""
    torch = sys.modules.get("torch")
    version = "" if torch is None else str(torch.__version__).partition("+")[0]
    return f"python {sys.version_info.major}.{sys.version_info.minor} torch {version}"
