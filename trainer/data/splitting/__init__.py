"""Splits photos into those to train on and those to hold out."""
