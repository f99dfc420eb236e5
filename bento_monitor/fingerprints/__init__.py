"""The fingerprint of a model: equal in every process that loads the same model, different for any other model."""

from .model_fingerprint import ModelFingerprint

__all__ = ["ModelFingerprint"]
