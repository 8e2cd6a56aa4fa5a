"""All line PCs of a plant: the inventory, flashing in waves, and their states."""
