"""In a folder of its own."""

from __future__ import annotations

import bentoml


@bentoml.service
class Nested:
    @bentoml.api
    def greet(self, name: str) -> str:
        return f"nested {name}"
