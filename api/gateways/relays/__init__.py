"""Brokers that get every event: a stream of Redis or a topic of Kafka, as one more consumer of the outbox."""
