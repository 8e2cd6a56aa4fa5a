"""From verdicts on alerts to photos for the next training."""
