"""The hooks into BentoML's private parts, for current services (`@bentoml.service`)."""
