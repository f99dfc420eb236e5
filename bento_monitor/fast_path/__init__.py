"""A request's way through a worker; its entry is the outermost ASGI application."""
