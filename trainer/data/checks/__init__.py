"""Finds faults of a dataset, and repairs them."""
