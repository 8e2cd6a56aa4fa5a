"""The kinds of finding: what belongs together on a terminal and on the page."""

from enum import StrEnum


class Kind(StrEnum):
    """What a finding is about; the value is what ``check --json`` says."""

    ANNOTATION = "annotation"
    UNREADABLE_PHOTO = "unreadable-photo"
    WRONG_SIZE = "wrong-size"
    EMPTY_BOX = "empty-box"
    OUTSIDE_BOX = "outside-box"
    CLIPPED_BOX = "clipped-box"
    DUPLICATE_BOX = "duplicate-box"
    HUGE_BOX = "huge-box"
    SMALL_BOX = "small-box"
    DUPLICATE_PHOTO = "duplicate-photo"
    CONTRADICTION = "contradiction"
    SAME_IN_TWO_SPLITS = "same-in-two-splits"
    NEAR_IN_TWO_SPLITS = "near-in-two-splits"
    SIMILAR_LABELS = "similar-labels"
    RARE_LABEL = "rare-label"
    ONE_SIDED_LABEL = "one-sided-label"
    COLOUR_MIX = "colour-mix"
    SHAPE_MIX = "shape-mix"
    SCALE_MIX = "scale-mix"
    LOOKS_DEFECTIVE = "looks-defective"
    FEW_GOOD = "few-good"
    SPLITS = "splits"

    @property
    def heading(self) -> str:
        """The kind in words."""
        return HEADINGS[self]


HEADINGS = {
    Kind.ANNOTATION: "Annotations to look at",
    Kind.UNREADABLE_PHOTO: "Photos that cannot be read, or are cut off",
    Kind.WRONG_SIZE: "Boxes drawn on a picture of another size",
    Kind.EMPTY_BOX: "Boxes that are empty",
    Kind.OUTSIDE_BOX: "Boxes outside their photo",
    Kind.CLIPPED_BOX: "Boxes that reach outside their photo",
    Kind.DUPLICATE_BOX: "Boxes that are there twice",
    Kind.HUGE_BOX: "Boxes that cover nearly the whole photo",
    Kind.SMALL_BOX: "Boxes that are too small at the input's size",
    Kind.DUPLICATE_PHOTO: "Photos that are there twice",
    Kind.CONTRADICTION: "The same picture, labelled differently",
    Kind.SAME_IN_TWO_SPLITS: "The same picture in two splits",
    Kind.NEAR_IN_TWO_SPLITS: "Nearly the same picture in two splits",
    Kind.SIMILAR_LABELS: "Class names that differ by case or space",
    Kind.RARE_LABEL: "Classes with few examples",
    Kind.ONE_SIDED_LABEL: "Classes that are not trained on, or not measured on",
    Kind.COLOUR_MIX: "Grey among colour",
    Kind.SHAPE_MIX: "Photos of another shape",
    Kind.SCALE_MIX: "Photos of a very different size",
    Kind.LOOKS_DEFECTIVE: "Photos without a label that look defective",
    Kind.FEW_GOOD: "Too few good parts",
    Kind.SPLITS: "What is trained on and what is measured on",
}
