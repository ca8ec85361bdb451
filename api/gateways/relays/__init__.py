"""Relays that send every event to a message broker: a Redis stream or a Kafka topic."""
