"""Even distribution of connections over the worker processes that accept from one listening socket."""
