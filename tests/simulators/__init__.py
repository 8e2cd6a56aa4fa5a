"""Simulators of our own protocols, and real servers on loopback."""
