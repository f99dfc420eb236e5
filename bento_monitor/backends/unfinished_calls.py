"""Calls that return before they compute: those of an `async def`, or of a function with `yield`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

_UNFINISHED = (CoroutineType, GeneratorType, AsyncGeneratorType)


def is_unfinished(answer: object) -> bool:
    """Whether `answer` computes only when it is awaited or iterated."""
    return isinstance(answer, _UNFINISHED)


def until_finished(answer: Any, finished: Callable[[], None]) -> Any:
    """Return the same kind of answer, which calls `finished` once it has ended, failed or been discarded."""
    if isinstance(answer, CoroutineType):
        return _awaited(answer, finished)
    return _stream(answer, finished) if isinstance(answer, GeneratorType) else _async_stream(answer, finished)


async def _awaited(answer: Coroutine[Any, Any, Any], finished: Callable[[], None]) -> Any:
    try:
        return await answer
    finally:
        finished()


def _stream(answer: Generator[Any, Any, Any], finished: Callable[[], None]) -> Generator[Any, Any, Any]:
    try:
        return (yield from answer)
    finally:
        finished()


async def _async_stream(answer: AsyncGenerator[Any, Any], finished: Callable[[], None]) -> AsyncGenerator[Any, Any]:
    try:
        async for item in answer:
            yield item
    finally:
        await answer.aclose()
        finished()
