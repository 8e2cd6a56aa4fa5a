"""COCO: the structure of its files, and the photos in them."""
