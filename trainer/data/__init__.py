"""Data sets: reading, checking, splitting, transforming, and making them."""
