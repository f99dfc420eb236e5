"""Legacy runners (`bentoml.Runner`): each call is recorded, whether it runs in this process or in a runner process."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from ..hooks import is_supported
from .runner_calls import RunnerCall


class MonitoredRunnerMixin:
    """Marks the classes that `watch_runner` makes; BentoML sets the handle that a runner calls with `_set_handle`."""

    def _set_handle(self, handle_class: Any, *args: Any, **kwargs: Any) -> None:
        super()._set_handle(handle_class, *args, **kwargs)  # type: ignore[misc]
        _watch_handle(self)


def watch_runner(runner: Any) -> None:
    """Make a runner record its calls from now on; idempotent.

    Raises:
        TypeError: `runner` is not a BentoML runner.
    """
    from bentoml._internal.runner import Runner

    if not isinstance(runner, Runner):
        raise TypeError(f"monitored_runner() takes a bentoml.legacy.Runner, not {type(runner).__name__}.")
    if isinstance(runner, MonitoredRunnerMixin):
        return
    own: Any = type(runner)
    # Runners are frozen, so a plain assignment would fail.
    object.__setattr__(runner, "__class__", type(f"Monitored{own.__name__}", (MonitoredRunnerMixin, own), {}))
    _watch_handle(runner)


def _watch_handle(runner: Any) -> None:
    if not is_supported("legacy_runner"):
        return
    from bentoml._internal.runner.runner_handle.local import LocalRunnerRef
    from bentoml._internal.runner.runner_handle.remote import RemoteRunnerClient

    handle = runner._runner_handle
    if type(handle) is LocalRunnerRef and not isinstance(handle._runnable, _TimedRunnable):
        timed: Any = _TimedRunnable(handle._runnable, runner)
        handle._runnable = timed
    elif type(handle) is RemoteRunnerClient:
        object.__setattr__(runner, "_runner_handle", _TracedHandle(handle, runner.name))


class _TimedRunnable:
    """The user's runnable; each method call is timed where it runs, except streams and coroutines."""

    def __init__(self, own: Any, runner: Any) -> None:
        self._own = own
        self._runner = runner.name
        self._timed = {method.name for method in runner.runner_methods if not method.config.is_stream}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._own, name)
        if name not in self._timed or inspect.iscoroutinefunction(value):
            return value
        return functools.partial(self._call, value)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with RunnerCall(self._runner, args, kwargs, is_remote=False).noted():
            return method(*args, **kwargs)


class _TracedHandle:
    """BentoML's client of a runner process; each call has a span that continues in that process."""

    def __init__(self, own: Any, runner: str) -> None:
        self._own = own
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def run_method(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        with RunnerCall(self._runner, args, kwargs, is_remote=True).noted():
            return self._own.run_method(method, *args, **kwargs)

    async def async_run_method(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        with RunnerCall(self._runner, args, kwargs, is_remote=True).noted():
            return await self._own.async_run_method(method, *args, **kwargs)

    async def async_stream_method(self, method: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call = RunnerCall(self._runner, args, kwargs, is_remote=True)
        error_type = None
        items = self._own.async_stream_method(method, *args, **kwargs)
        try:
            # The first step sends the request; each step runs in the context of the code that asks for it.
            with call.context():
                first = await anext(items, None)
            if first is not None:
                yield first
                async for item in items:
                    yield item
        except Exception as error:
            error_type = type(error).__qualname__
            raise
        finally:
            call.end(error_type)
            await items.aclose()
