"""A service of BentoML's former API: handwritten digits, read by a runner in a process of its own."""

from __future__ import annotations

from typing import Any

import bentoml
import numpy as np
from bento_monitor import monitored
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression


class DigitReader(bentoml.legacy.Runnable):
    """Reads digits of 8 x 8 pixels by logistic regression, fitted when the runner starts."""

    SUPPORTED_RESOURCES = ("cpu",)
    SUPPORTS_CPU_MULTI_THREADING = True

    def __init__(self) -> None:
        pixels, digits = load_digits(return_X_y=True)
        self.model = LogisticRegression(max_iter=1000).fit(pixels / 16, digits)

    @bentoml.legacy.Runnable.method(batchable=True, batch_dim=0)
    def read(self, images: np.ndarray) -> np.ndarray:
        """Return the digits `(n,)` of images `(n, 64)`, whose pixels are from 0 to 1."""
        return np.asarray(self.model.predict(images))


reader = bentoml.legacy.Runner(DigitReader, name="digit_reader")
svc = monitored(bentoml.legacy.Service("legacy_digits", runners=[reader]))


@svc.api(input=bentoml.io.NumpyNdarray(), output=bentoml.io.NumpyNdarray())
async def classify(images: np.ndarray) -> np.ndarray:
    """Return the digits `(n,)` of images `(n, 64)`."""
    read: Any = reader.read
    return np.asarray(await read.async_run(images))
