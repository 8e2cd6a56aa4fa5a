"""The gain of more photos: learning curves and their extrapolation."""
