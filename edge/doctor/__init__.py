"""Checks whether this line PC is fit to inspect, in five seconds if cameras answer."""
