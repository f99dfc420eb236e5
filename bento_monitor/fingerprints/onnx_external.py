"""The names of the external files in which an ONNX file keeps tensors, wherever in the file a tensor may be.

The file is read in place rather than with the package onnx, which would hold it in memory twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .protobuf_fields import Message, NotProtobufError

# Message -> field number -> the message in that field. Source: onnx.proto of onnx 1.23.
_INNER_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_KEY, _VALUE = 1, 2


def read_external_names(path: Path) -> list[str]:
    """Return the names, each once, relative to the file's folder; none if the file is not protobuf, such as `.ort`.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        model = Message(lambda offset, length: os.pread(descriptor, length, offset), 0, size)
        return sorted({name for name in _names(model) if name})
    except NotProtobufError:
        return []
    finally:
        os.close(descriptor)


def _names(model: Message) -> Iterator[str]:
    pending = [("model", model)]
    while pending:
        kind, message = pending.pop()
        if kind == "tensor":
            yield _location(message)
            continue
        kinds = _INNER_MESSAGES[kind]
        pending += [
            (kinds[number], message.inner(start, end)) for number, start, end, _ in message.fields() if number in kinds
        ]


def _location(tensor: Message) -> str:
    """Return the name of the file with a tensor's values; empty if the tensor itself holds them."""
    location = ""
    is_external = False
    for number, start, end, value in tensor.fields():
        if number == _EXTERNAL_DATA:
            entry = tensor.inner(start, end)
            texts = {field: entry.text(first, last) for field, first, last, _ in entry.fields()}
            if texts.get(_KEY) == "location":
                location = texts.get(_VALUE, "")
        elif number == _DATA_LOCATION:
            is_external = value == _EXTERNAL
    return location if is_external else ""
