"""CUDA graphs, by a stand-in on the CPU: padding, order, memory, and calls that cannot be captured."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from replaying import Replaying

from bento_monitor.backends.call_shape import CallShape
from bento_monitor.backends.cuda_graphs import CudaGraphs, padded
from bento_monitor.backends.torch import TorchBackend
from bento_monitor.errors import ReleaseError
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import Batching, Execution

IDS, MASK = TensorSpec("ids", "int64", (None, None), (4, 20)), TensorSpec("mask", "int64", (None, None), (4, 20))
OUTPUT = TensorSpec("output", "float32", (None, 3), (4, 3))


class MeanOfTokens(torch.nn.Module):
    """The mean of the embeddings of a row's tokens, so no padding may show."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(50, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        kept = mask[:, :, None].to(torch.float32)
        mean: torch.Tensor = (self.table(ids) * kept).sum(1) / kept.sum(1)
        return mean


class Reading(MeanOfTokens):
    """A model whose own code asks for a value on the GPU, which no capture survives."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return super().forward(ids, mask) * (2.0 if float(mask.sum()) > 0 else 1.0)


def tokens(*lengths: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).to(torch.int64)
    return {"ids": torch.randint(1, 50, mask.shape, generator=generator), "mask": mask}


def graphs_of(
    module: torch.nn.Module, capturer: Replaying, mask_input: str | None = "mask", *, is_strict: bool = False
) -> CudaGraphs:
    backend = TorchBackend(module, Execution("torch", "fp32", 1), outputs=(OUTPUT,))
    return CudaGraphs(
        backend,
        capturer,
        mask_input,
        inputs=(IDS, MASK),
        outputs=(OUTPUT,),
        weights=backend.weights,
        is_strict=is_strict,
    )


def test_every_row_gets_its_own_answer_whatever_was_replayed_before() -> None:
    module, capturer = MeanOfTokens(), Replaying()
    graphs = graphs_of(module, capturer)
    batches = [[20, 3, 7], [1], [33, 40, 2, 9, 9], [5, 5], [40] * 8, [2, 1, 1]]
    for lengths in [*batches, *reversed(batches)]:
        inputs = tokens(*lengths, seed=len(lengths))
        torch.testing.assert_close(graphs.run(inputs)[0], module(**inputs))
    assert capturer.replays == 2 * len(batches)
    assert capturer.captures == len({padded(CallShape(len(lengths), max(lengths))) for lengths in batches})


def test_answers_stay_as_they_are_when_the_graph_is_replayed() -> None:
    module = MeanOfTokens()
    graphs = graphs_of(module, Replaying())
    first = graphs.run(tokens(4, 4))[0]
    kept = first.clone()
    graphs.run(tokens(4, 4, seed=1))
    torch.testing.assert_close(first, kept)


def test_threads_get_their_own_answers() -> None:
    module = MeanOfTokens()
    graphs = graphs_of(module, Replaying())
    asked = [tokens(1 + seed % 9, 1 + seed % 17, seed=seed) for seed in range(64)]
    with ThreadPoolExecutor(8) as threads:
        for inputs, (found,) in zip(asked, threads.map(graphs.run, asked), strict=True):
            torch.testing.assert_close(found, module(**inputs))


def test_call_that_cannot_be_captured_runs_without_a_graph_and_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    module, capturer = Reading(), Replaying()
    graphs = graphs_of(module, capturer)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            torch.testing.assert_close(graphs.run(tokens(3, 2))[0], module(**tokens(3, 2)))
    assert capturer.replays == 0
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Calls of up to 2 rows of length 16 run without a CUDA graph"
    ]
    with pytest.raises(ReleaseError, match="cannot be captured.*not permitted"):
        graphs.prepare(CallShape(2, 9))
    with pytest.raises(ReleaseError, match="cannot be captured"):
        graphs_of(module, Replaying(), is_strict=True).run(tokens(3, 2))


def test_full_gpu_is_told_with_the_figure() -> None:
    graphs = graphs_of(MeanOfTokens(), Replaying(free_bytes=2 * 2**30))
    with pytest.raises(ReleaseError, match=r"2\.0 of 80\.0 GiB"):
        graphs.prepare(CallShape(8, 32))


def test_shapes_are_prepared_up_to_the_largest() -> None:
    capturer = Replaying()
    graphs = graphs_of(MeanOfTokens(), capturer)
    graphs.prepare(CallShape(5, 30))
    assert capturer.captures == 4 * 3  # 1, 2, 4 and 8 rows of length 16, 24 and 32
    graphs.run(tokens(30, 2, 2, 2, 9))
    assert capturer.captures == 12


def test_padding_is_at_most_a_third_of_a_row() -> None:
    lengths = [padded(CallShape(1, length)).length for length in range(1, 600)]
    assert sorted({length for length in lengths if length is not None}) == [
        16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768
    ]  # fmt: skip
    for length, found in enumerate(lengths, start=1):
        assert found is not None
        assert length <= found <= max(16, 1.5 * length)


def test_inputs_that_disagree_run_without_a_graph() -> None:
    class First(torch.nn.Module):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return ids[:, :3].to(torch.float32)

    capturer = Replaying()
    graphs = graphs_of(First(), capturer)
    graphs.run({"ids": torch.ones(4, 9, dtype=torch.int64), "mask": torch.ones(4, 5, dtype=torch.int64)})
    graphs.run({"ids": torch.ones(4, 9, dtype=torch.int64), "mask": torch.ones(1, 9, dtype=torch.int64)})
    graphs.run({"ids": torch.ones(0, 9, dtype=torch.int64), "mask": torch.ones(0, 9, dtype=torch.int64)})
    assert capturer.captures == 0


def test_lengths_without_a_mask_are_refused() -> None:
    with pytest.raises(ReleaseError, match="need a mask"):
        graphs_of(MeanOfTokens(), Replaying(), mask_input=None)


def release(**changes: Any) -> Release:
    values = {"cuda_graphs": True, "mask_input": "mask"} | changes
    return Release(
        name="r1",
        service="Service",
        apis=("ask",),
        runner="model",
        execution=Execution("torch", "fp32", 1, **values),
        batching=Batching(8, 0.0),
        workers=None,
        artifact_file=None,
        artifact_sha256=None,
        inputs=(IDS, MASK),
        outputs=(OUTPUT,),
        output_form=OutputForm(),
    )


@pytest.mark.parametrize("size", [None, 2])
def test_release_runs_by_graphs_captured_before_it_is_active(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int | None
) -> None:
    capturer = Replaying()
    monkeypatch.setattr("bento_monitor.backends.released.capturer_for", lambda device: capturer)
    module = MeanOfTokens()
    runner = MonitoredRunner(module, name="model")
    runner.activate(runner.prepare(release(sub_batch_size=size), tmp_path))
    captured = capturer.captures
    inputs = tokens(20, 3, 7, 12, 1)
    torch.testing.assert_close(runner(**inputs), module(**inputs))
    assert captured == capturer.captures == (2 if size else 4) * 2  # up to 2 or 8 rows, of length 16 and 24
    assert capturer.replays > 0


def test_release_with_graphs_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="on a GPU, and its weights are on cpu"):
        MonitoredRunner(MeanOfTokens(), name="model").prepare(release(), tmp_path)
