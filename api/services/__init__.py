"""The REST services, each with `service.py`, `kinds/<kind>.py`, and `logic/<topic>.py`."""
