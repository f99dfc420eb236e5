"""Every span, attribute and metric name, with its unit. HTTP names follow the OpenTelemetry semantic conventions."""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.37.0"
SCOPE_NAME: Final = "bento_monitor"

OTEL_SCOPE_NAME: Final = "otel.scope.name"  # on stored spans of user code; the name in OpenTelemetry's other formats

# Spans inside a request's own trace. The server span is named "POST /route".
SPAN_PARSE: Final = "parse"
SPAN_QUEUE: Final = "queue"
SPAN_INFER: Final = "infer"
SPAN_MODEL: Final = "model"
SPAN_RUNNER: Final = "runner"  # a call to a legacy runner's process; the server span of that process is its child
SPAN_SERIALIZE: Final = "serialize"
# A batch has its own trace. Links go both ways between its span and the `infer` span of each of its requests.
SPAN_BATCH: Final = "batch"

# A task's run after its submission is answered also has its own trace: a span "task NAME", linked to that request.
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
BATCH_LINKED: Final = "bento_monitor.batch.linked"  # requests of the batch whose trace is kept, so that they are linked
MODEL_SHARE_NS: Final = "bento_monitor.model.share_ns"  # the request's share of its batch's model time
MODEL_GPU_NS: Final = "bento_monitor.model.gpu_ns"  # GPU time of a call, measured with CUDA events
RUNNER_NAME: Final = "bento_monitor.runner.name"
RUNNER_BACKEND: Final = "bento_monitor.runner.backend"
RUNNER_PRECISION: Final = "bento_monitor.runner.precision"
RUNNER_RELEASE: Final = "bento_monitor.runner.release"  # the release that ran; OWN_MODEL for the own model
RUNNER_METHOD: Final = "bento_monitor.runner.method"  # such as `predict_proba`; absent if the model itself is called
RUNNER_FALLBACK: Final = "bento_monitor.runner.fallback"  # why the own model ran although a release is active
OWN_MODEL: Final = "own"
SAMPLING_REASON: Final = "bento_monitor.sampling_reason"  # why tail sampling kept the request: failed, slow, first
LOOP_LAG_NS: Final = "bento_monitor.loop.lag_ns"  # time the event loop was busy while the request lay in the kernel
INCOMPLETE: Final = "bento_monitor.incomplete"  # the error because of which the rest of a trace is missing
UNACCOUNTED_NS: Final = "bento_monitor.unaccounted_ns"  # the part of a request's time that no stage covers

# Only fields listed in the settings are captured; the field's name follows this prefix.
CAPTURED_PREFIX: Final = "bento_monitor.captured."

# The stages of a request, in order. Each is an attribute of the server span; some are also spans.
STAGE_SOCKET_WAIT: Final = "bento_monitor.stage.socket_wait_ns"  # from readiness on the socket to the read by the loop
STAGE_LOOP_WAIT: Final = "bento_monitor.stage.loop_wait_ns"  # from the read to the start of processing
STAGE_READ: Final = "bento_monitor.stage.read_ns"  # routing, and reading the body
STAGE_PARSE: Final = "bento_monitor.stage.parse_ns"  # parsing and validation, which pydantic does in one step
STAGE_QUEUE: Final = "bento_monitor.stage.queue_ns"  # waiting for a batch, or for a thread
STAGE_ASSEMBLE: Final = "bento_monitor.stage.assemble_ns"  # putting its batch together
STAGE_THREAD_WAIT: Final = "bento_monitor.stage.thread_wait_ns"  # waiting of its batch for a thread
STAGE_INFER: Final = "bento_monitor.stage.infer_ns"  # the user's function
STAGE_SPLIT: Final = "bento_monitor.stage.split_ns"  # taking its part out of the output, and back to the event loop
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
# The other stages are attributes only: each span costs sending, storing and drawing.
SPAN_OF_STAGE: Final = {
    STAGE_PARSE: SPAN_PARSE,
    STAGE_QUEUE: SPAN_QUEUE,
    STAGE_INFER: SPAN_INFER,
    STAGE_SERIALIZE: SPAN_SERIALIZE,
}

# Metrics. In Prometheus, dots become underscores and the unit is the last word.
METRIC_REQUEST_DURATION: Final = "bento_monitor.request.duration"  # s, first byte read to last byte written
METRIC_STAGE_DURATION: Final = "bento_monitor.stage.duration"  # s
METRIC_LOOP_LAG: Final = "bento_monitor.loop.lag"  # s
METRIC_BATCH_SIZE: Final = "bento_monitor.batch.size"  # requests
METRIC_MODEL_GPU: Final = "bento_monitor.model.gpu"  # s, kernels of one call, measured with CUDA events
METRIC_QUEUE_DEPTH: Final = "bento_monitor.queue.depth"  # rows waiting for a batch
METRIC_IN_FLIGHT: Final = "bento_monitor.requests.in_flight"
METRIC_RATE_LIMITED: Final = "bento_monitor.traces.rate_limited"
METRIC_RECORDS_DROPPED: Final = "bento_monitor.records.dropped"  # ledgers and batches dropped before they became spans
METRIC_SPANS: Final = "bento_monitor.spans"  # by exporter and state: built, exported, dropped
METRIC_RELEASE_INFO: Final = "bento_monitor.release.info"  # workers that serve a release, by runner and phase
METRIC_RELEASE_FALLBACK: Final = "bento_monitor.release.fallback"  # calls run by the own model instead of a release
METRIC_RELEASE_SWAPS: Final = "bento_monitor.release.swaps"  # taken, refused, failed
METRIC_HOOK_ENABLED: Final = "bento_monitor.hook.enabled"  # workers that use a hook into BentoML
METRIC_BREAKER_STATE: Final = "bento_monitor.breaker.state"  # workers whose circuit breaker of a part is in that state
METRIC_BREAKER_OPENS: Final = "bento_monitor.breaker.opens"
METRIC_BREAKER_RETRIES: Final = "bento_monitor.breaker.retries"
METRIC_THREAD_CPU: Final = "bento_monitor.thread.cpu"  # s, per thread of bento-monitor
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
