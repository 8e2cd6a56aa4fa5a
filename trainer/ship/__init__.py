"""Shipping: export, quantization, proof, and the package that the line PC gets."""
