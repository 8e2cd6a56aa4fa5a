"""Installs a model package on a line PC, tests it there, and rolls it back."""
