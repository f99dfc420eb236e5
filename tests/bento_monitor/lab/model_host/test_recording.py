"""The record of a model's calls: all of a usual API's, and some of those of a model that is called for each token."""

from __future__ import annotations

import pytest
import torch

from bento_monitor.lab.model_host.recording import recording
from bento_monitor.runner import MonitoredRunner


class Stepping(torch.nn.Module):
    """A decoder's step: a token and a cache that grows."""

    def forward(self, token: torch.Tensor, cache: torch.Tensor) -> torch.Tensor:
        return torch.cat([cache, token], dim=1)


@pytest.mark.parametrize(("width", "most"), [(1, 68), (4_000_000, 18)], ids=["small", "large"])
def test_of_many_calls_for_one_request_some_are_kept_by_number_and_size(width: int, most: int) -> None:
    runner = MonitoredRunner(Stepping(), name="stepping")
    with recording(runner) as recorder:
        for _ in range(2):
            recorder.begin_request()
            cache = torch.zeros(1, 0, width)
            for _ in range(600 if width == 1 else 12):
                cache = runner(torch.zeros(1, 1, width), cache)
    lengths = [call.inputs["cache"].shape[1] for call in recorder.calls]
    first, second = lengths[: len(lengths) // 2], lengths[len(lengths) // 2 :]
    assert first == second
    assert first[:2] == [0, 1]
    assert len(lengths) <= 2 * most
    if width == 1:
        assert first == [*range(64), 127, 255, 511]
    else:
        size = sum(value.nbytes for call in recorder.calls for value in (*call.inputs.values(), *call.outputs.values()))
        assert size < 2 * 512 * 2**20
        assert len(first) < 12
