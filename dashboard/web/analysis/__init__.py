"""Charts and reports over time: classes, rates, shifts, models."""
