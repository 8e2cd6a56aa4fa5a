"""The settings of ``edge.toml``, one module for each part of the daemon."""
