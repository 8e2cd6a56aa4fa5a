"""From the outbox to the broker."""

from edge.delivery.publisher.publisher import Publisher

__all__ = ["Publisher"]
