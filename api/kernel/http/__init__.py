"""From bytes to operations and back: the ASGI stack, the guard, the one handler."""
