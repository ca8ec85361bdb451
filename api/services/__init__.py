"""The REST services, all of one shape: `service.py`, `kinds/<kind>.py`, `logic/<topic>.py`."""
