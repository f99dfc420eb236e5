"""Models with fixed weights, with a few milliseconds per call at a batch of 32; labels are their noised outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 2560


class Layers(nn.Module):
    """A multi-layer perceptron; the outputs are spread so that classes are about as frequent."""

    def __init__(self, inputs: int = 64, outputs: int = 4, *, width: int = WIDTH, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.head = nn.Linear(width, outputs)
        with torch.no_grad():
            self.head.weight.mul_(12)
            sample = self.logits(torch.randn(512, inputs))
            self.head.bias.sub_(sample.mean(0))

    def logits(self, x: Tensor) -> Tensor:
        """Return the raw outputs, `(n, outputs)`."""
        found: Tensor = self.head(self.layers(x))
        return found


class Wide(Layers):
    """Logits of four classes."""

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)


class Binary(Layers):
    """The probability of class 1, `(n,)`."""

    def __init__(self) -> None:
        super().__init__(outputs=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).squeeze(1).sigmoid()


class Classes(Layers):
    """Class ids."""

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).argmax(1)


class Tags(Layers):
    """Probabilities of four tags; a sample may have none."""

    def forward(self, x: Tensor) -> Tensor:
        return (self.logits(x) - 1).sigmoid()


class Value(Layers):
    """One number."""

    def __init__(self) -> None:
        super().__init__(outputs=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).squeeze(1)


class TwoInputs(Layers):
    """A model of two arrays, one of them integers."""

    def __init__(self) -> None:
        super().__init__(inputs=48)
        self.embedding = nn.Embedding(10, 16)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        return self.logits(torch.cat([x[:, :32], self.embedding(kind)], 1))


class AsDict(Layers):
    """Logits and probabilities by name."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.logits(x)
        return {"logits": logits, "probabilities": logits.softmax(1)}


@dataclass
class Scored:
    """The output of `AsDataclass`."""

    logits: Tensor
    best: Tensor


class AsDataclass(Layers):
    """A dataclass of tensors."""

    def forward(self, x: Tensor) -> Scored:
        logits = self.logits(x)
        return Scored(logits, logits.amax(1))


class Nested(Layers):
    """A tuple inside a tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        logits = self.logits(x)
        return logits, (logits.amax(1), logits.argmax(1))


class Loop(nn.Module):
    """A loop in Python, with a step for every 16 inputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.cell = nn.Linear(16 + WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 4)
        with torch.no_grad():
            self.head.weight.mul_(12)
            sample = self(torch.randn(512, 64))
            self.head.bias.sub_(sample.mean(0))

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.new_zeros(len(x), WIDTH)
        for part in x.chunk(4, dim=1):
            hidden = torch.tanh(self.cell(torch.cat([hidden, part], 1)))
        return self.head(hidden)


class RareBranch(Layers):
    """A branch that samples hardly ever take."""

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 1:
            return -self.logits(x)
        return self.logits(x)


class ForgottenNorm(Layers):
    """A model with a batch norm, left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(64)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.norm(x))


class AlwaysDropout(Layers):
    """`F.dropout` without `training=self.training`: random even in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(nn.functional.dropout(x))


class Convolutional(nn.Module):
    """A model of images of 32 by 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(
            nn.Conv2d(3, 48, 3, padding=1),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Conv2d(48, 96, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.head = nn.Linear(1536, 4)
        with torch.no_grad():
            sample = self.eval().head(self.body(torch.rand(256, 3, 32, 32)))
            self.head.weight.div_(sample.std(0).mean() / 2)
            sample = self.head(self.body(torch.rand(256, 3, 32, 32)))
            self.head.bias.sub_(sample.mean(0))

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image))


class Recurrent(nn.Module):
    """An LSTM or GRU over sequences of any length."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.embedding = nn.Embedding(50, 96)
        self.cells: Any = kind(96, 448, batch_first=True)
        self.head = nn.Linear(448, 4)
        with torch.no_grad():
            self.head.weight.mul_(30)

    def forward(self, ids: Tensor) -> Tensor:
        hidden, _ = self.cells(self.embedding(ids))
        return self.head(hidden[:, -1])


def answers_of(model: nn.Module, *inputs: Any, size: int = 256) -> Any:
    """Return the model's outputs, in batches."""
    tensors = [torch.as_tensor(value) for value in inputs]
    with torch.inference_mode():
        return [model(*(tensor[at : at + size] for tensor in tensors)) for at in range(0, len(tensors[0]), size)]
