"""The web page, its API and its live events."""
