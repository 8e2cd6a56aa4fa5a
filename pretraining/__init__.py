"""Makes the shipped checkpoint: our detector, trained on drawn defects."""
