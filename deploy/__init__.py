"""Puts a model package on a line PC, proves it there, and takes it back."""
