"""The kinds of defects, where each can occur, and the function that draws it."""

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from pretraining import edits, marks
from pretraining.edits import Edit, MaskIndex
from pretraining.marks import MarkSpot
from pretraining.structures import Structure
from pretraining.surfaces import Material


class DefectKind(StrEnum):
    """The labels of boxes; the order is the label's number."""

    SCRATCH = "scratch"
    CRACK = "crack"
    DENT = "dent"
    PIT = "pit"
    STAIN = "stain"
    INCLUSION = "inclusion"
    CHIP = "chip"
    BURR = "burr"
    MISSING_MATERIAL = "missing_material"
    EXTRA_MATERIAL = "extra_material"
    OPEN = "open"
    SHORT = "short"
    MISPRINT = "misprint"
    WEAVE_FAULT = "weave_fault"
    BLISTER = "blister"
    FOREIGN_BODY = "foreign_body"


KINDS: tuple[DefectKind, ...] = tuple(DefectKind)
LABEL_OF: dict[DefectKind, int] = {kind: index for index, kind in enumerate(KINDS)}

# kinds that change the structure's mask
EDITS: dict[
    DefectKind, Callable[[np.random.Generator, MaskIndex, float], Edit | None]
] = {
    DefectKind.CHIP: edits.bite,
    DefectKind.BURR: edits.spur,
    DefectKind.MISSING_MATERIAL: edits.hole,
    DefectKind.EXTRA_MATERIAL: edits.island,
    DefectKind.OPEN: edits.open_gap,
    DefectKind.SHORT: edits.bridge,
    DefectKind.MISPRINT: edits.smudge,
}

# kinds that are painted over the picture
MARKS: dict[DefectKind, Callable[[np.random.Generator, MarkSpot], None]] = {
    DefectKind.SCRATCH: marks.scratch,
    DefectKind.CRACK: marks.crack,
    DefectKind.DENT: marks.dent,
    DefectKind.PIT: marks.pit,
    DefectKind.STAIN: marks.stain,
    DefectKind.INCLUSION: marks.inclusion,
    DefectKind.WEAVE_FAULT: marks.weave_fault,
    DefectKind.BLISTER: marks.blister,
    DefectKind.FOREIGN_BODY: marks.foreign_body,
}

_SOLID = (
    DefectKind.CHIP,
    DefectKind.BURR,
    DefectKind.MISSING_MATERIAL,
    DefectKind.EXTRA_MATERIAL,
)
_NETWORK = (*_SOLID, DefectKind.OPEN, DefectKind.SHORT)
_PRINTED = (DefectKind.MISPRINT, DefectKind.OPEN, *_SOLID)
_PAINTED = tuple(kind for kind in MARKS if kind is not DefectKind.WEAVE_FAULT)


def geometric_kinds(structure: Structure) -> tuple[DefectKind, ...]:
    """Return the kinds that can happen to a structure's geometry."""
    match structure:
        case Structure.CIRCUIT:
            return _NETWORK
        case Structure.PRINT | Structure.CODE:
            return _PRINTED
        case Structure.HOLES | Structure.STRIPES:
            return _NETWORK
        case Structure.PART:
            return _SOLID


def painted_kinds(material: Material) -> tuple[DefectKind, ...]:
    """Return the kinds that can happen to a material's surface."""
    if material is Material.FABRIC:
        return (*_PAINTED, *(DefectKind.WEAVE_FAULT,) * 4)
    return _PAINTED
