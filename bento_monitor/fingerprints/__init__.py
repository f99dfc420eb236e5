"""The fingerprint of a model: the same in every process that loads the same model, another for any other model."""

from .model_fingerprint import ModelFingerprint

__all__ = ["ModelFingerprint"]
