"""MonitoredRunner: the one place where a model is called, timed, and handed a new release while requests run."""

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
    """A model that is ready to be called; `release` is None where it is the user's own.

    `apis` are those that it answers; None in it stands for calls whose API cannot be told, and None in its place for
    all.
    """

    model: RunnableModel
    release: Release | None
    apis: frozenset[str | None] | None = None

    @property
    def release_name(self) -> str:
        """The release as spans name it."""
        return OWN_MODEL if self.release is None else self.release.name


class MonitoredRunner:
    """A model, called as before: the same arguments, the same output.

    A torch module, an ONNX file and a function are called themselves; an estimator (scikit-learn, XGBoost, LightGBM) by
    its `predict`, `predict_proba` and so on, any other object by the `methods` that are named.

    >>> class Encoder:
    ...     def encode(self, texts):
    ...         return [len(text) for text in texts]
    >>> MonitoredRunner(Encoder(), name="docs", methods=["encode"]).encode(["one", "three"])
    [3, 5]

    Each call is timed into the trace of the request, or of the batch, that it is made for. A release can take the
    model's place between two calls; calls that are running end on the model that they began with, which is freed after
    the last of them. A call that the release cannot take, or fails, is run by the model itself; `fallbacks` counts
    these. Attributes that a runner does not have are the wrapped model's.
    """

    def __init__(self, model: Any, *, name: str = "model", methods: Sequence[str] | None = None) -> None:
        """Wrap `model`: a torch module, the path of an ONNX file, which is loaded, an estimator, or what can be called.

        With `methods` these are the model calls, of any object; of an object that is no estimator no release is made.

        Raises:
            ServiceError: nothing of it can be called, or this process has a runner of that name.
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
            why = "the API cannot be told" if api is None else f"it does not govern {api}"
            return self._run_own(active, "api", why, work, method, args, kwargs)
        reason: FallbackReason = "error"
        try:
            return self._run(active, work, method, args, kwargs)
        except UnboundCallError as error:
            reason, why = error.reason, str(error)
        except Exception as error:
            why = type(error).__name__  # what it says may hold what the client has sent
        answer = self._run_own(active, reason, why, work, method, args, kwargs)
        if reason == "error":  # and the model itself has answered
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
        """Run a call that the release did not take by the model itself, whose error is then the caller's."""
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
        """The name of the release that runs now; None where it is the user's own model."""
        release = self._active.release
        return None if release is None else release.name

    @property
    def failures(self) -> Counter[str]:
        """How many calls each release failed that the model itself then answered."""
        return self.fallbacks.answered()

    @property
    def own_model(self) -> OwnModel:
        """The model that was wrapped, as a runner calls it."""
        return self._own

    @property
    def fingerprint(self) -> ModelFingerprint:
        """That of the wrapped model; its structure is read when this is first asked for."""
        if self._fingerprint is None:
            self._fingerprint = ModelFingerprint(self._own)
        return self._fingerprint

    def prepare(self, release: Release, folder: Path) -> PreparedModel:
        """Build and warm up `release`, whose files are in `folder`, while the model that runs now goes on.

        Raises:
            ReleaseError: it is for another runner, its artifact is not the one that was released, or it does not run.
        """
        if release.runner != self.name:
            raise ReleaseError(
                f"Release {release.name} is for the runner {release.runner!r}, not {self.name!r}.", "runner"
            )
        model = ReleasedModel(release, folder, self._own)
        model.warm_up(release)
        return PreparedModel(model, release)

    def activate(self, prepared: PreparedModel) -> None:
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
        if name in self._own.methods and callable(value):
            return _traced_method(self, name, value)
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
        prepared: PreparedModel,
        work: BatchRecord | Ledger,
        started_ns: int,
        clock: DeviceClock | None,
        method: str | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        fallback: FallbackReason | None,
    ) -> None:
        """Note the call for the request or the batch; never raises, for the user's call must not fail of it."""
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
    """The runners of this process by name; one that nothing refers to any more is gone from here too."""
    return dict(_registry)


def note_structures() -> None:
    """Read what calls may change of the models of this process's runners, before the first call."""
    for runner in runners().values():
        _ = runner.fingerprint


def release_fallbacks() -> dict[tuple[str, str, str], int]:
    """Calls of this process that an own model ran in a release's place: by runner, release and reason."""
    return {
        (name, release, reason): count
        for name, runner in runners().items()
        for (release, reason), count in runner.fallbacks.totals().items()
    }


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


def _traced_method(runner: MonitoredRunner, name: str, method: Any) -> Any:
    """The model's method as a call of the model; what is a coroutine function stays one."""
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
    """Raise ServiceError for a method whose name means something else on a runner."""
    for name in methods or ():
        if hasattr(MonitoredRunner, name) or name in ("name", "fallbacks"):
            raise ServiceError(
                f"MonitoredRunner has a {name!r} of its own, so it cannot be one of `methods`: wrap the method itself, "
                f"as in MonitoredRunner(model.{name}), and call the runner."
            )
