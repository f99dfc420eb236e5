"""A model left in training mode is refused at once, whatever its layers; one with unchanged outputs is accepted.

Seen before: of all layers that training changes, only seven were checked, and `F.dropout(x)`, which is also random in
evaluation mode, was measured for minutes and then released.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from captured import captured
from torch import nn
from torch.nn import functional

from bento_monitor.errors import ServiceError
from bento_monitor.lab.model_host.training_mode import require_reproducible, require_weights

ROWS = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LINES = torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A layer of the user that branches on `training`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if self.training else x


class First(nn.Module):
    """The first output of a module that gets its input `times` times."""

    def __init__(self, module: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.module = module
        self.times = times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.module(*[x] * self.times)[0]
        return output


class Random(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.linear(x))


class Classes(nn.Module):
    """Class ids after a small dropout, which rarely differ."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.001))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(x).argmax(1)
        return found


TRAINED = [
    (nn.Dropout(0.1), ROWS),
    (nn.Dropout(0.001), ROWS),
    (nn.Dropout1d(), LINES),
    (nn.Dropout2d(), IMAGES),
    (nn.AlphaDropout(), ROWS),
    (nn.FeatureAlphaDropout(), LINES),
    (nn.RReLU(), ROWS),
    (nn.BatchNorm1d(8), ROWS),
    (nn.BatchNorm2d(3), IMAGES),
    (nn.LazyBatchNorm1d(), ROWS),
    (nn.InstanceNorm1d(8, track_running_stats=True), LINES),
    (First(nn.LSTM(16, 4, num_layers=2, dropout=0.5, batch_first=True)), LINES),
    (First(nn.MultiheadAttention(16, 2, dropout=0.5, batch_first=True), times=3), LINES),
    (nn.TransformerEncoderLayer(16, 2, 8, batch_first=True), LINES),
    (Own(), ROWS),
    (Classes(), ROWS),
]


class Model(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


def check(model: nn.Module, x: torch.Tensor) -> None:
    with captured(model, {"x": x}) as state:
        require_reproducible(state.captured()[1].own_model, state.calls)


@pytest.mark.parametrize(("layer", "x"), TRAINED, ids=[type(layer).__name__ for layer, _ in TRAINED])
def test_training_mode_is_refused_for_every_layer_that_it_changes(layer: nn.Module, x: torch.Tensor) -> None:
    model = Model(layer).train()
    with pytest.raises(ServiceError, match=r"call \.eval\(\)"):
        check(model, x)
    assert all(part.training for part in model.modules())
    check(model.eval(), x)


@pytest.mark.parametrize("layer", [nn.Linear(8, 8), nn.LayerNorm(8), nn.Dropout(0.0)])
def test_training_mode_that_changes_nothing_is_accepted(layer: nn.Module) -> None:
    check(Model(layer).train(), ROWS)


@pytest.mark.parametrize(
    "function",
    [functional.dropout, lambda x: x + 0.1 * torch.randn_like(x), lambda x: functional.gumbel_softmax(x, dim=1)],
    ids=["F.dropout", "noise", "gumbel"],
)
def test_error_for_randomness_in_evaluation_mode_gives_the_fix(function: Any) -> None:
    with pytest.raises(ServiceError, match=r"training=self\.training"):
        check(Random(function).eval(), ROWS)


def test_check_leaves_statistics_modes_and_random_state_unchanged() -> None:
    model = Model(nn.BatchNorm1d(8)).train()
    with captured(model, {"x": ROWS}) as state:
        mean = model.layer.running_mean.clone()
        generator = torch.get_rng_state()
        with pytest.raises(ServiceError):
            require_reproducible(state.captured()[1].own_model, state.calls)
    assert torch.equal(model.layer.running_mean, mean)
    assert torch.equal(torch.get_rng_state(), generator)


def test_constants_must_be_equal_in_every_call() -> None:
    model = Random(lambda x: {"y": x, "of": ("sum", int(x.shape[0]))}).eval()
    with captured(model, {"x": ROWS}, {"x": ROWS[:2]}) as state, pytest.raises(ServiceError, match=r"6.*2"):
        require_reproducible(state.captured()[1].own_model, state.calls)
    with captured(model, {"x": ROWS}, {"x": ROWS + 1}) as state:
        require_reproducible(state.captured()[1].own_model, state.calls)


def test_weights_that_were_never_loaded_are_reported() -> None:
    with pytest.raises(ServiceError, match=r"device meta.*load_state_dict"):
        require_weights(nn.Linear(4, 4, device="meta"))


def test_file_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("RandomNormalLike", ["x"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])],
        "noisy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
    )
    path = tmp_path / "noisy.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    with captured(path, {"x": ROWS.numpy()}) as state, pytest.raises(ServiceError, match="evaluation mode"):
        require_reproducible(state.captured()[1].own_model, state.calls)
