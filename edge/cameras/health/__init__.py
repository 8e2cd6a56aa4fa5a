"""Detects frames that do not show the scene: black, covered, blurred, moved, frozen."""
