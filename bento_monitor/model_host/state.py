"""What a model host holds: the service, one instance of it, and what was captured of its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bentoml_hooks.services import ServiceApi, api_of, call_api, input_of, instantiate, load_service
from ..errors import InputError, MeasurementError, ReleaseError, ServiceError
from ..releases.record import Release
from ..runner import MonitoredRunner, PreparedModel, note_structures, runners
from .records import Contender, ModelInterface, SampleSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[float], None]
_RELEASE_NAME = "contender"


@dataclass(frozen=True, slots=True)
class CapturedCall:
    """One call of the model: its inputs and outputs by name."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(slots=True)
class HostState:
    """A loaded service; what is read from files, captured or built for an operation stays here for the next."""

    target: str
    working_dir: Path
    service: Any = None
    instance: Any = None
    interface: ModelInterface | None = None
    calls: list[CapturedCall] = field(default_factory=list)
    _samples: dict[SampleSource, NDArray[Any]] = field(default_factory=dict)

    def load(self) -> None:
        """Import the service and make an instance of it, once.

        Raises:
            ServiceError: either fails.
        """
        if self.instance is None:
            self.service = load_service(self.target, self.working_dir)
            self.instance = instantiate(self.service)
            note_structures()

    def api(self, name: str) -> ServiceApi:
        """The API of that name, which must take one input.

        Raises:
            ServiceError: there is none, or samples of one array cannot be its input.
        """
        self.load()
        api = api_of(self.service, name)
        if api.input_name is None or api.method.is_stream:
            raise ServiceError(f"The API {name} cannot be optimized: it must take one input and give one whole answer.")
        if api.method.batch_dim != (0, 0):
            raise ServiceError(f"The API {name} has batch_dim {api.method.batch_dim}: only 0 can be optimized.")
        return api

    def samples(self, source: SampleSource) -> NDArray[Any]:
        """The array that `source` names.

        Raises:
            InputError: the file or the array in it cannot be read.
        """
        import numpy as np

        if source not in self._samples:
            try:
                with np.load(source.path, allow_pickle=False) as arrays:
                    self._samples[source] = arrays[source.array]
            except (OSError, ValueError, KeyError) as error:
                raise InputError(f"{source.path}: the array {source.array} cannot be read: {error}.") from error
        return self._samples[source]

    def call(self, api: ServiceApi, samples: NDArray[Any]) -> Any:
        """Call the API's function on some samples: all at once if it is batchable, else there must be only one.

        Raises:
            ServiceError: it fails.
        """
        value = input_of(api, samples if api.is_batchable else samples[0])
        return call_api(self.service, self.instance, api, value)

    def runner(self, name: str) -> MonitoredRunner:
        """The runner of that name.

        Raises:
            ServiceError: the service made none.
        """
        found = runners()
        if name not in found:
            raise ServiceError(f"The service makes no MonitoredRunner {name!r}; it makes {sorted(found)}.")
        return found[name]

    def captured(self) -> tuple[ModelInterface, MonitoredRunner]:
        """What was captured, and its runner.

        Raises:
            MeasurementError: nothing was captured yet.
        """
        if self.interface is None:
            raise MeasurementError("Nothing is known of the model yet: capture comes first.")
        return self.interface, self.runner(self.interface.runner)

    @contextmanager
    def measured(self, runner: MonitoredRunner) -> Iterator[None]:
        """Around calls that are to be a contender's own; the user's model runs again after them.

        Raises:
            ReleaseError: a call failed, and the user's model answered it: figures would be of that one.
        """
        failures = runner.failures.total()
        try:
            yield
        finally:
            runner.reset()
        if failed := runner.failures.total() - failures:
            errors = ", ".join(sorted({why for _, reason, why in runner.fallbacks.latest() if reason == "error"}))
            raise ReleaseError(f"It fails {failed} call(s) that the model itself answers ({errors}).")

    def prepare(self, contender: Contender) -> PreparedModel:
        """Build and warm up one way to run the model.

        Raises:
            ReleaseError: it cannot be built, or its file is not the one that is meant.
        """
        interface, runner = self.captured()
        if contender.execution is None:
            return PreparedModel(runner.own_model, None)
        artifact = contender.artifact
        release = Release(
            name=_RELEASE_NAME,
            service=self.service.name,
            apis=(),
            runner=interface.runner,
            execution=contender.execution,
            batching=None,
            workers=None,
            artifact_file=None if artifact is None else artifact.name,
            artifact_sha256=contender.artifact_sha256,
            inputs=interface.inputs,
            outputs=interface.outputs,
            output_form=interface.output_form,
        )
        return runner.prepare(release, Path() if artifact is None else artifact.parent)
