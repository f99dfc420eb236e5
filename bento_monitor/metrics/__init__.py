"""What all requests of a worker were, counted off their path: on BentoML's `/metrics`, and by OTLP."""
