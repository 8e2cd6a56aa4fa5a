"""The outbox: events on disk until the collector has acknowledged them."""
