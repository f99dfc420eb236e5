"""ModelHost: a user's model in its own process, with one method for each operation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ...errors import MeasurementError
from .messages import Contender, Exporter, ModelInterface, Parity, RequestSource, ServiceDescription
from .process import HostProcess

OnProgress = Callable[[float], None]
_IMPORT_TIMEOUT_S = 300.0
WORK_TIMEOUT_S = 1800.0
# For one sample, with the compilation in a first call; by default BentoML's servers give a request 60 s.
_ANSWER_TIMEOUT_S = 300.0


class ModelHost:
    """A context manager around the child process; the child is gone when the block ends, however it ends.

    Every method raises what the child raised (ServiceError, InputError, ReleaseError, MeasurementError), and
    HostDeathError if the child died, or took too long or too much memory. After its death, `restart` gives another
    child in the same state.
    """

    def __init__(
        self,
        target: str,
        working_dir: Path,
        env: Mapping[str, str] | None = None,
        *,
        log: Path | None = None,
        memory_limit_bytes: int | None = None,
    ) -> None:
        """Create the host; `env` is the child's whole environment (default: inherited), `log` a file for its output.

        A child whose resident memory exceeds `memory_limit_bytes` is killed.
        """
        self._target = target
        self._working_dir = working_dir
        self._env = env
        self._log = log
        self._memory_limit_bytes = memory_limit_bytes
        self._captured: Mapping[str, Any] | None = None
        self._process: HostProcess | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bento-monitor-")))
        self._log = self._log or folder / "model_host.log"
        self._stack.callback(lambda: self._process.close() if self._process is not None else None)
        self._start()
        return self

    def _start(self) -> None:
        assert self._log is not None
        self._process = HostProcess(
            self._target, self._working_dir, self._env, self._log, memory_limit_bytes=self._memory_limit_bytes
        )

    def restart(self) -> None:
        """Start another child after the death of the last one, and capture the same model again.

        Raises:
            BentoMonitorError: the new child fails, as `capture` says.
        """
        if self._process is not None:
            self._process.close()
        self._start()
        if self._captured is not None:
            self._request("capture", self._captured)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._process is not None:
            self._process.kill()  # it may be in the middle of something long
        self._stack.close()

    def describe(self) -> ServiceDescription:
        """Import the service and list its APIs and runners."""
        return ServiceDescription.from_dict(self._request("describe", {}, timeout_s=_IMPORT_TIMEOUT_S))

    def answer(self, api: str, source: RequestSource, row: int) -> Any:
        """Return the API's answer to one sample alone, from the user's own model."""
        arguments = {"api": api, **_source(source), "row": row}
        return self._request("answer", arguments, timeout_s=_ANSWER_TIMEOUT_S)

    def capture(self, api: str, source: RequestSource, *, seed: int = 0, runner: str | None = None) -> ModelInterface:
        """Learn the interface of the API's model from real samples; the methods below need it.

        `runner` names the model; without it, it is the one that takes most of the API's time.
        """
        arguments = {"api": api, **_source(source), "seed": seed, "runner": runner}
        found = ModelInterface.from_dict(self._request("capture", arguments))
        self._captured = arguments
        return found

    def export(
        self, path: Path, exporter: Exporter = "torchscript", *, opset: int = 17, fixed_because: str | None = None
    ) -> None:
        """Write the model as an ONNX file; a runner's own ONNX file is copied.

        With `fixed_because`, a reason in words, input axes that have one length in all samples are fixed to it.
        """
        arguments = {"path": str(path.resolve()), "exporter": exporter, "opset": opset, "fixed_because": fixed_because}
        self._request("export", arguments)

    def parity(self, path: Path) -> Parity:
        """Compare the outputs of an ONNX file with the model's own, on captured and on perturbed calls."""
        return Parity.from_dict(self._request("parity", {"path": str(path.resolve())}))

    def model_inputs(
        self,
        api: str,
        source: RequestSource,
        path: Path,
        *,
        rows: Sequence[int],
        on_progress: OnProgress | None = None,
    ) -> None:
        """Write the inputs of the model's calls for some samples to `path`, for calibration."""
        arguments = {"api": api, **_source(source), "rows": [int(row) for row in rows], "path": str(path.resolve())}
        self._request("model_inputs", arguments, on_progress=on_progress)

    def answers(
        self,
        api: str,
        source: RequestSource,
        contender: Contender,
        path: Path,
        *,
        batch_size: int,
        seed: int,
        rows: Sequence[int] | None = None,
        timeout_s: float = WORK_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Write the answers to samples to `path`: in random batches, or one by one with a `batch_size` of 1."""
        arguments = {
            "api": api,
            **_source(source),
            "contender": contender.to_dict(),
            "rows": None if rows is None else [int(row) for row in rows],
            "batch_size": batch_size,
            "seed": seed,
            "path": str(path.resolve()),
        }
        self._request("answers", arguments, timeout_s=timeout_s, on_progress=on_progress)

    def race(
        self,
        api: str,
        source: RequestSource,
        contenders: Sequence[Contender],
        *,
        batch_size: int,
        rounds: int,
        batches: int = 32,
        block_s: float = 0.4,
        seed: int = 0,
        timeout_s: float = WORK_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> list[list[float]]:
        """Return the samples per second of each contender in each round of interleaved blocks."""
        arguments = {
            "api": api,
            **_source(source),
            "contenders": [contender.to_dict() for contender in contenders],
            "batch_size": batch_size,
            "batches": batches,
            "rounds": rounds,
            "block_s": block_s,
            "seed": seed,
        }
        speeds: list[list[float]] = self._request("race", arguments, timeout_s=timeout_s, on_progress=on_progress)
        return speeds

    def _request(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float = WORK_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Any:
        if self._process is None:
            raise MeasurementError("The model host is not running: use it in a with statement.")
        return self._process.request(operation, arguments, timeout_s=timeout_s, on_progress=on_progress)


def _source(source: RequestSource) -> dict[str, Any]:
    return {"bodies": str(source.path.resolve()), "content_type": source.content_type}
