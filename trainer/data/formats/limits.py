"""Largest files and counts that the readers of a dataset accept.

Far above what annotation tools write, so that a file of a stranger cannot fill the
memory. ``docs/reference/labels.md`` lists them.

Source:
    CWE-400 (resources without a limit), CWE-409 (data that grows when it is read).
"""

# One file describes all photos. COCO's own instances_train2017.json has 470 million.
LABELS_MAX_BYTES = 512 << 20  # JSON, and XML of CVAT
JSON_MAX_PARTS = 20_000_000  # lists and objects; COCO's has 3 million
XML_MAX_ELEMENTS = 5_000_000  # 250 bytes of memory each
# One file describes one photo: 5,000 boxes have 0.5 MB, long outlines 20 kB each.
PHOTO_LABELS_MAX_BYTES = 16 << 20  # text of YOLO, and XML of Pascal VOC
TEXT_MAX_BYTES = 64 << 20  # a list of pictures: a million lines
SETTINGS_MAX_BYTES = 256 << 10  # data.yaml, obj.data, classes.txt: 10,000 class names
# Each box is compared with every other one of its photo.
BOXES_MAX = 5_000
