"""The semantic-search example, which also returns the batches it was called with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bentoml
from served.pauses import note_pauses

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "semantic_search"


class NotingTokenizer:
    """A tokenizer that records its inputs; the example's function calls its tokenizer once per batch."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.batches: list[list[str]] = []

    def __call__(self, sentences: Sequence[str], **options: Any) -> Any:
        self.batches.append(list(sentences))
        return self.tokenizer(sentences, **options)


class NotedBatches:
    """A mixin in front of the example's class."""

    tokenizer: Any

    def __init__(self) -> None:
        super().__init__()
        note_pauses()
        self.tokenizer = NotingTokenizer(self.tokenizer)

    @bentoml.api
    def batches(self) -> list[list[str]]:
        """Return the batches since the last call. Runs in the only thread, so that no batch is half done."""
        noted, self.tokenizer.batches = self.tokenizer.batches, []
        return noted


def load_example(module: str) -> Any:
    """Return the service of one of the example's modules, its function unchanged."""
    sys.path.insert(0, str(EXAMPLE))
    service = importlib.import_module(module).SemanticSearch
    return bentoml.service(type("SemanticSearch", (NotedBatches, service.inner), {}))
