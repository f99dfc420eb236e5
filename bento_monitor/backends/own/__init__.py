"""The user's own model, executed as if nothing wrapped it; one module for each kind of model."""

from ._base import ModelKind, OwnModel
from .callable import OwnCallable
from .estimator import OwnEstimator
from .onnx_file import OwnOnnxFile
from .torch_module import OwnModule
from .wrapping import wrap_own_model

__all__ = ["ModelKind", "OwnCallable", "OwnEstimator", "OwnModel", "OwnModule", "OwnOnnxFile", "wrap_own_model"]
