"""MonitoredRunner: calls a model, times each call, and activates releases while requests run."""

from __future__ import annotations

import functools
import gc
import inspect
import logging
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .backends._base import FallbackReason, RunnableModel, UnboundCallError
from .backends.fallback_log import FallbackLog
from .backends.own import OwnModel, wrap_own_model
from .backends.released import ReleasedModel
from .backends.row_count import row_count
from .backends.unfinished_calls import is_unfinished, until_finished
from .conventions import OWN_MODEL
from .errors import ReleaseError, ServiceError
from .fingerprints import ModelFingerprint
from .releases.release_record import Release
from .tracing.context.current_api import current_api
from .tracing.ledger.device_clock import DeviceClock, start_device_clock
from .tracing.ledger.ledger import BatchRecord, Ledger, ModelCall, traced_work

_logger = logging.getLogger(__name__)
_registry: weakref.WeakValueDictionary[str, MonitoredRunner] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model that is ready to be called; `release` is None for the own model.

    `apis` are the APIs whose calls the model answers; None as an element stands for calls whose API is unknown, and
    None as the whole value for all calls.
    """

    model: RunnableModel
    release: Release | None
    apis: frozenset[str | None] | None = None

    @property
    def release_name(self) -> str:
        """The name of the release on spans; `OWN_MODEL` for the own model."""
        return OWN_MODEL if self.release is None else self.release.name


class MonitoredRunner:
    """A wrapper around a model that is called like the model: the same arguments, the same output.

    A torch module, an ONNX file and a function are called directly. An estimator (scikit-learn, XGBoost, LightGBM) is
    called by `predict`, `predict_proba` and so on, any other object by the methods listed in `methods`.

    Examples:
        >>> class Encoder:
        ...     def encode(self, texts):
        ...         return [len(text) for text in texts]
        >>> MonitoredRunner(Encoder(), name="docs", methods=["encode"]).encode(["one", "three"])
        [3, 5]

    Each call is timed in the trace of its request or batch. A release can be activated between two calls: running calls
    finish on the previous model, which is freed after the last of them. If the release cannot take a call, or fails,
    the own model runs the call; `fallbacks` counts these. Other attributes are those of the wrapped model.
    """

    def __init__(self, model: Any, *, name: str = "model", methods: Sequence[str] | None = None) -> None:
        """Wrap `model`: a torch module, the path of an ONNX file (which is loaded), an estimator, or a callable.

        With `methods`, the model can be any object, and these methods are the model calls. Releases are not made of an
        object that is not an estimator.

        Raises:
            ServiceError: the model has nothing to call, or this process already has a runner of that name.
        """
        _require_free_names(methods)
        self._own = wrap_own_model(model, methods)
        self._own_prepared = PreparedModel(self._own, None)
        self._active = self._own_prepared
        self._fingerprint: ModelFingerprint | None = None
        self._has_warned = False
        self.name = name
        self.fallbacks = FallbackLog(name)
        _register(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model."""
        return self._call(None, args, kwargs)

    def _call(self, method: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        work = traced_work()
        active = self._active
        if active.release is None:
            return self._run(active, work, method, args, kwargs)
        if active.apis is not None and (api := current_api(work)) not in active.apis:
            why = "the API of the call is unknown" if api is None else f"it is not for {api}"
            return self._run_own(active, "api", why, work, method, args, kwargs)
        reason: FallbackReason = "error"
        try:
            return self._run(active, work, method, args, kwargs)
        except UnboundCallError as error:
            reason, why = error.reason, str(error)
        except Exception as error:
            why = type(error).__name__  # its message may hold data of the client
        answer = self._run_own(active, reason, why, work, method, args, kwargs)
        if reason == "error":  # and the own model has answered
            self.fallbacks.note_answered(active.release_name)
        return answer

    def _run_own(
        self,
        active: PreparedModel,
        reason: FallbackReason,
        why: str,
        work: BatchRecord | Ledger | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Run a call with the own model because the release did not take it; errors go to the caller."""
        self.fallbacks.note(active.release_name, reason, why)
        return self._run(self._own_prepared, work, method, args, kwargs, fallback=reason)

    def _run(
        self,
        prepared: PreparedModel,
        work: BatchRecord | Ledger | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        fallback: FallbackReason | None = None,
    ) -> Any:
        if work is None:
            return prepared.model.run(args, kwargs, method)
        clock = self._start_clock(prepared)
        started_ns = time.monotonic_ns()
        record = functools.partial(self._record, prepared, work, started_ns, clock, method, args, kwargs, fallback)
        try:
            answer = prepared.model.run(args, kwargs, method)
        except BaseException as error:
            if prepared is self._own_prepared or not isinstance(error, UnboundCallError):
                record()
            raise
        if is_unfinished(answer):
            return until_finished(answer, record)
        record()
        return answer

    @property
    def release(self) -> str | None:
        """The name of the active release; None if the own model is active."""
        release = self._active.release
        return None if release is None else release.name

    @property
    def answered_by(self) -> str | None:
        """What answered this runner's last call in the current request or batch: a release's name, or "own".

        It differs from `release` if a release was activated since, or if the own model ran the call instead. It is None
        if the current request or batch has not called this runner, and in threads that a function starts.
        """
        work = traced_work()
        if work is None or work.is_closed:  # BentoML's own dispatcher runs batches in the context of an ended request
            return OWN_MODEL if self._active.release is None else None
        return next((call.release for call in reversed(work.model_calls) if call.runner == self.name), None)

    @property
    def failures(self) -> Counter[str]:
        """The number of calls that a release failed and the own model then answered, by release."""
        return self.fallbacks.answered()

    @property
    def own_model(self) -> OwnModel:
        """The wrapped model, with its calling interface."""
        return self._own

    @property
    def fingerprint(self) -> ModelFingerprint:
        """The fingerprint of the wrapped model; the first access reads the structure of the model."""
        if self._fingerprint is None:
            self._fingerprint = ModelFingerprint(self._own)
        return self._fingerprint

    def prepare(self, release: Release, folder: Path) -> PreparedModel:
        """Load and warm up `release`, whose files are in `folder`, while the active model keeps serving.

        Raises:
            ReleaseError: the release is for another runner, its artifact was changed, or it does not run.
        """
        if release.runner != self.name:
            raise ReleaseError(
                f"Release {release.name} is for the runner {release.runner!r}, not {self.name!r}.", "runner"
            )
        model = ReleasedModel(release, folder, self._own)
        model.warm_up(release)
        return PreparedModel(model, release)

    def activate(self, prepared: PreparedModel) -> None:
        """Use the prepared model from the next call on."""
        self._active = prepared

    def reset(self) -> None:
        """Use the own model from the next call on."""
        self._active = self._own_prepared

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_own":  # copying reads attributes before `_own` is set
            raise AttributeError(name)
        model = self._own.model
        value = getattr(model, name)
        if name in self._own.methods and callable(value):
            return _traced_method(self, name, value)
        return _returning_runner(self, value) if getattr(value, "__self__", None) is model else value

    def __repr__(self) -> str:
        return f"MonitoredRunner(name={self.name!r}, release={self.release!r})"

    def _start_clock(self, active: PreparedModel) -> DeviceClock | None:
        """Start a clock on the model's GPU and return it; None if the model does not run on a GPU. Never raises."""
        if active.model.backend != "torch":
            return None
        try:
            return start_device_clock(self._own.parameter)
        except Exception:
            self._warn_once("%s: GPU time could not be measured", self.name, exc_info=True)
            return None

    def _record(
        self,
        prepared: PreparedModel,
        work: BatchRecord | Ledger,
        started_ns: int,
        clock: DeviceClock | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        fallback: FallbackReason | None,
    ) -> None:
        """Record the call on its request or batch. Never raises: the user's call must not fail because of it."""
        try:
            if clock is not None:
                clock.stop()
            call = ModelCall(
                started_ns=started_ns,
                ended_ns=time.monotonic_ns(),
                runner=self.name,
                backend=prepared.model.backend,
                precision=prepared.model.precision,
                release=prepared.release_name,
                method=method,
                rows=row_count(args, kwargs),
                fallback=fallback,
                clock=clock,
            )
            work.note_model_call(call)
        except Exception:
            self._warn_once("%s: a call could not be recorded", self.name, exc_info=True)

    def _warn_once(self, message: str, *values: object, exc_info: bool = False) -> None:
        if not self._has_warned:
            self._has_warned = True
            _logger.warning(message, *values, exc_info=exc_info)


def runners() -> dict[str, MonitoredRunner]:
    """Return the live runners of this process by name. Garbage-collected runners are not included."""
    return dict(_registry)


def read_model_structures() -> None:
    """Read the model structure of all runners of this process, before calls can change it."""
    for runner in runners().values():
        _ = runner.fingerprint


def release_fallbacks() -> dict[tuple[str, str, str], int]:
    """Return the number of calls that own models ran instead of a release, by runner, release and reason."""
    return {
        (name, release, reason): count
        for name, runner in runners().items()
        for (release, reason), count in runner.fallbacks.totals().items()
    }


def _register(runner: MonitoredRunner) -> None:
    if runner.name in _registry:
        gc.collect()  # a discarded service may hold its runner in a reference cycle
    if runner.name in _registry:
        raise ServiceError(
            f"This process already has a MonitoredRunner named {runner.name!r}: "
            'give each its own name, as in MonitoredRunner(model, name="reranker").'
        )
    _registry[runner.name] = runner


def _returning_runner(runner: MonitoredRunner, method: Any) -> Any:
    """Wrap a method so that it returns the runner where it would return the model, as `.eval()` and `.to()` do."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        return runner if result is method.__self__ else result

    return call


def _traced_method(runner: MonitoredRunner, name: str, method: Any) -> Any:
    """Wrap a method so that its calls go through the runner; a coroutine function stays a coroutine function."""
    run = runner._call  # noqa: SLF001
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await run(name, args, kwargs)

        return call_async

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        return run(name, args, kwargs)

    return call


def _require_free_names(methods: Sequence[str] | None) -> None:
    """Raise ServiceError if a method has the name of a runner attribute."""
    for name in methods or ():
        if hasattr(MonitoredRunner, name) or name in ("name", "fallbacks"):
            raise ServiceError(
                f"{name!r} is an attribute of MonitoredRunner, so it cannot be in `methods`: wrap the method itself, "
                f"as in MonitoredRunner(model.{name}), and call the runner."
            )
