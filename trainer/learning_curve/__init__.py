"""What more photos would bring: learning curves and their extrapolation."""
