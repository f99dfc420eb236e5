"""Every span, attribute and metric name, with its unit. HTTP names follow the OpenTelemetry semantic conventions."""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
SCOPE_NAME: Final = "bento_monitor"

OTEL_SCOPE_NAME: Final = "otel.scope.name"  # of a stored span of user code; as OpenTelemetry's other formats have it

# Spans inside a request's own trace. The server span is named "POST /route".
SPAN_PARSE: Final = "parse"
SPAN_QUEUE: Final = "queue"
SPAN_INFER: Final = "infer"
SPAN_MODEL: Final = "model"
SPAN_RUNNER: Final = "runner"  # a call to a legacy runner's own process, whose server span is below it
SPAN_SERIALIZE: Final = "serialize"
# A batch has a trace of its own, linked both ways with the `infer` span of every request in it.
SPAN_BATCH: Final = "batch"

# So has what a task computes once its submission is answered; it is named "task NAME" and linked to that request.
SPAN_TASK: Final = "task"

HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_SCHEME: Final = "url.scheme"
ERROR_TYPE: Final = "error.type"
PEER_SERVICE: Final = "peer.service"  # the service that a client span calls

API_NAME: Final = "bento_monitor.api.name"
BATCH_SIZE: Final = "bento_monitor.batch.size"  # requests
BATCH_ROWS: Final = "bento_monitor.batch.rows"
BATCH_POSITION: Final = "bento_monitor.batch.position"
BATCH_LINKED: Final = "bento_monitor.batch.linked"  # members that are kept, and so linked
MODEL_SHARE_NS: Final = "bento_monitor.model.share_ns"  # a request's part of its batch's machine time
MODEL_GPU_NS: Final = "bento_monitor.model.gpu_ns"  # how long the GPU computed for a call, by CUDA events
RUNNER_NAME: Final = "bento_monitor.runner.name"
RUNNER_BACKEND: Final = "bento_monitor.runner.backend"
RUNNER_PRECISION: Final = "bento_monitor.runner.precision"
RUNNER_RELEASE: Final = "bento_monitor.runner.release"  # the release that ran; OWN_MODEL where it was the user's own
RUNNER_METHOD: Final = "bento_monitor.runner.method"  # such as `predict_proba`; none where the model itself is called
RUNNER_FALLBACK: Final = "bento_monitor.runner.fallback"  # why the own model ran though a release is active
OWN_MODEL: Final = "own"
SAMPLING_REASON: Final = (
    "bento_monitor.sampling_reason"  # why a request that was not sampled is exported: failed, slow, first
)
LOOP_LAG_NS: Final = "bento_monitor.loop.lag_ns"  # busy before it read the request, which lay in the kernel
INCOMPLETE: Final = "bento_monitor.incomplete"  # the error that left a request, batch or span with this span alone
UNACCOUNTED_NS: Final = "bento_monitor.unaccounted_ns"  # what of a request's time no stage covers

# Only fields that a person has named are captured; the field's name follows.
CAPTURED_PREFIX: Final = "bento_monitor.captured."

# The stages of a request, in their order; each is an attribute of its server span, and some are spans, too.
STAGE_SOCKET_WAIT: Final = "bento_monitor.stage.socket_wait_ns"  # seen to have come, until the loop read it
STAGE_LOOP_WAIT: Final = "bento_monitor.stage.loop_wait_ns"  # read from the socket, until the loop came to it
STAGE_READ: Final = "bento_monitor.stage.read_ns"  # routed, and its body read
STAGE_PARSE: Final = "bento_monitor.stage.parse_ns"  # parsed and validated, which pydantic does in one
STAGE_QUEUE: Final = "bento_monitor.stage.queue_ns"  # waiting for a batch, or for a thread
STAGE_ASSEMBLE: Final = "bento_monitor.stage.assemble_ns"  # its batch put together
STAGE_THREAD_WAIT: Final = "bento_monitor.stage.thread_wait_ns"  # its batch waiting for a thread
STAGE_INFER: Final = "bento_monitor.stage.infer_ns"  # the user's function
STAGE_SPLIT: Final = "bento_monitor.stage.split_ns"  # its part taken out, and back on the loop
STAGE_SERIALIZE: Final = "bento_monitor.stage.serialize_ns"
STAGE_SEND: Final = "bento_monitor.stage.send_ns"  # until the first byte of the body was written
STAGE_STREAM: Final = "bento_monitor.stage.stream_ns"  # from the first to the last byte

STAGES: Final = (
    STAGE_SOCKET_WAIT,
    STAGE_LOOP_WAIT,
    STAGE_READ,
    STAGE_PARSE,
    STAGE_QUEUE,
    STAGE_ASSEMBLE,
    STAGE_THREAD_WAIT,
    STAGE_INFER,
    STAGE_SPLIT,
    STAGE_SERIALIZE,
    STAGE_SEND,
    STAGE_STREAM,
)
# The others are attributes of the server span alone: each span more is sent, stored and drawn.
SPAN_OF_STAGE: Final = {
    STAGE_PARSE: SPAN_PARSE,
    STAGE_QUEUE: SPAN_QUEUE,
    STAGE_INFER: SPAN_INFER,
    STAGE_SERIALIZE: SPAN_SERIALIZE,
}

# Metrics. Prometheus has them with underscores for dots, and the unit as the last word.
METRIC_REQUEST_DURATION: Final = "bento_monitor.request.duration"  # s, first byte read to last byte written
METRIC_STAGE_DURATION: Final = "bento_monitor.stage.duration"  # s
METRIC_LOOP_LAG: Final = "bento_monitor.loop.lag"  # s
METRIC_BATCH_SIZE: Final = "bento_monitor.batch.size"  # requests
METRIC_MODEL_GPU: Final = "bento_monitor.model.gpu"  # s, of a call's kernels, by CUDA events
METRIC_QUEUE_DEPTH: Final = "bento_monitor.queue.depth"  # rows that wait for a batch
METRIC_IN_FLIGHT: Final = "bento_monitor.requests.in_flight"
METRIC_RATE_LIMITED: Final = "bento_monitor.traces.rate_limited"
METRIC_RECORDS_DROPPED: Final = "bento_monitor.records.dropped"  # ledgers and batches that were never built into spans
METRIC_SPANS: Final = "bento_monitor.spans"  # by exporter and state: built, exported, dropped
METRIC_RELEASE_INFO: Final = "bento_monitor.release.info"  # workers that serve a release in a runner, by phase
METRIC_RELEASE_FALLBACK: Final = "bento_monitor.release.fallback"  # calls that the own model ran in a release's place
METRIC_RELEASE_SWAPS: Final = "bento_monitor.release.swaps"  # taken, refused, failed
METRIC_HOOK_ENABLED: Final = "bento_monitor.hook.enabled"  # workers that use a hook into BentoML
METRIC_BREAKER_STATE: Final = "bento_monitor.breaker.state"  # workers in which a part of ours is in that state
METRIC_BREAKER_OPENS: Final = "bento_monitor.breaker.opens"
METRIC_BREAKER_RETRIES: Final = "bento_monitor.breaker.retries"
METRIC_THREAD_CPU: Final = "bento_monitor.thread.cpu"  # s, of each of our own threads
ROUTE_UNMATCHED: Final = "unmatched"

ALLOWED_ATTRIBUTES: Final = frozenset(
    {
        HTTP_REQUEST_METHOD,
        HTTP_ROUTE,
        HTTP_RESPONSE_STATUS_CODE,
        URL_SCHEME,
        ERROR_TYPE,
        PEER_SERVICE,
        API_NAME,
        BATCH_SIZE,
        BATCH_ROWS,
        BATCH_POSITION,
        BATCH_LINKED,
        MODEL_SHARE_NS,
        MODEL_GPU_NS,
        RUNNER_NAME,
        RUNNER_BACKEND,
        RUNNER_PRECISION,
        RUNNER_RELEASE,
        RUNNER_METHOD,
        RUNNER_FALLBACK,
        SAMPLING_REASON,
        LOOP_LAG_NS,
        INCOMPLETE,
        UNACCOUNTED_NS,
        *STAGES,
    }
)
