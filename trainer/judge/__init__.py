"""Judging: metrics, thresholds, and the report of a run."""
