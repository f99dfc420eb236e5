"""Objects that belong to a process rather than to a model: only their type is hashed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
import logging
import mmap
import queue
import socket
import subprocess
import sys
import threading
import types
import typing
import weakref
from functools import lru_cache

_TYPES: tuple[type, ...] = (
    logging.Logger,
    logging.LoggerAdapter,
    logging.Handler,
    threading.Thread,
    threading.Event,
    threading.Condition,
    threading.Semaphore,
    threading.Barrier,
    threading.local,
    type(threading.Lock()),
    type(threading.RLock()),
    queue.Queue,
    queue.SimpleQueue,
    concurrent.futures.Executor,
    concurrent.futures.Future,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    asyncio.Lock,
    contextvars.Context,
    contextvars.ContextVar,
    contextvars.Token,
    io.IOBase,
    socket.socket,
    subprocess.Popen,
    mmap.mmap,
    memoryview,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
    types.GenericAlias,
    types.UnionType,
    typing.TypeVar,
    typing.ParamSpec,
    weakref.ReferenceType,
    weakref.WeakKeyDictionary,
    weakref.WeakValueDictionary,
    weakref.WeakSet,
    weakref.finalize,
)
_TORCH = ("device", "Generator", "cuda.Stream", "cuda.Event", "cuda.CUDAGraph", "Stream", "Event")
_NUMPY = frozenset({"Generator", "RandomState", "BitGenerator"})


def is_runtime_type(cls: type) -> bool:
    """Whether objects of this type belong to the process: locks, threads, loggers, files, generators, devices.

    Type annotations (`list[int]`, `Optional[str]`) and weak references count as such objects.
    """
    if issubclass(cls, (*_TYPES, *_torch_types())):
        return True
    module = str(getattr(cls, "__module__", ""))
    if module == "typing":
        return True
    return module.startswith("numpy.random") and any(base.__name__ in _NUMPY for base in cls.__mro__)


def _torch_types() -> tuple[type, ...]:
    return _find_torch_types() if "torch" in sys.modules else ()


@lru_cache(maxsize=1)
def _find_torch_types() -> tuple[type, ...]:
    import torch

    found: list[type] = []
    for dotted in _TORCH:
        at: object = torch
        for part in dotted.split("."):
            at = getattr(at, part, None)
        if isinstance(at, type):
            found.append(at)
    return tuple(found)
