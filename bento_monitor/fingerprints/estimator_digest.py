"""The digest of an estimator, and the refusal of a digest for a function or object."""

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
    """The digest of an estimator at the time of hashing: its parameters and fitted attributes."""

    sees_writes = False

    def __init__(self, model: Any) -> None:
        self._model = model
        self._state: EstimatorState | None = None

    def digest(self) -> bytes:
        """Read and hash the estimator."""
        try:
            state = EstimatorState(self._model)  # before hashing, so that a fit meanwhile counts as stale
            walk = Walk(estimator_rules(), pause=Pauses())
            walk.value(self._model, "the model")
            content = walk.finish()
        except BentoMonitorError:
            raise
        except Exception as error:
            raise ReleaseError(
                f"The model cannot be fingerprinted: a part of the {type(self._model).__name__} cannot be read "
                f"({type(error).__name__}: {error}). No release can be made of the model; it is served unchanged."
            ) from error
        self._state = state
        python = f"python {sys.version_info.major}.{sys.version_info.minor}"
        return hashlib.sha256(frame(b"estimator", python.encode()) + content).digest()

    def is_stale(self) -> bool:
        """Whether the estimator was fitted again or a parameter was set; it hashes nothing and misses array writes."""
        return self._state is not None and not self._state.is_same()

    def renew(self) -> None:
        """Forget the hashed state."""
        self._state = None


class NoDigest:
    """Stands for the digest of a model that cannot be read."""

    sees_writes = True

    def __init__(self, model: Any) -> None:
        self._kind = type(model).__name__

    def digest(self) -> NoReturn:
        """Raise ReleaseError: the model has no digest."""
        raise ReleaseError(
            f"The runner wraps a {self._kind}, whose weights and code cannot be read. No release can be made of it, "
            "since the release could belong to another model. To optimize it, wrap the torch module, ONNX file or "
            "estimator inside it."
        )

    def is_stale(self) -> bool:
        """Return False: nothing was hashed."""
        return False

    def renew(self) -> None:
        """Do nothing."""
