"""A model as a model host holds it after capturing calls, without a service, for tests of only the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bento_monitor.backends.arrays import inference_mode
from bento_monitor.backends.outputs import flatten_output
from bento_monitor.lab.model_host.capture import specs_of
from bento_monitor.lab.model_host.export import export
from bento_monitor.lab.model_host.messages import Contender, ModelInterface
from bento_monitor.lab.model_host.parity import parity
from bento_monitor.lab.model_host.state import CapturedCall, HostState
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import BackendName, Execution

Inputs = Mapping[str, Any]


@contextmanager
def captured(model: Any, *calls: Inputs) -> Iterator[HostState]:
    """Yield the state after `calls` of the model, each a mapping of inputs by name."""
    runner = MonitoredRunner(model, name="captured")
    state = HostState("service:Service", Path())
    outputs = []
    for inputs in calls:
        with inference_mode():
            output = runner.own_model.run((), inputs)
        form, names, arrays = flatten_output(output)
        outputs.append(dict(zip(names, arrays, strict=True)))
        state.calls.append(CapturedCall(inputs, outputs[-1]))
    state.sample_calls = state.calls[:]
    state.interface = ModelInterface(
        "captured", runner.own_model.kind, specs_of(calls), specs_of(outputs), form, None, "fingerprint"
    )
    yield state
    del runner


def contender_of(state: HostState, backend: BackendName, folder: Path) -> Contender:
    """Return a contender that runs the captured model in fp32 on a backend, with a graph in `folder` if needed."""
    execution = Execution(backend, "fp32", 1)
    if backend == "torch":
        return Contender(execution)
    path = folder / "m.onnx"
    export(state, path, "torchscript", 17)
    assert parity(state, path).disagreement is None
    return Contender(execution, path, sha256_of(path))
