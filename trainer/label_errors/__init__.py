"""Finds labels that are probably wrong or missing."""
