"""The whole line in front of your eyes, on one machine."""
