"""Cameras: one child process each, connected by lock-free shared memory."""
