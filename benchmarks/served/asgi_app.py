"""The models behind uvicorn and nothing else: no framework, no checks, no access log, no metrics.

Its cost on top of the model is the cost of any server on uvicorn: `python -m uvicorn served.asgi_app:app`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from served.work import compute, computed

from bento_monitor.request.function_threads import FunctionThreads

_CPU_S = {"/model_1ms": 0.001, "/model_5ms": 0.005}
_THREADS = FunctionThreads(1)


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        raise RuntimeError("This application has no lifespan.")
    answer = b""
    if scope["path"] in _CPU_S:
        message = await receive()
        x = json.loads(message["body"])["x"]
        answer = json.dumps(await _THREADS.run(compute, x, _CPU_S[scope["path"]])).encode()
    elif scope["path"] == "/calls":
        answer = json.dumps(await _THREADS.run(computed)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
