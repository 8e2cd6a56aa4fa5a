"""From a decision to the broker: evidence, the outbox on disk, and MQTT."""
