"""Reports of the daemon about itself: status, metrics, temperature, systemd."""
