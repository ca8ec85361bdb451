"""Delivery of events, at least once, to subscribers in this process and to webhooks."""
