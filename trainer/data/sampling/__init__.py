"""Training samples: augmented photos, crops, pasted defects, tiles."""
