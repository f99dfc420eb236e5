"""Metrics of all requests of a worker, counted outside the request path: on BentoML's `/metrics` and by OTLP."""
