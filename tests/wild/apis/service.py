"""APIs of every shape that users write, each around one of two small models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
import pandas as pd
import pydantic
import torch
from bentoml.validators import DataframeSchema
from PIL.Image import Image as PILImage

from bento_monitor import MonitoredRunner, monitored


class Loan(pydantic.BaseModel):
    amount: float
    term: int = 3


class Verdict(pydantic.BaseModel):
    label: str
    probability: float


class Pooled(torch.nn.Module):
    """A model of any number of features."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        torch.nn.init.eye_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.stack([x.mean(1), x.amax(1)], dim=1))


class Fixed(torch.nn.Module):
    """A model of exactly two features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).softmax(1)


@monitored
@bentoml.service
class Apis:
    def __init__(self) -> None:
        self.pooled = MonitoredRunner(Pooled().eval(), name="pooled")
        self.fixed = MonitoredRunner(Fixed().eval(), name="fixed")

    @bentoml.api
    def alone(self, x: np.ndarray) -> np.ndarray:
        return self._pooled(x)

    @bentoml.api
    def alone_row(self, x: list[float]) -> list[float]:
        return self._pooled([x])[0].tolist()

    @bentoml.api(batchable=True, max_batch_size=3)
    def batch(self, x: np.ndarray) -> np.ndarray:
        assert len(x) <= 3, "more than max_batch_size"
        return self._pooled(x)

    @bentoml.api
    def several(self, text: str, x: list[float], scale: float = 1.0) -> dict[str, Any]:
        score = self._fixed([[len(text), scale]])[0, 1]
        return {"label": ["no", "yes"][int(score > 0.5)], "score": float(score) + 0 * len(x)}

    @bentoml.api(batchable=True)
    def loans(self, loans: list[Loan]) -> list[Verdict]:
        scores = self._fixed([[loan.amount, loan.term] for loan in loans])[:, 1]
        return [Verdict(label="good" if score > 0.5 else "bad", probability=score) for score in scores.tolist()]

    @bentoml.api(batchable=True)
    def frame(self, df: Annotated[pd.DataFrame, DataframeSchema(columns=["u", "v"])]) -> np.ndarray:
        return self._fixed(df[["u", "v"]].to_numpy(dtype=np.float32))

    @bentoml.api
    def image(self, image: PILImage) -> list[float]:
        return self._pooled(np.asarray(image.convert("L"), dtype=np.float32).reshape(1, -1) / 255)[0].tolist()

    @bentoml.api
    def upload(self, document: Path, scale: float = 1.0) -> str:
        return "long" if self._fixed([[len(document.read_bytes()), scale]])[0, 0] > 0.5 else "short"

    @bentoml.api
    def whole(self, loan: Loan, /) -> float:
        return float(self._fixed([[loan.amount, loan.term]])[0, 0])

    @bentoml.api(batchable=True)
    async def texts(self, texts: list[str], ctx: bentoml.Context) -> list[str]:
        assert ctx.request is not None
        return [str(int(row.argmax())) for row in self._fixed([[len(text), 1.0] for text in texts])]

    @bentoml.api
    def changes_its_input(self, x: np.ndarray) -> np.ndarray:
        x -= 1
        return self._pooled(x)

    @bentoml.api
    def two_models(self, x: np.ndarray) -> np.ndarray:
        return self._pooled(self._fixed(self._pooled(x)))

    @bentoml.api
    def sets_a_status(self, x: np.ndarray, ctx: bentoml.Context) -> np.ndarray:
        ctx.response.status_code = 422 if x[0, 0] > 1 else 200
        return self._pooled(x)

    @bentoml.api
    def exits(self, x: np.ndarray) -> np.ndarray:
        raise SystemExit(3)

    @bentoml.api
    def stream(self, x: np.ndarray) -> Any:
        yield "a"

    @bentoml.api
    def picture(self, x: np.ndarray) -> PILImage:
        import PIL.Image

        self._pooled(x)
        return PIL.Image.new("L", (2, 2))

    def _pooled(self, x: Any) -> np.ndarray:
        with torch.inference_mode():
            return self.pooled(torch.as_tensor(np.asarray(x), dtype=torch.float32)).numpy()

    def _fixed(self, x: Any) -> np.ndarray:
        with torch.inference_mode():
            return self.fixed(torch.as_tensor(np.asarray(x), dtype=torch.float32)).numpy()
