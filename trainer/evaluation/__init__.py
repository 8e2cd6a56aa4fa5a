"""How well a detector does: metrics, thresholds, and evaluation of packages."""
