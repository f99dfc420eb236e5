"""Measurement from outside: none of this package runs in a worker, and no code of a worker imports it."""
