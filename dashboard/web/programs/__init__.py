"""For other programs: figures for Prometheus, and a description of the API."""
