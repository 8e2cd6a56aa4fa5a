"""Figures and charts of quality: rates with intervals, control charts. Pure."""
