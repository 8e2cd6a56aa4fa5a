"""Values and types that several contracts share. Pure, as ``models.messages`` is."""

from typing import Annotated

from pydantic import Field

# Grey of the letterbox: YOLOX's official checkpoints were trained with it, and every
# package and its golden frames rely on it.
PAD_VALUE = 114

# Upper bounds of what foreign manifests and records state: far above what is built, far
# below what would fill the memory of a line PC.
PIXELS_MAX = 400_000_000  # of a picture: twice the largest line cameras
SIDE_MAX_PX = 65_535  # the longest side of a JPEG
INPUT_MAX_PX = 4096  # side of a graph's input: 200 MB of float32
TILES_MAX = 4096
LABELS_MAX = 1000
NAME_MAX = 256  # characters
COUNT_MAX = 2**53  # beyond, JSON of other languages loses digits

Share = Annotated[float, Field(ge=0, le=1)]
