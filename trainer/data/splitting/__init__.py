"""Which photos are trained on and which are held out."""
