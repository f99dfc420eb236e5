"""The no-op in FastAPI, with the input model that BentoML generates automatically."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Input(BaseModel):
    x: int


@app.post("/noop")
async def noop(body: Input) -> int:
    return body.x


@app.get("/readyz")
async def readyz() -> str:
    return "ready"
