"""What a person can choose of a training, and what is chosen where nothing is given.

Loads no training library: the command line prints these values in its help.
"""

from enum import StrEnum

DEFAULT_WEIGHTS = "yolox-nano-coco-drawn"
BATCH = 8
# Of AdamW; the rates are measured on several products: bench/products.py
LEARNING_RATE = 3e-3
# With weights that have seen real photos, where defects are large: these weights need
# little change, and the high rate costs up to 8 points of mAP@.5.
LOW_LEARNING_RATE = 1e-3


class Freeze(StrEnum):
    """The part of a detector whose weights are frozen."""

    NOTHING = "nothing"
    BACKBONE = "trunk"  # the value of the option, and of stored recipes
