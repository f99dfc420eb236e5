"""The digest of an estimator, and the want of one for a function."""

from __future__ import annotations

import hashlib
import sys
from typing import Any, NoReturn

from ..errors import BentoMonitorError, ReleaseError
from .estimator_state import EstimatorState
from .estimators import estimator_rules
from .pauses import Pauses
from .plain import frame
from .walk import Walk


class EstimatorDigest:
    """The digest of an estimator as it is when hashed: its parameters, and what was fitted."""

    sees_writes = False

    def __init__(self, model: Any) -> None:
        self._model = model
        self._state: EstimatorState | None = None

    def digest(self) -> bytes:
        """Read and hash it."""
        try:
            state = EstimatorState(self._model)  # before hashing: what is fitted meanwhile is then seen as stale
            walk = Walk(estimator_rules(), pause=Pauses())
            walk.value(self._model, "the model")
            content = walk.finish()
        except BentoMonitorError:
            raise
        except Exception as error:
            raise ReleaseError(
                f"The model cannot be fingerprinted: a part of the {type(self._model).__name__} cannot be read "
                f"({type(error).__name__}: {error}). So no release can be made of it; it is served as it is."
            ) from error
        self._state = state
        python = f"python {sys.version_info.major}.{sys.version_info.minor}"
        return hashlib.sha256(frame(b"estimator", python.encode()) + content).digest()

    def is_stale(self) -> bool:
        """Whether it was fitted again, or a parameter was set; it hashes nothing, so writes into arrays stay unseen."""
        return self._state is not None and not self._state.is_same()

    def renew(self) -> None:
        """Forget what was hashed."""
        self._state = None


class NoDigest:
    """In place of a digest of what cannot be read."""

    sees_writes = True

    def __init__(self, model: Any) -> None:
        self._kind = type(model).__name__

    def digest(self) -> NoReturn:
        """Raise ReleaseError: there is none."""
        raise ReleaseError(
            f"The runner wraps a {self._kind} that is called as it is: what it computes with cannot be read, so a "
            "release could stand for another model, and none can be made. To optimize it, wrap the torch module, ONNX "
            "file or estimator within it."
        )

    def is_stale(self) -> bool:
        """False, for nothing was hashed."""
        return False

    def renew(self) -> None:
        """Do nothing."""
