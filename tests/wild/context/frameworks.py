"""Mounted applications with their own tracing: FastAPI's, Starlette's, and OpenTelemetry's instrumentations."""

from __future__ import annotations

from typing import Any

import bentoml
from fastapi import FastAPI
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from starlette.applications import Starlette
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware as StarlettesOwn
from starlette.responses import JSONResponse
from starlette.routing import Route

from bento_monitor import monitored


async def read(request: Any) -> JSONResponse:
    return JSONResponse({name: request.headers.get(name) for name in ("traceparent", "tracestate", "baggage")})


def application() -> Starlette:
    return Starlette(routes=[Route("/items/{item}", read)])


def fastapi(**options: Any) -> FastAPI:
    made = FastAPI(**options)
    made.add_api_route("/items/{item}", lambda item: {"item": item})
    return made


native = fastapi()
# Like FastAPI before 0.142, which had no tracing.
instrumented_fastapi = fastapi(telemetry={"tracing": False, "metrics": False, "logs": False})
FastAPIInstrumentor.instrument_app(instrumented_fastapi)
instrumented_starlette = application()
StarletteInstrumentor.instrument_app(instrumented_starlette)


@monitored
@bentoml.asgi_app(native, path="/fastapi")
@bentoml.asgi_app(instrumented_fastapi, path="/instrumented_fastapi")
@bentoml.asgi_app(instrumented_starlette, path="/instrumented_starlette")
@bentoml.asgi_app(OpenTelemetryMiddleware(application()), path="/instrumented_asgi")
@bentoml.asgi_app(StarlettesOwn(application()), path="/starlette")
@bentoml.asgi_app(application(), path="/plain")
@bentoml.service
class Frameworks:
    @bentoml.api
    def predict(self, x: int) -> int:
        return x
