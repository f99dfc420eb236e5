"""State of a model host: the service, one instance of it, and the captured interface and calls of its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MeasurementError, ReleaseError, ServiceError
from ...integrations.bentoml.services import ApiArguments, ServiceApi, api_of, call_api, instantiate, load_service
from ...releases.release_record import Release
from ...runner import MonitoredRunner, PreparedModel, read_model_structures, runners
from ..loadgen.packing import read_bodies
from .array_estimator import Frames
from .export_record import with_fixed_axes
from .messages import Contender, ModelInterface, RequestSource

if TYPE_CHECKING:
    from ...integrations.bentoml.in_process import RawAnswer

Progress = Callable[[float], None]
_RELEASE_NAME = "contender"


@dataclass(frozen=True, slots=True)
class CapturedCall:
    """One call of the model: its inputs and outputs by name."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(slots=True)
class HostState:
    """A loaded service, with everything that one operation reads, captures or builds for later operations.

    `calls` are calls of the model with samples and with resized samples, `sample_calls` with samples alone. `frames`
    encodes data frames as arrays if an estimator is called with data frames.
    """

    target: str
    working_dir: Path
    service: Any = None
    instance: Any = None
    interface: ModelInterface | None = None
    calls: list[CapturedCall] = field(default_factory=list)
    sample_calls: list[CapturedCall] = field(default_factory=list)
    frames: Frames | None = None
    _bodies: dict[Path, tuple[bytes, ...]] = field(default_factory=dict)
    _in_request: ExitStack = field(default_factory=ExitStack)

    def load(self) -> None:
        """Import the service and make an instance of it, once.

        Raises:
            ServiceError: either fails.
        """
        if self.instance is None:
            self.service = load_service(self.target, self.working_dir)
            self.instance = instantiate(self.service)
            read_model_structures()
            self._enter_request()

    def api(self, name: str) -> ServiceApi:
        """Return the API of that name; after the capture, its batches are limited to what the model takes.

        Raises:
            ServiceError: there is no such API, or its answers cannot be measured.
        """
        self.load()
        api = api_of(self.service, name)
        if api.method.is_stream:
            raise ServiceError(f"The API {name} returns a stream: only APIs with whole responses can be optimized.")
        if api.method.is_task:
            raise ServiceError(f"{name} is a task, which responds later: only APIs can be optimized.")
        if api.method.batch_dim != (0, 0):
            raise ServiceError(f"The API {name} has batch_dim {api.method.batch_dim}: only 0 can be optimized.")
        largest = None if self.interface is None else self.interface.largest_batch
        return api if largest is None else replace(api, max_batch_size=min(api.max_batch_size, largest))

    def bodies(self, source: RequestSource) -> tuple[bytes, ...]:
        """Return the bodies of a source.

        Raises:
            InputError: the file cannot be read.
        """
        if source.path not in self._bodies:
            self._bodies[source.path] = read_bodies(source.path)
        return self._bodies[source.path]

    def parse(self, api: ServiceApi, bodies: Sequence[bytes], content_type: str) -> list[ApiArguments]:
        """Return new arguments for the API's function from each request; a function may change them.

        Raises:
            ServiceError: BentoML refuses one.
        """
        from ...integrations.bentoml.in_process import parse_requests

        return parse_requests(api, bodies, content_type)

    def call(self, api: ServiceApi, arguments: ApiArguments) -> Any:
        """Call the API's function.

        Raises:
            ServiceError: the function fails, or sets a status that is not 2xx.
        """
        response = self.service.context.response
        response.status_code = 200  # an earlier call may have set another
        output = call_api(self.service, self.instance, api, arguments)
        if not 200 <= response.status_code < 300:
            raise ServiceError(
                f"The API {api.name} answers a sample with status {response.status_code}: give samples that it answers "
                "with 2xx."
            )
        return output

    def answer(self, api: ServiceApi, bodies: Sequence[bytes], content_type: str) -> list[RawAnswer]:
        """Return the responses to simultaneous requests: in one batch if the API is batchable, else one by one.

        Raises:
            ServiceError: BentoML refuses a request, the function fails, or its output is not a valid response.
        """
        from ...integrations.bentoml.in_process import join_calls, serialize_answers

        parsed = self.parse(api, bodies, content_type)
        if not api.is_batchable:
            return [answer for each in parsed for answer in serialize_answers(api, self.call(api, each), None)]
        batch, ends = join_calls(api, parsed)
        return serialize_answers(api, self.call(api, batch), ends)

    def _enter_request(self) -> None:
        """Enter a request context for good: it has a folder for the files of requests, and a readable context."""
        from ...integrations.bentoml.in_process import request_without_client

        self._in_request.enter_context(self.service.context.in_request(request_without_client()))

    def runner(self, name: str) -> MonitoredRunner:
        """Return the runner of that name.

        Raises:
            ServiceError: the service has no such runner.
        """
        found = runners()
        if name not in found:
            raise ServiceError(f"The service creates no MonitoredRunner {name!r}; it creates {sorted(found)}.")
        return found[name]

    def captured(self) -> tuple[ModelInterface, MonitoredRunner]:
        """Return the captured interface, and its runner.

        Raises:
            MeasurementError: nothing was captured yet.
        """
        if self.interface is None:
            raise MeasurementError("The interface of the model is not known yet: call capture first.")
        return self.interface, self.runner(self.interface.runner)

    @contextmanager
    def measured(self, runner: MonitoredRunner) -> Iterator[None]:
        """Check that a contender runs all calls of the block itself; afterwards the own model is active again.

        Raises:
            ReleaseError: the contender failed a call, so the own model ran it: figures would be of the own model.
        """
        failures = runner.failures.total()
        try:
            yield
        finally:
            runner.reset()
        if failed := runner.failures.total() - failures:
            errors = ", ".join(sorted({why for _, reason, why in runner.fallbacks.latest() if reason == "error"}))
            raise ReleaseError(f"It fails on {failed} call(s) that the own model can run ({errors}).")

    def prepare(self, contender: Contender) -> PreparedModel:
        """Build and warm up one way to run the model.

        Raises:
            ReleaseError: it cannot be built, or its file has another hash.
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
            inputs=with_fixed_axes(interface.inputs, contender.fixed_axes),
            outputs=interface.outputs,
            output_form=interface.output_form,
        )
        return runner.prepare(release, Path() if artifact is None else artifact.parent)
