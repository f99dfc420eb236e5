"""From a request's stamps to exported spans."""
