"""MQTT: the only door to paho in the daemon."""

from edge.delivery.publisher.publisher import Publisher

__all__ = ["Publisher"]
