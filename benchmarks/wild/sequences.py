"""Models of images, of sequences of varying length and of text."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import bentoml
import models
import numpy as np
import torch
from PIL import Image
from PIL.Image import Image as PILImage
from situation import Situation, noisy, save, save_lines

from bento_monitor import MonitoredRunner, monitored


def bert() -> Any:
    """Return a DistilBERT with four classes and random weights; it returns a `ModelOutput`."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(3)
    size: Any = {"dim": 192, "hidden_dim": 768, "n_layers": 3, "n_heads": 6, "num_labels": 4}
    model: Any = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=2000, **size))
    model.eval()
    with torch.no_grad():
        model.classifier.weight.mul_(60)
        ids = torch.randint(2, 2000, (128, 16))
        model.classifier.bias.sub_(model(input_ids=ids).logits.mean(0))
    return model


def padded(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of texts, one id per word."""
    words = [[2 + sum(map(ord, word)) * 31 % 1990 for word in text.split()] for text in texts]
    width = max(map(len, words))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in words])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in words])
    return ids, mask


@monitored
@bentoml.service
class Bert:
    def __init__(self) -> None:
        self.model = MonitoredRunner(bert())

    @bentoml.api(batchable=True)
    def classify(self, texts: list[str]) -> np.ndarray:
        ids, mask = padded(texts)
        with torch.inference_mode():
            return self.model(input_ids=ids, attention_mask=mask).logits.numpy()


@monitored
@bentoml.service
class OneText:
    def __init__(self) -> None:
        self.model = MonitoredRunner(bert())

    @bentoml.api
    def classify(self, text: str) -> int:
        ids, mask = padded([text])
        with torch.inference_mode():
            return int(self.model(input_ids=ids, attention_mask=mask).logits.argmax())


@monitored
@bentoml.service
class Cnn:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Convolutional().eval())

    @bentoml.api(batchable=True)
    def classify(self, image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.as_tensor(image, dtype=torch.float32)).numpy()


@monitored
@bentoml.service
class Picture:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Convolutional().eval())

    @bentoml.api
    def classify(self, picture: PILImage) -> list[float]:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
        with torch.inference_mode():
            return self.model(torch.as_tensor(pixels[None]))[0].tolist()


@monitored
@bentoml.service
class Lstm:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Recurrent(torch.nn.LSTM).eval())

    @bentoml.api
    def classify(self, ids: list[int]) -> list[float]:
        with torch.inference_mode():
            return self.model(torch.tensor([ids]))[0].tolist()


@monitored
@bentoml.service
class Gru:
    def __init__(self) -> None:
        self.model = MonitoredRunner(models.Recurrent(torch.nn.GRU).eval())

    @bentoml.api(batchable=True)
    def classify(self, ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.model(torch.as_tensor(ids, dtype=torch.int64)).numpy()


def _images(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


def _image_labels(images: np.ndarray, seed: int) -> np.ndarray:
    x = images.astype(np.float32) / 255
    classes = torch.cat(models.answers_of(models.Convolutional().eval(), x)).argmax(1).numpy()
    return noisy(classes, seed)


def _arrays(folder: Path, count: int, seed: int) -> Path:
    images = _images(count, seed)
    return save(folder, image=images.astype(np.float32) / 255, labels=_image_labels(images, seed))


def _files(folder: Path, count: int, seed: int) -> Path:
    images = _images(count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,label"]
    for index, label in enumerate(_image_labels(images, seed).tolist()):
        buffer = io.BytesIO()
        Image.fromarray(images[index].transpose(1, 2, 0)).save(buffer, format="PNG")
        (folder / f"{index}.png").write_bytes(buffer.getvalue())
        lines.append(f"{index}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def _sequences(folder: Path, count: int, seed: int) -> Path:
    generator = np.random.default_rng(seed)
    model = models.Recurrent(torch.nn.LSTM).eval()
    rows = [generator.integers(0, 50, int(length)).tolist() for length in generator.integers(8, 40, count)]
    with torch.inference_mode():
        classes = np.array([int(model(torch.tensor([row])).argmax()) for row in rows])
    return save_lines(folder, [{"ids": row} for row in rows], noisy(classes, seed).tolist())


def _rectangular(folder: Path, count: int, seed: int) -> Path:
    ids = np.random.default_rng(seed).integers(0, 50, (count, 24))
    classes = torch.cat(models.answers_of(models.Recurrent(torch.nn.GRU).eval(), ids)).argmax(1).numpy()
    return save(folder, ids=ids, labels=noisy(classes, seed))


def _texts(count: int, seed: int) -> tuple[list[str], list[int]]:
    generator = np.random.default_rng(seed)
    words = np.array([f"w{index}" for index in range(500)])
    texts = [" ".join(generator.choice(words, int(length))) for length in generator.integers(4, 40, count)]
    model, classes = bert(), []
    with torch.inference_mode():
        for at in range(0, count, 64):
            ids, mask = padded(texts[at : at + 64])
            classes += model(input_ids=ids, attention_mask=mask).logits.argmax(1).tolist()
    return texts, noisy(np.array(classes), seed).tolist()


def _batched_texts(folder: Path, count: int, seed: int) -> Path:
    texts, labels = _texts(count, seed)
    return save(folder, texts=np.array(texts), labels=np.array(labels))


def _lone_texts(folder: Path, count: int, seed: int) -> Path:
    texts, labels = _texts(count, seed)
    return save_lines(folder, [{"text": text} for text in texts], labels)


SITUATIONS = [
    Situation("cnn", "sequences:Cnn", "accuracy", _arrays),
    Situation("image", "sequences:Picture", "accuracy", _files),
    Situation("distilbert_like", "sequences:Bert", "accuracy", _batched_texts),
    Situation("not_batchable_text", "sequences:OneText", "accuracy", _lone_texts),
    Situation("lstm", "sequences:Lstm", "accuracy", _sequences),
    Situation("gru", "sequences:Gru", "accuracy", _rectangular),
]
