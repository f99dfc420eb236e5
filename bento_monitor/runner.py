"""MonitoredRunner: the one place where a model is called, timed, and handed a new release while requests run."""

from __future__ import annotations

import functools
import gc
import logging
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .backends._base import RunnableModel, UnboundCallError
from .backends.device_clock import DeviceClock, start_device_clock
from .backends.own import OwnModel, wrap_own_model
from .backends.released import ReleasedModel
from .errors import ReleaseError, ServiceError
from .releases.record import Release
from .tracing.ledger import ModelCall, current_batch, current_ledger

_logger = logging.getLogger(__name__)
_registry: weakref.WeakValueDictionary[str, MonitoredRunner] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that is ready to be called; `release` is None where it is the user's own."""

    model: RunnableModel
    release: Release | None


class MonitoredRunner:
    """A torch module or an ONNX file, called as before: the same arguments, the same output.

    Each call is timed into the trace of the request, or of the batch, that it is made for. A release can take the
    model's place between two calls; calls that are running end on the model that they began with, which is freed after
    the last of them. Attributes that a runner does not have are the wrapped model's. `release_failures` counts the
    calls that a release failed.
    """

    def __init__(self, model: Any, *, name: str = "model") -> None:
        """Wrap `model`: a `torch.nn.Module`, or the path of an ONNX file, which is loaded.

        Raises:
            ServiceError: it is neither, or this process has a runner of that name.
        """
        self._own = wrap_own_model(model)
        self._own_prepared = PreparedModel(self._own, None)
        self._active = self._own_prepared
        self._has_warned = False
        self.name = name
        self.release_failures = 0
        _register(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        active = self._active
        clock = self._start_clock(active)
        started_ns = time.monotonic_ns()
        try:
            return active.model.run(args, kwargs)
        except UnboundCallError as error:
            if active is self._own_prepared:
                raise
            self._warn_once("%s: a call is run by the model itself: %s", self.name, error)
            active = self._own_prepared
            return active.model.run(args, kwargs)
        except Exception:
            if active is not self._own_prepared:
                self.release_failures += 1
            raise
        finally:
            self._record(active, started_ns, clock, args, kwargs)

    @property
    def release(self) -> str | None:
        """The name of the release that runs now; None where it is the user's own model."""
        release = self._active.release
        return None if release is None else release.name

    @property
    def own_model(self) -> OwnModel:
        """The model that was wrapped, as a runner calls it."""
        return self._own

    def prepare(self, release: Release, folder: Path) -> PreparedModel:
        """Build and warm up `release`, whose files are in `folder`, while the model that runs now goes on.

        Raises:
            ReleaseError: it is for another runner, its artifact is not the one that was released, or it does not run.
        """
        if release.runner != self.name:
            raise ReleaseError(f"Release {release.name} is for the runner {release.runner!r}, not {self.name!r}.")
        model = ReleasedModel(release, folder, self._own)
        model.warm_up(release)
        return PreparedModel(model, release)

    def take_over(self, prepared: PreparedModel) -> None:
        """Run what was prepared from the next call on."""
        self._active = prepared

    def reset(self) -> None:
        """Run the user's own model from the next call on."""
        self._active = self._own_prepared

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_own":  # copying asks before there is a model
            raise AttributeError(name)
        model = self._own.model
        value = getattr(model, name)
        return _returning_runner(self, value) if getattr(value, "__self__", None) is model else value

    def __repr__(self) -> str:
        return f"MonitoredRunner(name={self.name!r}, release={self.release!r})"

    def _start_clock(self, active: PreparedModel) -> DeviceClock | None:
        """A clock of the model's GPU, if it runs on one; never raises."""
        if active.model.backend != "torch":
            return None
        try:
            return start_device_clock(self._own.parameter)
        except Exception:
            self._warn_once("%s: time on the GPU could not be taken", self.name, exc_info=True)
            return None

    def _record(
        self,
        active: PreparedModel,
        started_ns: int,
        clock: DeviceClock | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Note the call if somebody traces it; never raises, for the user's call must not fail of it."""
        try:
            if clock is not None:
                clock.stop()
            target = current_batch.get() or current_ledger.get()
            if target is not None:
                release = None if active.release is None else active.release.name
                model = active.model
                call = ModelCall(
                    started_ns=started_ns,
                    ended_ns=time.monotonic_ns(),
                    runner=self.name,
                    backend=model.backend,
                    precision=model.precision,
                    release=release,
                    rows=row_count(args, kwargs),
                    clock=clock,
                )
                target.note_model_call(call)
        except Exception:
            self._warn_once("%s: a call could not be recorded", self.name, exc_info=True)

    def _warn_once(self, message: str, *values: object, exc_info: bool = False) -> None:
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(message, *values, exc_info=exc_info)


def runners() -> dict[str, MonitoredRunner]:
    """The runners of this process by name; one that nothing refers to any more is gone from here too."""
    return dict(_registry)


def _register(runner: MonitoredRunner) -> None:
    if runner.name in _registry:
        gc.collect()  # a service that was let go may hold its runner in a reference cycle
    if runner.name in _registry:
        raise ServiceError(
            f"This process already has a MonitoredRunner named {runner.name!r}: "
            'give each its own name, as in MonitoredRunner(model, name="reranker").'
        )
    _registry[runner.name] = runner


def _returning_runner(runner: MonitoredRunner, method: Any) -> Any:
    """The model's method; where it returns the model, as `.eval()` and `.to()` do, the runner stays around it."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        return runner if result is method.__self__ else result

    return call


def row_count(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """The length of the first axis of the first argument that has one; 1 where none has."""
    for value in (*args, *kwargs.values()):
        shape = getattr(value, "shape", None)
        if shape is not None and len(shape):
            return int(shape[0])
    return 1
