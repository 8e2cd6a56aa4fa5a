"""The verb ``demo``: every step from photos to alerts, on one machine."""
