"""Procedural pictures of industrial surfaces with exactly known defects.

Two uses. ``stream`` feeds pretraining with endless varied pictures; ``line``
draws one family of parts that the stream never shows, for the demo's photos and
video. Both draw from a seeded generator, so that a seed is a picture.
"""
