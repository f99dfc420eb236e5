"""The fast path: serves requests by the plan of their API, without BentoML's own code."""
