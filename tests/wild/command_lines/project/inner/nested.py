"""A service in a subfolder."""

from __future__ import annotations

import bentoml


@bentoml.service
class Nested:
    @bentoml.api
    def greet(self, name: str) -> str:
        return f"nested {name}"
