"""MQTT: the only door to paho in the daemon."""

from edge.delivery.publisher.thread import Publisher

__all__ = ["Publisher"]
