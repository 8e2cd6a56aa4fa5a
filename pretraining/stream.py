"""The pictures that a detector's backbone is pretrained on.

A picture is a material, perhaps a structure on it, defects of the structure's geometry,
defects painted on top, light, and camera. A box is the tight box of the pixels that the
defect changed, after the same light and lens; an invisible defect is dropped.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pretraining import nuisance
from pretraining.camera import (
    Camera,
    Light,
    apply_lens,
    draw_camera,
    even_light,
    expose,
    read_sensor,
)
from pretraining.defects import (
    EDITS,
    LABEL_OF,
    MARKS,
    DefectKind,
    geometric_kinds,
    painted_kinds,
)
from pretraining.edits import index_mask
from pretraining.marks import MarkSpot
from pretraining.structures import Structure, shape
from pretraining.surfaces import Material, Surface, paint
from pretraining.textures import grain
from trainer.data.synthetic.raster import (
    FloatImage,
    FrameImage,
    Mask,
    PixelWindow,
    Plane,
    blur,
    bounding_box,
    max_channel,
    to_channels,
    unit,
    window_around,
)

MAX_DEFECTS = 12
SMALLEST_PX = 4
LARGEST_SHARE = 0.4
EMPTY_SHARE = 0.12

_SPREAD_PX = 6  # how far the softness and the rim of an edge reach

_EDIT_SCALE = 0.7  # changes of geometry are smaller than stains and scratches

_STRUCTURES = tuple(Structure)
_STRUCTURE_ODDS = (0.44, 0.16, 0.12, 0.13, 0.05, 0.10)
_STRUCTURED_SHARE = 0.68
# share of circuits shown by a binary camera: black and white, no grey
_BINARY_SHARE = 0.35


class LayerStyle(StrEnum):
    """How a structure differs from the ground below it."""

    FLAT = "flat"
    INK = "ink"
    OTHER = "other"
    RELIEF = "relief"


@dataclass(frozen=True, slots=True)
class DrawnScene:
    """Two surfaces and the mask that selects one of them for each pixel."""

    ground: Surface  # visible where the mask is 0
    top: Surface | None  # visible where the mask is 255; None = no structure
    mask: Mask  # [S, S] uint8
    structure: Structure | None  # what the mask shows; None = no structure
    edge_px: float  # softness of the structure's edge
    relief: float  # grey levels of the light and dark rim; 0 = flat
    rim: float  # light's direction for the rim, radians


@dataclass(frozen=True, slots=True)
class DrawnDefect:
    """A defect as drawn, before its visibility is measured."""

    kind: DefectKind
    window: PixelWindow  # where the picture changed
    before: FloatImage  # [h, w, 3] float32, the window without the defect


def _compose(scene: DrawnScene, mask: Mask, window: PixelWindow) -> FloatImage:
    """Return a window of the scene under a mask of the window's size."""
    ground = scene.ground.picture[window.slices]
    if scene.top is None:
        return ground.copy()
    alpha: Plane = blur(unit(mask), scene.edge_px)
    shown = scene.top.picture[window.slices] - ground
    shown *= to_channels(alpha)
    shown += ground
    if scene.relief:
        bump = blur(alpha, 1.2)
        shading = np.cos(scene.rim) * (np.roll(bump, 1, 1) - np.roll(bump, -1, 1))
        shading += np.sin(scene.rim) * (np.roll(bump, 1, 0) - np.roll(bump, -1, 0))
        shown += to_channels((shading * scene.relief).astype(np.float32))
    return shown


def draw_scene(rng: np.random.Generator, size_px: int) -> tuple[DrawnScene, Camera]:
    """Return a scene without any defect, and its camera."""
    blank = np.zeros((size_px, size_px), np.uint8)
    if rng.random() >= _STRUCTURED_SHARE:
        materials = [m for m in Material if m is not Material.FLAT]
        ground = paint(rng, materials[int(rng.integers(len(materials)))], size_px)
        scene = DrawnScene(ground, None, blank, None, 0.0, 0.0, 0.0)
        return scene, draw_camera(rng, binary=False)
    structure = _STRUCTURES[int(rng.choice(len(_STRUCTURES), p=_STRUCTURE_ODDS))]
    mask = shape(rng, structure, size_px)
    binary = structure is Structure.CIRCUIT and rng.random() < _BINARY_SHARE
    style = LayerStyle.FLAT if binary else _draw_style(rng, structure)
    ground, top = _draw_layers(rng, structure, style, size_px)
    scene = DrawnScene(
        ground,
        top,
        mask,
        structure,
        edge_px=rng.uniform(0, 0.9),
        relief=rng.uniform(20, 110) if style is LayerStyle.RELIEF else 0.0,
        rim=rng.uniform(0, 2 * np.pi),
    )
    return scene, draw_camera(rng, binary=binary)


def _draw_style(rng: np.random.Generator, structure: Structure) -> LayerStyle:
    match structure:
        case Structure.PRINT | Structure.CODE:
            return LayerStyle.INK if rng.random() < 0.8 else LayerStyle.RELIEF
        case Structure.CIRCUIT:
            odds = (0.2, 0.2, 0.4, 0.2)
        case _:
            odds = (0.05, 0.15, 0.5, 0.3)
    return tuple(LayerStyle)[int(rng.choice(4, p=odds))]


def _draw_layers(
    rng: np.random.Generator, structure: Structure, style: LayerStyle, size_px: int
) -> tuple[Surface, Surface]:
    """Return what lies below and on top of a structure's mask."""
    light, dark = (205.0, 255.0), (0.0, 45.0)
    if style is LayerStyle.FLAT:
        levels = (dark, light) if rng.random() < 0.5 else (light, dark)
        below, above = (
            paint(rng, Material.FLAT, size_px, grey=grey) for grey in levels
        )
        return below, above
    materials = tuple(Material)
    ground = paint(rng, materials[int(rng.integers(len(materials)))], size_px)
    level = float(ground.picture.mean())
    if style is LayerStyle.RELIEF:
        lifted = ground.picture * np.float32(rng.uniform(0.8, 1.25))
        return ground, Surface(lifted, ground.roughness, ground.material)
    away = rng.uniform(35, 150)
    target = level + away if level + away < 245 and rng.random() < 0.5 else level - away
    target = float(np.clip(target if target > 8 else level + away, 5, 250))
    grey = (target, target)
    if style is LayerStyle.INK:
        return ground, paint(rng, Material.FLAT, size_px, grey=grey)
    metals = (Material.CAST_METAL, Material.BRUSHED_METAL, Material.FLAT)
    pool = metals if structure is Structure.CIRCUIT else materials
    return ground, paint(rng, pool[int(rng.integers(len(pool)))], size_px, grey=grey)


def _draw_extent(rng: np.random.Generator, size_px: int) -> float:
    """Return a defect's extent: most are small, some fill 40 % of the picture."""
    largest = LARGEST_SHARE * size_px
    cap = largest if rng.random() < 0.35 else min(largest, 0.14 * size_px)
    return float(np.exp(rng.uniform(np.log(SMALLEST_PX + 1), np.log(cap))))


def _draw_count(rng: np.random.Generator) -> int:
    if rng.random() < EMPTY_SHARE:
        return 0
    return min(MAX_DEFECTS, 1 + int(rng.exponential(4.5)))


def draw_geometry_defects(
    rng: np.random.Generator, scene: DrawnScene, count: int
) -> tuple[FloatImage, list[DrawnDefect]]:
    """Return the composed picture and the defects drawn into its geometry.

    Args:
        count: Wanted number; fewer where there is no room.

    Returns:
        The picture ``[S, S, 3]`` float32 before light and lens, and the defects.
    """
    size_px = scene.mask.shape[0]
    whole = PixelWindow(0, 0, size_px, size_px)
    if scene.structure is None or count == 0:
        return _compose(scene, scene.mask, whole), []
    index = index_mask(scene.mask)
    kinds = geometric_kinds(scene.structure)
    edited = scene.mask.copy()
    found: list[tuple[DefectKind, PixelWindow]] = []
    for _ in range(3 * count):
        if len(found) == count:
            break
        kind = kinds[int(rng.integers(len(kinds)))]
        extent = _draw_extent(rng, size_px) * _EDIT_SCALE
        edit = EDITS[kind](rng, index, extent)
        if edit is None or any(_touch(edit.window, other) for _, other in found):
            continue
        edited[edit.window.slices] = edit.mask
        found.append((kind, edit.window))
    defects = [
        DrawnDefect(kind, window, _without_defects(scene, window))
        for kind, window in found
    ]
    return _compose(scene, edited, whole), defects


def _without_defects(scene: DrawnScene, window: PixelWindow) -> FloatImage:
    """Return a window of the scene without defects, right up to its border."""
    wide = window.grown(_SPREAD_PX, scene.mask.shape)
    composed = _compose(scene, scene.mask[wide.slices], wide)
    top, left = window.top - wide.top, window.left - wide.left
    return composed[top : top + window.height_px, left : left + window.width_px]


def _touch(a: PixelWindow, b: PixelWindow) -> bool:
    wide = min(a.right, b.right) - max(a.left, b.left)
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    return min(wide, high) > -_SPREAD_PX


def _paint_marks(
    rng: np.random.Generator,
    scene: DrawnScene,
    picture: FloatImage,
    count: int,
    taken: list[DrawnDefect],
    noise: float,
) -> list[DrawnDefect]:
    """Paint defects over the picture, in place, apart from those already there."""
    kinds = painted_kinds(scene.ground.material)
    windows = [defect.window for defect in taken]
    defects: list[DrawnDefect] = []
    roughness = max(5.0, float(np.hypot(scene.ground.roughness, noise)))
    for _ in range(2 * count):
        if len(defects) == count:
            break
        kind = kinds[int(rng.integers(len(kinds)))]
        extent = _draw_extent(rng, picture.shape[0])
        x, y = rng.uniform(0, picture.shape[0], 2)
        window = window_around(x, y, extent * 0.62 + 4, picture.shape)
        if any(_touch(window, other) for other in windows):
            continue
        before = picture[window.slices].copy()
        contrast = min(130.0, roughness * float(np.exp(rng.uniform(0.8, 2.4))))
        spot = MarkSpot(picture[window.slices], *window.local(x, y), extent, contrast)
        MARKS[kind](rng, spot)
        windows.append(window)
        defects.append(DrawnDefect(kind, window, before))
    return defects


def visible_box(
    defect: DrawnDefect,
    picture: FloatImage,
    light: Light,
    camera: Camera,
    roughness: float,
) -> npt.NDArray[np.float32] | None:
    """Return the tight box of what a defect changed, ``[4]``; None = invisible.

    Args:
        picture: ``[S, S, 3]`` the scene with all its defects, before light and lens.
        roughness: Grey levels of texture and noise that the change must exceed.
    """
    window = defect.window
    after = apply_lens(expose(picture[window.slices], light, window), camera)
    before = apply_lens(expose(defect.before, light, window), camera)
    change = max_channel(np.abs(after - before))  # [h, w]
    peak = float(change.max())
    if peak < 10 + roughness:
        return None
    seen = change > max(5.0, 0.3 * peak)
    box = bounding_box(seen)
    if box is None or max(box[2] - box[0], box[3] - box[1]) < SMALLEST_PX:
        return None
    if float(change[seen].mean()) < 7 + 0.6 * roughness or np.count_nonzero(seen) < 6:
        return None
    corner = (window.left, window.top) * 2
    return np.add(box, corner).astype(np.float32)


def draw_sample(
    rng: np.random.Generator, size_px: int
) -> tuple[FrameImage, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return one picture with its defects.

    Args:
        rng: Random generator; the same state draws the same bytes.

    Returns:
        The picture ``[S, S, 3]`` uint8 BGR, boxes ``[N, 4]`` float32 xyxy in pixels,
        and labels ``[N]`` int64, indices into ``defects.KINDS``; N is 0..12.
    """
    scene, camera = draw_scene(rng, size_px)
    light = draw_scene_light(rng, camera, size_px)
    if camera.threshold is None:
        if rng.random() < 0.12:
            nuisance.tool_marks(rng, scene.ground.picture)
        if rng.random() < 0.06:
            nuisance.border(rng, scene.ground.picture)
    count = _draw_count(rng)
    carved = count
    if camera.threshold is None and scene.structure is not Structure.CIRCUIT:
        carved = int(rng.binomial(count, 0.5))
    elif camera.threshold is None:
        carved = int(rng.binomial(count, 0.8))
    picture, defects = draw_geometry_defects(rng, scene, carved)
    if camera.threshold is None:
        rest = count - len(defects)
        defects += _paint_marks(rng, scene, picture, rest, defects, camera.noise)
    roughness = float(np.hypot(scene.ground.roughness * 0.5, camera.noise))
    kept = [
        (box, LABEL_OF[defect.kind])
        for defect in defects
        if (box := visible_box(defect, picture, light, camera, roughness)) is not None
    ]
    frame = read_sensor(rng, apply_lens(expose(picture, light), camera), camera)
    boxes = np.array([box for box, _ in kept], np.float32).reshape(-1, 4)
    return frame, boxes, np.array([label for _, label in kept], np.int64)


def draw_scene_light(rng: np.random.Generator, camera: Camera, size_px: int) -> Light:
    """Return a scene's light; for a binary camera it is even and edges are ragged."""
    if camera.threshold is None:
        return nuisance.draw_light(rng, size_px)
    light = even_light(size_px)
    ragged = np.float32(rng.uniform(0, 16))
    np.add(light.glow, to_channels(grain(rng, size_px) * ragged), out=light.glow)
    return light
