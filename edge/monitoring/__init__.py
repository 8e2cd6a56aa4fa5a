"""What the daemon reports about itself: status, metrics, heat, systemd."""
