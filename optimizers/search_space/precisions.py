"""The families of precisions of a study, and what rules have cut from them."""

from __future__ import annotations

from .facts import SpaceFacts
from .onnx_precisions import onnx_space
from .openvino_precisions import openvino_space
from .recipe import FamilySpace
from .torch_precisions import torch_space


def precision_space(facts: SpaceFacts) -> FamilySpace:
    """Return every family worth building for these facts, and what is cut and why."""
    return onnx_space(facts) + openvino_space(facts) + torch_space(facts)


def is_exact(precision: str) -> bool:
    """Whether a precision computes with unchanged weights."""
    return precision.partition("-")[0] == "fp32"
