"""YOLO's folders and text files: settings, splits, label files and their lines."""
