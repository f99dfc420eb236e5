"""The reasons why no served candidate can be released, with advice only if it applies."""

from __future__ import annotations

from bento_monitor.lab.loadgen.slo import Slo
from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.search.trial_log import TrialOutcome
from optimizers.stages.serve import why_no_candidate

CANDIDATE = Candidate(Execution("onnxruntime", "fp32", 1), Batching(8, 0.0), 1)


def why(*outcomes: TrialOutcome, slo: Slo | None = None, max_alone_ratio: float | None = None) -> str:
    return why_no_candidate([(CANDIDATE, outcome) for outcome in outcomes], slo, max_alone_ratio, "trial")


def test_equal_failures_are_counted_and_reported_once() -> None:
    failed = TrialOutcome(0.0, 0.0, 1, 1.0, "3 of 9 answers checked were wrong")
    sentence = why(failed, failed, TrialOutcome(0.0, 0.0, 1, 1.0, "the server did not start"))
    assert "after 3 trial(s)" in sentence
    assert "2 failed: 3 of 9 answers checked were wrong; 1 failed: the server did not start" in sentence
    assert "latency" not in sentence


def test_more_latency_is_advised_only_for_a_broken_slo() -> None:
    slow = TrialOutcome(100.0, 80.0, 0, 0.6)
    sentence = why(slow, TrialOutcome(90.0, 75.0, 0, 0.5), slo=Slo(99.0, 50.0))
    assert "2 broke --slo p99=50ms, the best with 75.0 ms: allow more latency" in sentence
    assert "latency" not in why(TrialOutcome(100.0, 80.0, 3, 1.0))


def test_failed_requests_are_counted() -> None:
    assert "in 2, requests failed (5 in total)" in why(TrialOutcome(1.0, 1.0, 3, 1.0), TrialOutcome(1.0, 1.0, 2, 1.0))


def test_lone_client_latency_over_the_limit_is_reported_with_the_best_ratio() -> None:
    outcomes = [TrialOutcome(100.0, 10.0, 0, -1.0, alone_ratio=ratio) for ratio in (1.8, 1.4)]
    sentence = why(*outcomes, max_alone_ratio=1.1)
    assert "2 met the other limits" in sentence
    assert "(the best: 1.40 times): --allow-slower-alone" in sentence
    assert "lone client" not in why(*outcomes)
