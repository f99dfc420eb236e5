"""Profiling of a service from idle to overload: throughput, latency, stage times and bottlenecks."""
