"""Cameras: one child process each, joined by a lock-free slot for frames."""
