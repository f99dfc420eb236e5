"""What serves a request by the plan of its API, past BentoML's own code."""
