"""A plain BentoML service with an API for every kind of input, output and failure."""

from __future__ import annotations

import asyncio
import logging
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
import pandas as pd
from annotated_types import Ge, Le
from bentoml.exceptions import BentoMLException, InvalidArgument, NotFound
from bentoml.validators import DType, Shape
from opentelemetry import baggage, trace
from pydantic import BaseModel, Field, field_validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

LOGGER = logging.getLogger("bentoml.user")
SCRATCH: set[Path] = set()  # folders that requests got


def carried() -> dict[str, Any]:
    """Return the caller's context: baggage, and the trace id if the caller sent one."""
    trace_id = f"{trace.get_current_span().get_span_context().trace_id:032x}"
    return {"baggage": dict(baggage.get_all()), "trace": trace_id if trace_id.startswith("00" * 8) else "its own"}


async def mounted_item(request: Request) -> JSONResponse:
    body = await request.body()
    note(f"mounted {request.method} {request.url.path} {request.path_params}")
    seen = {name: request.headers.getlist(name) for name in ("x-given", "content-type", "baggage", "cookie")}
    return JSONResponse({"item": request.path_params, "query": str(request.query_params), "size": len(body), **seen})


async def mounted_failure(request: Request) -> JSONResponse:
    raise ERRORS[request.path_params["kind"]]


def wsgi_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain"), ("x-method", environ["REQUEST_METHOD"])])
    return [environ["PATH_INFO"].encode("latin-1"), environ.get("HTTP_X_GIVEN", "").encode("latin-1")]


MOUNTED = Starlette(
    routes=[
        Route("/items/{item:int}", mounted_item, methods=["GET", "POST", "PUT"]),
        Route("/fails/{kind}", mounted_failure),
        Mount("/deep/{name}", routes=[Route("/end", mounted_item)]),
    ]
)


class Item(BaseModel):
    name: str
    price: float = 1.0
    tags: list[str] = []

    @field_validator("name")
    @classmethod
    def name_is_short(cls, name: str) -> str:
        if len(name) > 20:
            raise ValueError("too long")
        return name


class Order(BaseModel):
    item: Item
    count: Annotated[int, Field(gt=0)] = 1
    note: str | None = None


class Refused(BentoMLException):
    error_code = HTTPStatus.FORBIDDEN


ERRORS: dict[str, Exception] = {
    "runtime": RuntimeError("a secret"),
    "value": ValueError("a secret"),
    "bentoml": BentoMLException("a secret"),
    "invalid": InvalidArgument("what was wrong"),
    "missing": NotFound("what is not there"),
    "refused": Refused("a secret"),
    "conflict": BentoMLException("in use", error_code=HTTPStatus.CONFLICT),
    "key": KeyError("a secret"),
}


def note(text: str) -> None:
    LOGGER.warning("user record: %s", text)


@bentoml.service(metrics={"enabled": True})
class Kinds:
    @bentoml.api
    async def scalars(self, a: int, b: float = 0.5, c: str = "x", d: bool = False) -> str:
        return f"{a} {b} {c} {d}"

    @bentoml.api
    def optional(self, x: int | None = None) -> int | None:
        return x

    @bentoml.api
    def number(self, x: float = Field(default=1.5, description="a default in a Field")) -> float:
        return x

    @bentoml.api
    def nested(self, order: Order) -> Order:
        return order

    @bentoml.api
    async def validated(self, x: Annotated[int, Ge(0), Le(100)], names: dict[str, int] | None = None) -> dict[str, Any]:
        return {"x": x, "names": names}

    @bentoml.api
    async def root_model(self, order: Order, /) -> Item:
        return order.item

    @bentoml.api
    async def root_text(self, text: str, /) -> str:
        return text.upper()

    @bentoml.api
    def root_list(self, xs: list[int], /) -> list[int]:
        return xs[::-1]

    @bentoml.api
    async def anything(self, x: Any = None) -> Any:
        return x

    @bentoml.api
    async def options(self, x: int = 0, **options: Any) -> dict[str, Any]:
        return {"x": x, **options}

    @bentoml.api
    def array(self, a: Annotated[np.ndarray, Shape((-1, 2)), DType("float32")]) -> np.ndarray:
        return a * 2

    @bentoml.api
    def frame(self, df: pd.DataFrame) -> pd.DataFrame:
        return df

    @bentoml.api
    async def raw_bytes(self, x: int = 3) -> bytes:
        return bytes(range(x % 256))

    @bentoml.api
    async def nothing(self) -> None:
        note("nothing")

    @bentoml.api
    async def not_a_number(self) -> list[float]:
        return [float("nan"), float("inf"), 1e-7, 1e300]

    @bentoml.api
    async def wrong_output(self, x: int = 0) -> int:
        return "no number"  # type: ignore[return-value]

    @bentoml.api
    async def context(self, x: int, ctx: bentoml.Context) -> int:
        ctx.response.status_code = 201 if x > 0 else 202
        ctx.response.headers["X-Seen"] = ctx.request.headers.get("x-given", "none")
        ctx.response.headers.append("X-Twice", "1")
        ctx.response.headers.append("X-Twice", "2")
        ctx.response.set_cookie("flavour", str(x % 3), httponly=True)
        ctx.response.background.add_task(note, f"background of {x}")
        scratch = Path(ctx.temp_dir)
        SCRATCH.add(scratch)
        (scratch / "scratch").write_text("given back after the answer")
        note(f"{ctx.request.method} {ctx.request.url.path} {dict(ctx.request.metadata).get('content-type')}")
        return x

    @bentoml.api
    def context_in_thread(self, x: int, ctx: bentoml.Context) -> dict[str, Any]:
        if x < 0:
            ctx.response.status_code = 418
            raise ValueError("after the status was set")
        return {"x": x, "query": dict(ctx.request.query_params)}

    @bentoml.api
    async def response(self, x: int = 0) -> Any:
        if x > 0:
            return JSONResponse({"x": x}, status_code=203, headers={"X-Own": "yes"})
        return Response(b"plain", media_type="text/plain")

    @bentoml.api
    async def raises(self, kind: str = "runtime") -> int:
        raise ERRORS.get(kind, ERRORS["runtime"])

    @bentoml.api
    def raises_in_thread(self, kind: str = "runtime") -> int:
        note(f"about to raise {kind}")
        raise ERRORS.get(kind, ERRORS["runtime"])

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        return [2 * x for x in xs]

    @bentoml.api(batchable=True)
    async def batched_array(self, a: np.ndarray) -> np.ndarray:
        return a + 1

    @bentoml.api(route="/elsewhere/deep")
    async def elsewhere(self, x: int = 1) -> int:
        return x

    @bentoml.api
    async def loaded(self) -> int:
        return int("bento_monitor" in sys.modules)

    @bentoml.api
    async def scratch_files(self) -> list[int]:
        return [len(SCRATCH), sum((folder / "scratch").exists() for folder in SCRATCH)]

    @bentoml.api(batchable=True)
    async def batched_with_context(self, xs: list[int], ctx: bentoml.Context) -> list[str]:
        ctx.response.status_code = 201
        await asyncio.sleep(0.05)  # so that further requests accumulate
        return [ctx.request.headers["x-given"] for _ in xs]

    @bentoml.api
    async def carried(self, x: int = 0) -> dict[str, Any]:
        return carried()

    @bentoml.api
    def carried_in_thread(self, x: int = 0) -> dict[str, Any]:
        return carried()

    @bentoml.api
    async def stream(self, x: int = 2) -> Any:
        for number in range(min(x, 5)):
            yield f"{number}\n"


Kinds.mount_asgi_app(MOUNTED, path="/mounted")
Kinds.mount_wsgi_app(wsgi_application, path="/wsgi")
