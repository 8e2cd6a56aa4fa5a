"""Metrics, thresholds, and the evaluation of runs and packages."""
