"""The wall: a tile for each camera, for a screen that everybody sees."""
