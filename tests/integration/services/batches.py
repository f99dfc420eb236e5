"""Batchable APIs that hold their batches until the test opens a gate, so that further requests accumulate."""

import os
import time
from pathlib import Path

import bentoml

from bento_monitor import isolate_failures, monitored

FOLDER = Path(os.environ["BATCHES_FOLDER"])


def note(line: str) -> None:
    with (FOLDER / "notes").open("a") as notes:
        notes.write(line + "\n")


def hold(name: str) -> None:
    (FOLDER / f"{name}.entered").touch()
    while not (FOLDER / f"{name}.open").exists():
        time.sleep(0.01)


@monitored
@bentoml.service(threads=2, traffic={"timeout": 3})
class Batches:
    @bentoml.api(batchable=True)
    def greet(self, names: list[str], ctx: bentoml.Context) -> list[str]:
        note(f"greet {len(names)}")
        hold("greet")
        tone = ctx.request.headers["x-tone"]
        ctx.response.status_code = 201
        ctx.response.headers["x-greeted-in"] = tone
        ctx.response.set_cookie("tone", tone)
        ctx.response.background.add_task(note, f"after {tone}")
        return [f"{tone} {name}" for name in names]

    @isolate_failures
    @bentoml.api(batchable=True)
    def isolated(self, xs: list[int]) -> list[int]:
        return self._refuse_13("isolated", xs)

    @bentoml.api(batchable=True)
    def whole(self, xs: list[int]) -> list[int]:
        return self._refuse_13("whole", xs)

    @bentoml.api(batchable=True)
    def rows(self, xs: list[int]) -> list[int]:
        hold("rows")
        return [ValueError("13") if x == 13 else 2 * x for x in xs]

    @bentoml.api(batchable=True)
    def both(self, xs: list[int]) -> list[int]:
        note(f"both {sorted(xs)}")
        while not (FOLDER / "both.open").exists():
            time.sleep(0.01)
        return xs

    def _refuse_13(self, name: str, xs: list[int]) -> list[int]:
        hold(name)
        if 13 in xs:
            raise ValueError("13")
        return [2 * x for x in xs]
