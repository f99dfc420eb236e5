"""Trace context: the caller of a request, and the propagation to the services that it calls."""
