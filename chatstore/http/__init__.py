"""The HTTP service: one ASGI app, the same on a laptop and on a cloud platform."""
