"""Line PCs and cameras: their states, models and settings."""
