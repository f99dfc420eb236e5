"""From the sound of utterances to their words: greedy decoding of a batch, with the cache of what was said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sound import SAMPLE_RATE_HZ, LogMel

START, NO_TIMESTAMPS, END = "<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>"
ENGLISH, ENGLISH_ONLY = ("<|en|>", "<|transcribe|>"), 51_864
# A text longer than fast speech is a loop of the model.
TOKENS_PER_SECOND, SPARE_TOKENS = 8, 8


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ids of the tokens that begin every text, and of the one that ends it; the ids above it are never chosen."""

    start: tuple[int, ...]
    end: int


def prompt_of(tokenizer: Tokenizer, vocabulary: int) -> Prompt:
    """Return the prompt: of the English-only models, without a language and a task."""
    names = (START, NO_TIMESTAMPS) if vocabulary == ENGLISH_ONLY else (START, *ENGLISH, NO_TIMESTAMPS)
    ids = [tokenizer.token_to_id(name) for name in (*names, END)]
    known = [each for each in ids if each is not None]
    if len(known) != len(ids):
        raise ValueError(f"The tokenizer has not all of the tokens {', '.join((*names, END))}.")
    return Prompt(tuple(known[:-1]), known[-1])


@dataclass(frozen=True, slots=True)
class Transcriber:
    """Turns sounds into texts with an encoder and a decoder, which may be monitored."""

    encoder: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    decoder: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    tokenizer: Tokenizer
    prompt: Prompt
    log_mel: LogMel

    def transcribe(self, sounds: Sequence[NDArray[np.float32]]) -> list[str]:
        """Return the text of each utterance: sound of 16 kHz, from -1 to 1."""
        longest_s = max(len(sound) for sound in sounds) / SAMPLE_RATE_HZ
        with torch.inference_mode():
            cross_keys, cross_values = self.encoder(self.log_mel(sounds))
            max_tokens = SPARE_TOKENS + int(TOKENS_PER_SECOND * longest_s)
            tokens = decode(self.decoder, self.prompt, cross_keys, cross_values, max_tokens)
        return [self.tokenizer.decode(each).strip() for each in tokens]


def decode(
    decoder: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    prompt: Prompt,
    cross_keys: torch.Tensor,
    cross_values: torch.Tensor,
    max_tokens: int,
) -> list[list[int]]:
    """Return the tokens of each utterance, by the likeliest token at each step.

    An utterance that has ended leaves the batch.
    """
    count, layers, heads, _, width = cross_keys.shape
    keys = values = torch.zeros(count, layers, heads, 0, width)
    found: list[list[int]] = [[] for _ in range(count)]
    rows = torch.arange(count)
    tokens = torch.full((count, 1), prompt.start[0])
    for step in range(1, len(prompt.start) + max_tokens):
        logits, keys, values = decoder(tokens, keys, values, cross_keys, cross_values)
        if step < len(prompt.start):
            tokens = torch.full((count, 1), prompt.start[step])
            continue
        # The first token is a word; the ids above the end's are languages, tasks and timestamps.
        chosen = logits[:, : prompt.end + (step > len(prompt.start))].argmax(dim=1)
        is_going = chosen != prompt.end
        for row, token in zip(rows[is_going].tolist(), chosen[is_going].tolist(), strict=True):
            found[row].append(token)
        if not is_going.any():
            break
        if not is_going.all():
            rows, chosen, keys, values = rows[is_going], chosen[is_going], keys[is_going], values[is_going]
            cross_keys, cross_values = cross_keys[is_going], cross_values[is_going]
        tokens = chosen[:, None]
    return found
