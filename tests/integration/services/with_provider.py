"""A service that makes spans and sets its own tracer provider."""

import bentoml
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, ParentBased, Sampler, SamplingResult

from bento_monitor import monitored


class NotQuiet(Sampler):
    """A sampler that drops the API `quiet`."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        is_quiet = "/quiet" in name
        return SamplingResult(Decision.DROP if is_quiet else Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "NotQuiet"


provider = TracerProvider(
    sampler=ParentBased(NotQuiet(), remote_parent_sampled=ALWAYS_ON),
    resource=Resource({"service.name": "of the author"}),
)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("of the author")


@monitored
@bentoml.service
class WithProvider:
    @bentoml.api
    def embed(self, x: int = 1) -> int:
        with tracer.start_as_current_span("tokenise"):
            return x

    @bentoml.api
    async def quiet(self, x: int = 1) -> int:
        with tracer.start_as_current_span("whisper"):
            return x

    @bentoml.api(batchable=True)
    def batched(self, xs: list[int]) -> list[int]:
        with tracer.start_as_current_span("pad"):
            return xs
