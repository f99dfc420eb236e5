"""A complete study: check the input, screen, race, search, prove, and store the winner as a release."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bento_monitor.installation import STACK, read_versions
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.machine import read_machine, safe_bytes
from bento_monitor.releases.release_store import save_release, store_name
from bento_monitor.serving_config import Batching, Execution

from .accuracy.finalists import first_proved
from .artifacts.build import Artifact
from .candidate import Candidate, describe_execution
from .crash_log import CrashLog
from .errors import NoWinnerError
from .measurement.load import StudyLoad, check_every
from .releasing import make_release
from .report.progress import StudyProgress
from .search.trial_log import TrialOutcome
from .search_space.recipe import Kind
from .stages.finals import most_measurements
from .stages.mixed import mixed_recipes
from .stages.provable import fastest_exact, provable
from .stages.prove import prove
from .stages.race import race, survivors
from .stages.screen import accepted_kinds, screen, why_none_accepted
from .stages.serve import ServedStage, finalists_of
from .stages.speeds import speed_words
from .stages.subject import find_subject
from .stages.verdict import verdict_of
from .stages.winner import winner_accuracy
from .stages.workbench import Workbench
from .stages.yardstick import Yardstick
from .study_folder import study_key
from .study_spec import StudySpec, command_of
from .study_store import StudyStore

STAGES = 7


def run_study(spec: StudySpec, root: Path, progress: StudyProgress, *, limit_gib: float) -> dict[str, Any]:
    """Run or resume a study and return its report, as machine-readable JSON values.

    Of what lies in `root` beyond the limit, that is removed which was not used for longest.

    Raises:
        InputError: an argument cannot be used; nothing was changed.
        NoWinnerError: no candidate is both faster than the baseline and accurate enough.
        MeasurementError: a measurement was not valid.
    """
    progress.stage(1, f"Importing {spec.target} and checking the data", 1)
    check_files(spec)
    with (
        tempfile.TemporaryDirectory(prefix="bento-monitor-requests-") as requests,
        ModelHost(spec.target, spec.working_dir, memory_limit_bytes=safe_bytes()) as host,
    ):
        subject = find_subject(host, spec, Path(requests))
        machine = read_machine()
        circumstances = {"versions": read_versions(STACK), "cpu": machine.cpu_model, "cores": machine.cores}
        key = study_key(spec, subject.subject.interface.fingerprint, circumstances)
        store = StudyStore(root)
        with store.study(key, int(limit_gib * 2**30)) as folder:
            log = CrashLog(
                store.crashes,
                {"model": subject.subject.interface.fingerprint, **circumstances},
                retry=spec.retry,
            )
            return _Study(Workbench(host, spec, subject, folder, log), progress).run()


def check_files(spec: StudySpec) -> None:
    """Read the data once before any process is started, so that a wrong path is reported at once.

    Raises:
        StudyInputError: the metric or a data file cannot be used.
    """
    from .accuracy.metrics import parse_metric
    from .data.read import read_data

    parse_metric(spec.metric, spec.working_dir)
    read_data(spec.data)
    if spec.prove_data is not None:
        read_data(spec.prove_data)


class _Study:
    def __init__(self, bench: Workbench, progress: StudyProgress) -> None:
        self._bench = bench
        self._spec = bench.spec
        self._subject = bench.subject.subject
        self._folder = bench.folder
        self._progress = progress
        self._machine = read_machine()
        # --allow-slower-alone changes which candidates are chosen, but not their measurements: only results that
        # depend on the choice have file names of their own.
        self._choice_suffix = "-slower-alone" if bench.spec.allow_slower_alone else ""

    def run(self) -> dict[str, Any]:
        raced = self._race(self._screen())
        requests = self._bench.subject.requests
        load = StudyLoad(
            self._subject.api.route,
            requests.path,
            requests.content_type,
            self._spec.connections,
            self._spec.seed,
            check_every(raced[0]["samples_per_s"], self._spec.block_s),
        )
        finalists = self._search(survivors(raced), load)
        return self._release(*self._prove_first(provable(finalists, fastest_exact(raced)), load))

    def _screen(self) -> list[Kind]:
        space = self._bench.space()
        self._progress.stage(2, "Building artifacts and measuring the accuracy of the fastest", len(space.families) + 1)
        for cut in space.cuts:
            self._progress.note(f"not tried: {cut.what}: {cut.why}")

        def on_step(text: str) -> None:
            self._progress.step()
            self._progress.note(text)

        verdicts = self._folder.once(
            "screen", lambda: screen(self._bench, space.families, self._machine.cores, on_step, self._progress.note)
        )
        mixed = mixed_recipes(space.recipes, verdicts)
        for recipe in mixed:
            self._bench.add(recipe)
        accepted = accepted_kinds([*space.recipes, *mixed], verdicts)
        if not accepted:
            raise NoWinnerError(why_none_accepted(verdicts, self._spec))
        return accepted

    def _race(self, kinds: list[Kind]) -> list[dict[str, Any]]:
        self._progress.stage(3, "Racing all executions of the accepted precisions, in process", 1)
        ranked: list[dict[str, Any]] = self._folder.once(
            "race", lambda: race(self._bench, kinds, self._machine.cores, self._progress.note)
        )
        self._progress.step()
        kept = survivors(ranked)
        fastest = f"{speed_words(ranked[0]['samples_per_s'])} by {describe_execution(kept[0])}"
        self._progress.note(f"{len(kept)} of {len(ranked)} executions kept; the fastest: {fastest}")
        return ranked

    def _search(self, ranked: list[Execution], load: StudyLoad) -> list[Candidate]:
        self._progress.stage(4, "Searching on a real server", self._spec.trials)

        def on_trial(candidate: Candidate, outcome: TrialOutcome) -> None:
            self._progress.step()
            result = outcome.error or f"{outcome.rps:6.1f} requests/s"
            self._progress.note(f"{result}  {candidate.describe()}")

        def compute() -> list[dict[str, Any]]:
            with ServedStage(self._bench, load) as stage:
                best = finalists_of(stage.search(ranked, on_trial))
                self._progress.stage(4, f"Remeasuring the best {len(best)} in rounds", most_measurements(best))
                finalists = stage.finals(best, self._is_more_accurate, self._progress.step)
            return [asdict(candidate) for candidate in finalists]

        return [
            Candidate(Execution(**raw["execution"]), Batching(**raw["batching"]), raw["workers"])
            for raw in self._folder.once(f"search{self._choice_suffix}", compute)
        ]

    def _is_more_accurate(self, left: Candidate, right: Candidate) -> bool:
        """Whether the paired confidence interval shows that the left candidate's precision is more accurate."""
        bench = self._bench
        answers = bench.answers_in(left.execution), bench.answers_in(right.execution)
        return bench.yardstick().is_more_accurate(*answers, bench.subject.choosing, self._spec.seed)

    def _prove_first(
        self, finalists: list[Candidate], load: StudyLoad
    ) -> tuple[Candidate, dict[str, Any], dict[str, Any]]:
        """Return the first finalist that is proved as it will be served, with its accuracy and its proof of speed."""
        proved: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        refusals: list[str] = []

        def is_proved(candidate: Candidate, alpha: float) -> bool:
            accuracy = self._accuracy(candidate, alpha)
            if "error" in accuracy:
                refusals.append(f"{candidate.describe()} failed on the proof samples: {accuracy['error']}")
            elif not accuracy["is_kept"]:
                refusals.append(
                    f"{accuracy['words']}, on the proof samples: more than --max-drop {self._spec.max_drop}. "
                    "Nothing was released; increase --max-drop or give more data."
                )
            else:
                proof = self._proof(candidate, load)
                proved[candidate.name] = accuracy, proof
                refusal = verdict_of(proof, slo=self._spec.slo, allow_slower_alone=self._spec.allow_slower_alone)
                if refusal is None:
                    return True
                refusals.append(refusal.sentence)
            if candidate is not finalists[-1]:
                self._progress.note(f"{refusals[-1]} Trying the next finalist.")
            return False

        winner = first_proved(finalists, is_proved)
        if winner is None:
            raise NoWinnerError(why_none_proved(finalists, refusals))
        return winner, *proved[winner.name]

    def _accuracy(self, candidate: Candidate, alpha: float) -> dict[str, Any]:
        self._progress.stage(5, "Proving the accuracy of the served configuration on held-out samples", 1)
        accuracy: dict[str, Any] = self._folder.once(
            f"accuracy-{candidate.name}", partial(winner_accuracy, self._bench, candidate, alpha)
        )
        self._progress.step()
        if "words" in accuracy:
            self._progress.note(f"{accuracy['words']}: {candidate.describe()}")
        return accuracy

    def _proof(self, candidate: Candidate, load: StudyLoad) -> dict[str, Any]:
        arms = 3 * self._spec.blocks
        self._progress.stage(6, "Proving the speed against the baseline on fresh servers", arms)
        proof: dict[str, Any] = self._folder.once(
            f"proof-{candidate.name}",
            lambda: prove(self._bench, load, candidate, self._progress.step),
        )
        low, high = proof["speedup_ci95"]
        self._progress.note(f"{proof['speedup']:.2f} times the baseline, 95 % interval [{low:.2f}, {high:.2f}]")
        return proof

    def _release(self, winner: Candidate, accuracy: Mapping[str, Any], proof: Mapping[str, Any]) -> dict[str, Any]:
        self._progress.stage(7, "Storing the release", 1)
        evidence = {
            **_evidence(self._spec, self._bench.yardstick(), accuracy, proof),
            "candidate": winner.describe(),
            "export": _export_evidence(self._bench.artifact(winner.execution)),
            "not_tried": [asdict(cut) for cut in self._bench.space().cuts],
            "machine": asdict(self._machine),
            "versions": read_versions(STACK),
            "command": command_of(self._spec),
        }
        name = self._folder.once("release", lambda: self._store(winner, evidence))["name"]
        self._progress.step()
        return {"release": name, "service": self._subject.service, "api": self._subject.api.name, **evidence}

    def _store(self, winner: Candidate, evidence: Mapping[str, Any]) -> dict[str, str]:
        artifact = self._bench.artifact(winner.execution)
        version = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{winner.name}"
        release = make_release(
            f"{store_name(self._subject.service)}:{version}", self._subject, winner, artifact, evidence
        )
        save_release(release, artifact.path)
        return {"name": release.name}


def _export_evidence(artifact: Artifact) -> dict[str, Any] | None:
    """How the graph was exported and how far its answers are from the model's; None if torch runs the model itself."""
    return None if artifact.parity is None else asdict(artifact.parity)


def why_none_proved(finalists: Sequence[Candidate], refusals: Sequence[str]) -> str:
    """Return why no finalist is released, with the reason of each."""
    if len(finalists) == 1:
        return refusals[0]
    reasons = [f"{candidate.describe()}: {refusal}" for candidate, refusal in zip(finalists, refusals, strict=True)]
    return f"None of {len(finalists)} finalists can be released. {' '.join(reasons)}"


def _evidence(
    spec: StudySpec, yardstick: Yardstick, accuracy: Mapping[str, Any], proof: Mapping[str, Any]
) -> dict[str, Any]:
    rates = proof["rates"]
    return {
        "metric": spec.metric,
        "baseline_rps": _mean(rates["baseline"]),
        "optimized_rps": _mean(rates["winner"]),
        **{name: value for name, value in proof.items() if name != "rates"},
        "blocks_rps": rates,
        "baseline_accuracy": accuracy["baseline"],
        "optimized_accuracy": accuracy["candidate"],
        "accuracy_drop_upper95": accuracy["upper"],
        "accuracy_confidence": accuracy["confidence"],
        "accuracy_method": accuracy["method"],
        "accuracy_tolerance": spec.max_drop.absolute(accuracy["baseline"]),
        "accuracy_in_words": spec.max_drop.describe(yardstick.metric, accuracy["baseline"]),
        "accuracy_samples": accuracy["n"],
        "accuracy_capped": accuracy["capped"],
        "output": yardstick.reading.description,
        "notes": list(yardstick.notes),
        **{name: value for name, value in accuracy.items() if "batch_dependence" in name},
        "connections": spec.connections,
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
