"""A sentence-embedding service: texts in, one vector of length 1 for each out."""

from __future__ import annotations

import bentoml
import numpy as np
import torch
from bento_monitor import MonitoredRunner, monitored

from model import MAX_TOKENS, load_encoder, load_tokenizer


@monitored
@bentoml.service
class SemanticSearch:
    """Embeds English sentences, so that those close in meaning are close in angle."""

    def __init__(self) -> None:
        self.tokenizer = load_tokenizer()
        self.model = MonitoredRunner(load_encoder())

    @bentoml.api(batchable=True)
    def embed(self, sentences: list[str]) -> np.ndarray:
        """Embed each sentence: `(n,)` texts -> `(n, 384)` float32."""
        tokens = self.tokenizer(sentences, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            vectors = self.model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return vectors.numpy()
