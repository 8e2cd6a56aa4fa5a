"""Is this line PC fit to inspect? Checks side by side, in five seconds."""
