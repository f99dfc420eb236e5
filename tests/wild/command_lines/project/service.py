"""A service with arguments, and one with its own port and host."""

from __future__ import annotations

from pathlib import Path

import bentoml
from pydantic import BaseModel


class Arguments(BaseModel):
    greeting: str = "hello"
    workers: int = 1


arguments = bentoml.use_arguments(Arguments)


@bentoml.service(workers=arguments.workers)
class Greeter:
    @bentoml.api
    def greet(self, name: str) -> str:
        return f"{arguments.greeting} {name} from {Path.cwd().name}"


@bentoml.service(http={"port": 17031, "host": "127.0.0.2"}, workers=2)
class Elsewhere:
    @bentoml.api
    def greet(self, name: str) -> str:
        return name
