"""Detection of services that keep state between requests, such as a recurrent state that each request continues."""

from __future__ import annotations

from ...backends.arrays import is_array, to_numpy
from ...errors import ServiceError
from ...integrations.bentoml.services import ApiArguments, ServiceApi
from .batches import fresh
from .closeness import same_outputs
from .recording import recording
from .state import CapturedCall, HostState
from .training_mode import require_eval_mode


def require_repeatable(state: HostState, api: ServiceApi, runner: str, batch: ApiArguments) -> None:
    """Raise if the same request gives the model other inputs the second time.

    Answers then depend on earlier requests: they cannot be used to compare models, and a measurement would mix the
    states of many clients. The calls of a request may come in another order.

    Raises:
        ServiceError: an input differed the second time; the message names it.
    """
    first, again = _calls(state, api, runner, batch), _calls(state, api, runner, batch)
    for call in again:
        if first and all(_differing(call, other) for other in first):
            require_eval_mode()
            raise ServiceError(
                f"The API {api.name} gives the model {runner} a different {_differing(call, first[0])} for the "
                "same request each time: the service keeps state between requests, or draws random numbers, so no "
                "accuracy can be proved. Let each request contain everything that its answer depends on, such as a "
                "state that the client received and sends back."
            )


def _calls(state: HostState, api: ServiceApi, runner: str, batch: ApiArguments) -> list[CapturedCall]:
    with recording(state.runner(runner)) as recorder:
        state.call(api, fresh(batch))
    return recorder.calls


def _differing(call: CapturedCall, other: CapturedCall) -> str | None:
    """Return the name of an input that differs between the calls."""
    if call.inputs.keys() != other.inputs.keys():
        return min(call.inputs.keys() ^ other.inputs.keys())
    for name, value in call.inputs.items():
        given = other.inputs[name]
        if is_array(value) and is_array(given) and not same_outputs([to_numpy(value)], [to_numpy(given)]):
            return name
    return None
