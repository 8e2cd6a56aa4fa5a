"""Drawn photos and a video of one family of parts with exactly known defects.

``graftline synth`` and the demo use them. The same seed draws the same pictures. The
pictures for pretraining are drawn by ``pretraining``; they never show these parts.
"""
