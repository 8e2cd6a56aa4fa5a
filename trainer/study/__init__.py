"""Trainings of trainings: what one run alone cannot tell."""
