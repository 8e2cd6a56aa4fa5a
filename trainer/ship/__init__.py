"""Shipping: export, quantization, validation, and the package for the line PC."""
