"""The outbox: at-least-once delivery of events to subscribers of this process, brokers, and webhooks."""
