"""Pascal VOC: its XML files, their pictures, and the lists of its splits."""
