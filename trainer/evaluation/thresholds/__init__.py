"""Chooses the score threshold of each class on validation photos."""
