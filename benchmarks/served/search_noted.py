"""The semantic-search example, which also tells in which batches it was called."""

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
    """Keeps what it is called with; the example's function calls its tokenizer once a batch."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.batches: list[list[str]] = []

    def __call__(self, sentences: Sequence[str], **options: Any) -> Any:
        self.batches.append(list(sentences))
        return self.tokenizer(sentences, **options)


class NotedBatches:
    """What is put before the example's class."""

    tokenizer: Any

    def __init__(self) -> None:
        super().__init__()
        note_pauses()
        self.tokenizer = NotingTokenizer(self.tokenizer)

    @bentoml.api
    def batches(self) -> list[list[str]]:
        """The batches since this was last called. In a thread: there is one, so none is half done."""
        noted, self.tokenizer.batches = self.tokenizer.batches, []
        return noted


def load_example(module: str) -> Any:
    """The service of a module of the example, its function untouched."""
    sys.path.insert(0, str(EXAMPLE))
    service = importlib.import_module(module).SemanticSearch
    return bentoml.service(type("SemanticSearch", (NotedBatches, service.inner), {}))
