from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bento_monitor.lab.statistics import RigError
from optimizers.stages import prove as proving
from optimizers.stages.block_log import BlockLog
from optimizers.stages.blocks import AGAIN, BASELINE, WINNER, Block, parse_block
from optimizers.stages.harm import HarmBlock, read_harm_log

BLOCKS = 10


def measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, again: float, alone_us: Sequence[int]
) -> tuple[list[str], BlockLog[Block], BlockLog[HarmBlock]]:
    """Measure rounds with blocks that are told, and return what was done in order."""
    done: list[str] = []

    def harm_block(*_: Any) -> HarmBlock:
        done.append("harm")
        winner_us = alone_us[done.count("harm") % len(alone_us)]
        half_load = {BASELINE: [100] * 100, WINNER: [100] * 100}
        return HarmBlock({BASELINE: [100], WINNER: [winner_us]}, half_load, 1.0, {BASELINE: 0, WINNER: 0}, None)

    def block(*_: Any) -> Block:
        done.append("closed")
        noise = done.count("closed") % 2
        return Block({BASELINE: 100.0, AGAIN: again + noise, WINNER: 300.0}, None)

    monkeypatch.setattr(proving._Rounds, "_block", block)
    monkeypatch.setattr(proving._Rounds, "_harm_block", harm_block)
    bench: Any = SimpleNamespace(spec=SimpleNamespace(blocks=BLOCKS, seed=0), check_of=lambda execution: None)
    arms: Any = SimpleNamespace(
        servers={WINNER: SimpleNamespace(require_no_failed_calls=lambda release: None)},
        renew_baselines=lambda names: done.append(f"{len(names)} new"),
    )
    load: Any = None
    winner: Any = SimpleNamespace(name="winner", execution=None)
    log = BlockLog(folder / "blocks.json", parse_block)
    harm = read_harm_log(folder / "harm.json")
    proving._Rounds(bench, load, winner, arms).measure(log, harm, lambda: None)
    return done, log, harm


def test_each_round_has_new_servers_of_the_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, log, harm = measured(tmp_path, monkeypatch, 100.0, [60, 61])
    assert done == ["2 new", "closed", "harm"] * 5 + ["2 new", "closed"] * 5
    assert (len(log.good), len(harm.good)) == (10, 5)


def test_undecided_harm_goes_on_with_new_servers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, *_ = measured(tmp_path, monkeypatch, 100.0, [60, 180])
    assert done == ["2 new", "closed", "harm"] * 10 + ["1 new", "harm"] * 20


def test_baseline_that_differs_from_itself_is_refused_before_more_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RigError):
        measured(tmp_path, monkeypatch, 130.0, [60, 180])
    kept = BlockLog(tmp_path / "blocks.json", parse_block)
    assert len(kept.good) == 10
    assert len(read_harm_log(tmp_path / "harm.json").good) == 10
