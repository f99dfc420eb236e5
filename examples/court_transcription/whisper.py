"""Whisper as two torch modules, with weights in CTranslate2's format: an encoder of sound and a decoder of text.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022. The modules follow the paper's
published model; a decoder takes one token for each utterance and the cache of what it computed before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Layers, heads and widths of a model."""

    layers: int
    heads: int
    width: int
    mels: int
    vocabulary: int
    max_tokens: int
    max_positions: int


class Attention(torch.nn.Module):
    """Attention of `heads` heads; keys and values are computed apart, so that they can be kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = torch.nn.Linear(width, width)
        self.key = torch.nn.Linear(width, width, bias=False)
        self.value = torch.nn.Linear(width, width)
        self.out = torch.nn.Linear(width, width)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """`(n, t, width)` -> `(n, heads, t, width / heads)`."""
        n, t, width = x.shape
        return x.view(n, t, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attend from `x` `(n, t, width)` to keys and values `(n, heads, s, width / heads)`."""
        mixed = functional.scaled_dot_product_attention(self.split(self.query(x)), keys, values)
        answer: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return answer


class EncoderLayer(torch.nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention_norm = torch.nn.LayerNorm(sizes.width)
        self.attention = Attention(sizes.width, sizes.heads)
        self.feed_norm = torch.nn.LayerNorm(sizes.width)
        self.feed_in = torch.nn.Linear(sizes.width, 4 * sizes.width)
        self.feed_out = torch.nn.Linear(4 * sizes.width, sizes.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.attention_norm(x)
        attention = self.attention
        x = x + attention(normed, attention.split(attention.key(normed)), attention.split(attention.value(normed)))
        answer: torch.Tensor = x + self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x))))
        return answer


class Encoder(torch.nn.Module):
    """Log-mel spectra `(n, mels, frames)` -> states `(n, frames / 2, width)`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv1d(sizes.mels, sizes.width, 3, padding=1)
        self.conv2 = torch.nn.Conv1d(sizes.width, sizes.width, 3, stride=2, padding=1)
        self.positions = torch.nn.Parameter(torch.zeros(sizes.max_positions, sizes.width))
        self.layers = torch.nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = torch.nn.LayerNorm(sizes.width)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = functional.gelu(self.conv1(mel))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        states: torch.Tensor = self.norm(x)
        return states


class DecoderLayer(torch.nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.self_norm = torch.nn.LayerNorm(sizes.width)
        self.self_attention = Attention(sizes.width, sizes.heads)
        self.cross_norm = torch.nn.LayerNorm(sizes.width)
        self.cross_attention = Attention(sizes.width, sizes.heads)
        self.feed_norm = torch.nn.LayerNorm(sizes.width)
        self.feed_in = torch.nn.Linear(sizes.width, 4 * sizes.width)
        self.feed_out = torch.nn.Linear(4 * sizes.width, sizes.width)

    def forward(
        self,
        x: torch.Tensor,
        past_keys: torch.Tensor,
        past_values: torch.Tensor,
        cross_keys: torch.Tensor,
        cross_values: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the states of one new token, and the keys and values of all tokens until it."""
        attention = self.self_attention
        normed = self.self_norm(x)
        keys = torch.cat([past_keys, attention.split(attention.key(normed))], dim=2)
        values = torch.cat([past_values, attention.split(attention.value(normed))], dim=2)
        x = x + attention(normed, keys, values)
        x = x + self.cross_attention(self.cross_norm(x), cross_keys, cross_values)
        x = x + self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x))))
        return x, keys, values


class Decoder(torch.nn.Module):
    """One step of decoding, for n utterances.

    The cache of an utterance comes first along the batch: `(n, layers, heads, t, width / heads)`.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = torch.nn.Parameter(torch.zeros(sizes.max_tokens, sizes.width))
        self.layers = torch.nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.layers))
        self.norm = torch.nn.LayerNorm(sizes.width)

    def forward(
        self,
        tokens: torch.Tensor,
        past_keys: torch.Tensor,
        past_values: torch.Tensor,
        cross_keys: torch.Tensor,
        cross_values: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the logits `(n, vocabulary)` after `tokens` `(n, 1)`, and the cache that includes them."""
        step = past_keys.shape[3]
        x = self.embedding(tokens) + self.positions[step : step + 1]
        keys, values = [], []
        for number, layer in enumerate(self.layers):
            x, own_keys, own_values = layer(
                x,
                past_keys[:, number],
                past_values[:, number],
                cross_keys[:, number],
                cross_values[:, number],
            )
            keys.append(own_keys)
            values.append(own_values)
        logits = functional.linear(self.norm(x)[:, 0], self.embedding.weight)
        return logits, torch.stack(keys, dim=1), torch.stack(values, dim=1)


class CrossCache(torch.nn.Module):
    """Encoded sound `(n, s, width)` -> the keys and values that each layer of the decoder attends to.

    It shares its weights with the decoder's layers.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        attentions = [layer.cross_attention for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.attentions = torch.nn.ModuleList(attentions)

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        attentions = [each for each in self.attentions if isinstance(each, Attention)]
        keys = [each.split(each.key(states)) for each in attentions]
        values = [each.split(each.value(states)) for each in attentions]
        return torch.stack(keys, dim=1), torch.stack(values, dim=1)


class SpeechEncoder(torch.nn.Module):
    """Log-mel spectra `(n, mels, frames)` -> keys and values of the decoder's attention to the sound."""

    def __init__(self, encoder: Encoder, cross: CrossCache) -> None:
        super().__init__()
        self.encoder = encoder
        self.cross = cross

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self.cross(self.encoder(mel))
        return keys, values


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a CTranslate2 `model.bin`."""
    data = path.read_bytes()
    place = 4  # after the version of the format

    def take(form: str) -> int:
        nonlocal place
        value: int = struct.unpack_from("<" + form, data, place)[0]
        place += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal place
        length = take("H")
        found = data[place : place + length].rstrip(b"\0").decode()
        place += length
        return found

    text()  # the name of the model's kind
    take("I")
    found: dict[str, np.ndarray] = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(_DTYPES[take("B")])
        size = take("I")
        found[name] = np.frombuffer(data, dtype, size // dtype.itemsize, place).reshape(shape)
        place += size
    return found


def load_whisper(path: Path) -> tuple[SpeechEncoder, Decoder, Sizes]:
    """Return encoder and decoder in float32 and evaluation mode, with the weights of a CTranslate2 `model.bin`."""
    raw = read_variables(path)
    arrays = {
        name: torch.from_numpy(value.astype(np.float32)) for name, value in raw.items() if value.dtype.kind == "f"
    }
    conv = arrays["encoder/conv1/weight"]
    embedding = arrays["decoder/embeddings/weight"]
    sizes = Sizes(
        layers=sum(name.startswith("decoder/layer_") and name.endswith("ffn/linear_0/weight") for name in arrays),
        heads=int(raw["encoder/num_heads"].reshape(-1)[0]),
        width=conv.shape[0],
        mels=conv.shape[1],
        vocabulary=embedding.shape[0],
        max_tokens=arrays["decoder/position_encodings/encodings"].shape[0],
        max_positions=arrays["encoder/position_encodings/encodings"].shape[0],
    )
    encoder, decoder = Encoder(sizes), Decoder(sizes)
    _load(encoder, _encoder_state(arrays, sizes))
    _load(decoder, _decoder_state(arrays, sizes))
    return SpeechEncoder(encoder, CrossCache(decoder)).eval(), decoder.eval(), sizes


def _load(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    module.load_state_dict(state)
    module.requires_grad_(requires_grad=False)


def _pair(arrays: dict[str, torch.Tensor], source: str, target: str) -> dict[str, torch.Tensor]:
    names = {"gamma": "weight", "beta": "bias", "weight": "weight", "bias": "bias"}
    return {f"{target}.{to}": arrays[f"{source}/{name}"] for name, to in names.items() if f"{source}/{name}" in arrays}


def _split_rows(
    arrays: dict[str, torch.Tensor], source: str, target: str, parts: tuple[str, ...]
) -> dict[str, torch.Tensor]:
    """Split a stacked layer into its parts; the key has no bias."""
    found = {}
    for name in ("weight", "bias"):
        for part, rows in zip(parts, arrays[f"{source}/{name}"].chunk(len(parts)), strict=True):
            if (part, name) != ("key", "bias"):
                found[f"{target}.{part}.{name}"] = rows
    return found


def _feed_forward(arrays: dict[str, torch.Tensor], source: str, target: str) -> dict[str, torch.Tensor]:
    return {
        **_pair(arrays, f"{source}/ffn/layer_norm", f"{target}.feed_norm"),
        **_pair(arrays, f"{source}/ffn/linear_0", f"{target}.feed_in"),
        **_pair(arrays, f"{source}/ffn/linear_1", f"{target}.feed_out"),
    }


def _encoder_state(arrays: dict[str, torch.Tensor], sizes: Sizes) -> dict[str, torch.Tensor]:
    state = {
        "positions": arrays["encoder/position_encodings/encodings"],
        **_pair(arrays, "encoder/conv1", "conv1"),
        **_pair(arrays, "encoder/conv2", "conv2"),
        **_pair(arrays, "encoder/layer_norm", "norm"),
    }
    for number in range(sizes.layers):
        source, target = f"encoder/layer_{number}", f"layers.{number}"
        state |= _pair(arrays, f"{source}/self_attention/layer_norm", f"{target}.attention_norm")
        parts = ("query", "key", "value")
        state |= _split_rows(arrays, f"{source}/self_attention/linear_0", f"{target}.attention", parts)
        state |= _pair(arrays, f"{source}/self_attention/linear_1", f"{target}.attention.out")
        state |= _feed_forward(arrays, source, target)
    return state


def _decoder_state(arrays: dict[str, torch.Tensor], sizes: Sizes) -> dict[str, torch.Tensor]:
    state = {
        "positions": arrays["decoder/position_encodings/encodings"],
        "embedding.weight": arrays["decoder/embeddings/weight"],
        **_pair(arrays, "decoder/layer_norm", "norm"),
    }
    for number in range(sizes.layers):
        source, target = f"decoder/layer_{number}", f"layers.{number}"
        state |= _pair(arrays, f"{source}/self_attention/layer_norm", f"{target}.self_norm")
        parts = ("query", "key", "value")
        state |= _split_rows(arrays, f"{source}/self_attention/linear_0", f"{target}.self_attention", parts)
        state |= _pair(arrays, f"{source}/self_attention/linear_1", f"{target}.self_attention.out")
        state |= _pair(arrays, f"{source}/attention/layer_norm", f"{target}.cross_norm")
        state |= _pair(arrays, f"{source}/attention/linear_0", f"{target}.cross_attention.query")
        state |= _split_rows(arrays, f"{source}/attention/linear_1", f"{target}.cross_attention", ("key", "value"))
        state |= _pair(arrays, f"{source}/attention/linear_2", f"{target}.cross_attention.out")
        state |= _feed_forward(arrays, source, target)
    return state
