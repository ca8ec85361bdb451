"""HTTP: the ASGI stack, the guard, and the request handlers of operations."""
