#!/bin/sh
# Run a real Jaeger on loopback, in the foreground: OTLP on 4317 and 4318, its API and page on 16686. Ctrl-C ends it.
set -eu

binary=$("$(dirname "$0")/build.sh")
cat <<MESSAGE
==> Jaeger: $binary
    send spans to   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
    read traces at  http://127.0.0.1:16686/api/traces?service=NAME
MESSAGE
export JAEGER_LISTEN_HOST=127.0.0.1
# Without these two it would listen for queries on every address of the machine.
exec "$binary" \
    --set extensions.jaeger_query.http.endpoint=127.0.0.1:16686 \
    --set extensions.jaeger_query.grpc.endpoint=127.0.0.1:16685 \
    --set extensions.jaeger_query.enable_tracing=false
