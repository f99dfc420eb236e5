"""`python -P -m bento_monitor.lab.model_host module:Service`: hold a model, and serve requests until stdin ends."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import BentoMonitorError, DiskFullError, ServiceError
from ...resilience.atomic_files import is_disk_full
from .answer_values import value_of
from .answers import answers
from .capture import capture
from .describe import describe
from .export import export
from .messages import Contender, RequestSource
from .model_inputs import model_inputs
from .parity import parity
from .race import race
from .state import HostState, Progress
from .training_mode import require_eval_mode
from .wire import Wire

Operation = Callable[[HostState, Mapping[str, Any], Progress], Any]


def main() -> None:
    """Serve requests: `{"operation", "arguments"}` in; `{"progress"}`, then `{"result"}` or `{"error"}` out."""
    wire = Wire()
    working_dir = Path.cwd()
    sys.path.insert(0, str(working_dir))
    state = HostState(sys.argv[1], working_dir)
    for request in wire.requests():
        try:
            operation = _OPERATIONS[request["operation"]]
            result = operation(state, request["arguments"], lambda share: wire.send(progress=share))
            wire.send(result=result)
        except BentoMonitorError as error:
            traceback.print_exc()
            wire.send(error={"kind": type(error).__name__, "message": str(error)})
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, OSError) and is_disk_full(error):
                wire.send(error={"kind": "InputError", "message": str(DiskFullError(error.filename))})
                continue
            wire.send(error={"kind": "BentoMonitorError", "message": f"The model host failed: {error!r}"})


def _source(arguments: Mapping[str, Any]) -> RequestSource:
    return RequestSource(Path(arguments["bodies"]), arguments["content_type"])


def _describe(state: HostState, _: Mapping[str, Any], __: Progress) -> Any:
    return asdict(describe(state))


def _capture(state: HostState, arguments: Mapping[str, Any], _: Progress) -> Any:
    return asdict(capture(state, arguments["api"], _source(arguments), arguments["seed"], arguments["runner"]))


def _export(state: HostState, arguments: Mapping[str, Any], _: Progress) -> Any:
    return export(state, Path(arguments["path"]), arguments["exporter"], arguments["opset"], arguments["fixed_because"])


def _parity(state: HostState, arguments: Mapping[str, Any], _: Progress) -> Any:
    return asdict(parity(state, Path(arguments["path"])))


def _model_inputs(state: HostState, arguments: Mapping[str, Any], progress: Progress) -> Any:
    model_inputs(
        state, arguments["api"], _source(arguments), arguments["rows"], Path(arguments["path"]), progress=progress
    )


def _answer(state: HostState, arguments: Mapping[str, Any], _: Progress) -> Any:
    source = _source(arguments)
    body = state.bodies(source)[arguments["row"]]
    try:
        (found,) = state.answer(state.api(arguments["api"]), [body], source.content_type)
    except ServiceError:
        require_eval_mode()
        raise
    return value_of(found.body, found.media_type)


def _answers(state: HostState, arguments: Mapping[str, Any], progress: Progress) -> Any:
    answers(
        state,
        arguments["api"],
        _source(arguments),
        Contender.from_dict(arguments["contender"]),
        rows=arguments["rows"],
        batch_size=arguments["batch_size"],
        seed=arguments["seed"],
        path=Path(arguments["path"]),
        progress=progress,
    )


def _race(state: HostState, arguments: Mapping[str, Any], progress: Progress) -> Any:
    return race(
        state,
        arguments["api"],
        _source(arguments),
        [Contender.from_dict(contender) for contender in arguments["contenders"]],
        batch_size=arguments["batch_size"],
        batches=arguments["batches"],
        rounds=arguments["rounds"],
        block_s=arguments["block_s"],
        seed=arguments["seed"],
        progress=progress,
    )


_OPERATIONS: dict[str, Operation] = {
    "describe": _describe,
    "answer": _answer,
    "capture": _capture,
    "export": _export,
    "parity": _parity,
    "model_inputs": _model_inputs,
    "answers": _answers,
    "race": _race,
}


if __name__ == "__main__":
    main()
