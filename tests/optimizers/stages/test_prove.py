from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import RigError
from optimizers.stages import prove as proving
from optimizers.stages.block_log import BlockLog
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, parse_block
from optimizers.stages.harm import HarmBlock, read_harm_log
from optimizers.stages.prove import prove

DIFFERS = "The baseline differs from itself on this machine now: 1.183 times [1.064, 1.316]. Stop the other programs."


class Proofs:
    """Proofs that end as told, in order; `renewed` has whether each was made with new servers in each round."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *ends: Any) -> None:
        self.renewed: list[bool] = []
        self.said: list[str] = []
        self._ends = list(ends)
        self._folder = folder
        monkeypatch.setattr(proving, "_proved", self._end)

    def _end(self, *_: Any, renews: bool) -> Any:
        self.renewed.append(renews)
        end = self._ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end

    def run(self) -> Any:
        bench: Any = SimpleNamespace(folder=SimpleNamespace(path=self._folder))
        winner: Any = SimpleNamespace(name="winner")
        load: Any = None
        return prove(bench, load, winner, lambda: None, self.said.append)


def test_servers_of_the_baseline_that_differ_are_replaced_in_each_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = Proofs(monkeypatch, tmp_path, RigError(DIFFERS), {"speedup": 2})
    assert proofs.run() == {"speedup": 2}
    assert proofs.renewed == [False, True]
    (said,) = proofs.said
    assert said.startswith("The baseline differs from itself on this machine now: 1.183 times [1.064, 1.316]. Meas")
    assert said.endswith("again, with new servers of the baseline in each round.")


def test_baseline_that_differs_even_then_is_refused_and_measured_from_the_start_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = Proofs(monkeypatch, tmp_path, RigError(DIFFERS), RigError(DIFFERS), {"speedup": 2})
    with pytest.raises(RigError):
        proofs.run()
    proofs.run()
    assert proofs.renewed == [False, True, False]


def test_proof_that_was_killed_goes_on_with_new_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = Proofs(monkeypatch, tmp_path, RigError(DIFFERS), KeyboardInterrupt(), {"speedup": 2})
    with pytest.raises(KeyboardInterrupt):
        proofs.run()
    proofs.run()
    assert proofs.renewed == [False, True, True]


def test_other_faults_of_a_proof_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = Proofs(monkeypatch, tmp_path, MeasurementError("An answer was wrong."))
    with pytest.raises(MeasurementError, match="wrong"):
        proofs.run()
    assert proofs.renewed == [False]


@pytest.mark.parametrize(
    ("again", "later", "closed", "harm_blocks"), [(120.0, 120.0, 15, 0), (100.0, 130.0, 30, 15), (100.0, 100.0, 30, 90)]
)
def test_servers_that_differ_are_told_as_early_as_the_closed_blocks_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: float, later: float, closed: int, harm_blocks: int
) -> None:
    counted: list[str] = []

    def harm_block(*_: Any) -> HarmBlock:
        counted.append("harm")
        return HarmBlock(
            {BASELINE: [1], WINNER: [1]}, {BASELINE: [1], WINNER: [1]}, 1.0, {BASELINE: 0, WINNER: 0}, None
        )

    def block(*_: Any) -> Block:
        counted.append("closed")
        number = counted.count("closed")
        rate = (again if number <= 15 else later) + number % 2
        return Block({BASELINE: 100.0, AGAIN: rate, WINNER: 300.0}, None)

    monkeypatch.setattr(proving._Rounds, "_block", block)
    monkeypatch.setattr(proving._Rounds, "_harm_block", harm_block)
    spec = SimpleNamespace(blocks=30, seed=0)
    bench: Any = SimpleNamespace(spec=spec, check_of=lambda execution: None)
    arms: Any = SimpleNamespace(servers={WINNER: SimpleNamespace(require_no_failed_calls=lambda release: None)})
    load: Any = None
    winner: Any = SimpleNamespace(name="winner", execution=None)
    log = BlockLog(tmp_path / "blocks.json", parse_block)
    harm = read_harm_log(tmp_path / "harm.json")
    rounds = proving._Rounds(bench, load, winner, arms, renews=False)
    with nullcontext() if later == 100.0 else pytest.raises(RigError):
        rounds.measure(log, harm, lambda: None)
    assert (counted.count("closed"), counted.count("harm")) == (closed, harm_blocks)
