"""Structures: circuits, parts, holes, print, stripes, as one mask each."""

from enum import StrEnum
from typing import assert_never

import cv2
import numpy as np

from pretraining.traces import circuit
from trainer.data.synthetic.raster import (
    Mask,
    Points,
    draw_disc,
    draw_line,
    draw_polygon,
)


class Structure(StrEnum):
    """Kinds of geometry on a surface."""

    CIRCUIT = "circuit"
    PART = "part"
    HOLES = "holes"
    PRINT = "print"
    CODE = "code"
    STRIPES = "stripes"


_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)
_LETTERS = np.array(list("ABCDEFGHKLMNPRSTUVXYZ0123456789abcdeghknprstuvz-./:+"))


def _rounded(
    x: float, y: float, width_px: float, height_px: float, angle: float, power: float
) -> Points:
    """Return a superellipse: 2 = ellipse, above 6 = a box with round corners."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cosine, sine = np.cos(angles), np.sin(angles)
    xs = np.sign(cosine) * np.abs(cosine) ** (2 / power) * width_px / 2
    ys = np.sign(sine) * np.abs(sine) ** (2 / power) * height_px / 2
    turned_x = x + xs * np.cos(angle) - ys * np.sin(angle)
    turned_y = y + xs * np.sin(angle) + ys * np.cos(angle)
    return np.stack([turned_x, turned_y], axis=1).astype(np.float32)


def _gear(rng: np.random.Generator, x: float, y: float, radius_px: float) -> Points:
    teeth = int(rng.integers(6, 40))
    angles = np.linspace(0, 2 * np.pi, teeth * 4, endpoint=False)
    depth = rng.uniform(0.05, 0.2)
    levels = np.tile([1.0, 1.0, 1 - depth, 1 - depth], teeth) * radius_px
    angles = angles + rng.uniform(0, 2)
    return np.stack(
        [x + levels * np.cos(angles), y + levels * np.sin(angles)], axis=1
    ).astype(np.float32)


def _part(rng: np.random.Generator, size_px: int) -> Mask:
    mask = np.zeros((size_px, size_px), np.uint8)
    many = rng.random() < 0.35
    for _ in range(int(rng.integers(3, 12)) if many else 1):
        x, y = rng.uniform(0, size_px, 2)
        extent = size_px * (rng.uniform(0.08, 0.3) if many else rng.uniform(0.5, 1.3))
        kind = int(rng.integers(4))
        if kind == 0:
            draw_polygon(mask, _gear(rng, x, y, extent / 2))
        else:
            height = extent * rng.uniform(0.3, 1.0)
            power = float(rng.choice([2.0, 2.0, 6.0, 14.0]))
            outline = _rounded(x, y, extent, height, rng.uniform(0, 3.2), power)
            draw_polygon(mask, outline)
        if rng.random() < 0.5:
            draw_disc(mask, x, y, extent * rng.uniform(0.05, 0.22), 0)
        if rng.random() < 0.4:
            count = int(rng.integers(3, 9))
            for angle in np.arange(count) * 2 * np.pi / count:
                reach = extent * 0.32
                hole_x, hole_y = x + reach * np.cos(angle), y + reach * np.sin(angle)
                draw_disc(mask, hole_x, hole_y, extent * 0.04 + 1, 0)
    return mask


def _holes(rng: np.random.Generator, size_px: int) -> Mask:
    """Return a plate with a regular grid of holes, slots or studs."""
    mask = np.full((size_px, size_px), 255, np.uint8)
    pitch = size_px * rng.uniform(0.06, 0.25)
    radius = pitch * rng.uniform(0.15, 0.42)
    offset = pitch / 2 if rng.random() < 0.4 else 0.0
    slot = pitch * rng.uniform(0.2, 0.5) if rng.random() < 0.25 else 0.0
    angle = rng.choice([0.0, 0.0, rng.uniform(0, 1.57)])
    cosine, sine = np.cos(angle), np.sin(angle)
    reach = int(1.5 * size_px / pitch) + 1
    x0, y0 = rng.uniform(0, pitch, 2) - size_px * 0.25
    for row in range(reach):
        for column in range(reach):
            u = x0 + column * pitch + (offset if row % 2 else 0.0) - size_px / 2
            v = y0 + row * pitch - size_px / 2
            x, y = (
                size_px / 2 + u * cosine - v * sine,
                size_px / 2 + u * sine + v * cosine,
            )
            if not (-pitch < x < size_px + pitch and -pitch < y < size_px + pitch):
                continue
            if slot:
                ends = np.array([(x - slot, y), (x + slot, y)], np.float32)
                draw_line(mask, ends, max(2, round(radius)), 0)
            else:
                draw_disc(mask, x, y, radius, 0)
    return cv2.bitwise_not(mask).astype(np.uint8) if rng.random() < 0.3 else mask


def _print(rng: np.random.Generator, size_px: int) -> Mask:
    """Return rows of text, turned by a few degrees or any angle."""
    mask = np.zeros((size_px, size_px), np.uint8)
    font = _FONTS[int(rng.integers(len(_FONTS)))]
    row_px = size_px * rng.uniform(0.05, 0.3)
    scale = row_px / 32 * rng.uniform(0.7, 1.0)
    thick = max(1, round(scale * rng.uniform(1.2, 4)))
    y = rng.uniform(0, row_px)
    while y < size_px * 1.1:
        if rng.random() < 0.85:
            text = "".join(rng.choice(_LETTERS, int(rng.integers(3, 22))))
            x = int(rng.uniform(-0.1, 0.4) * size_px)
            cv2.putText(mask, text, (x, int(y)), font, scale, 255, thick, cv2.LINE_AA)
        if rng.random() < 0.15:
            ends = np.array([(0, y + 6), (size_px, y + 6)], np.float32)
            draw_line(mask, ends, thick)
        y += row_px * rng.uniform(1.0, 1.5)
    if rng.random() < 0.6:
        spread = 3 if rng.random() < 0.7 else 180
        centre = (size_px / 2, size_px / 2)
        turn = cv2.getRotationMatrix2D(centre, rng.uniform(-spread, spread), 1.0)
        mask = cv2.warpAffine(mask, turn, (size_px, size_px)).astype(np.uint8)
    return mask


def _code(rng: np.random.Generator, size_px: int) -> Mask:
    mask = np.zeros((size_px, size_px), np.uint8)
    module = int(rng.integers(3, max(4, size_px // 24)))
    across = int(rng.integers(10, 40))
    down = across if rng.random() < 0.6 else 1
    cells = (rng.random((down, across)) < 0.5).astype(np.uint8) * 255
    tall = module if down > 1 else int(size_px * rng.uniform(0.1, 0.4))
    picture = np.kron(cells, np.ones((tall, module), np.uint8))
    picture = picture[:size_px, :size_px]
    if rng.random() < 0.5:
        picture = picture.T
    height, width = picture.shape
    top = int(rng.integers(0, size_px - height + 1))
    left = int(rng.integers(0, size_px - width + 1))
    mask[top : top + height, left : left + width] = picture
    return mask


def _stripes(rng: np.random.Generator, size_px: int) -> Mask:
    """Return ribs, fins, slots or a frame: long straight edges."""
    mask = np.zeros((size_px, size_px), np.uint8)
    pitch = size_px * rng.uniform(0.05, 0.5)
    width_px = max(2, round(pitch * rng.uniform(0.15, 0.7)))
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    middle = np.array([size_px / 2, size_px / 2])
    for place in np.arange(-0.8 * size_px, 0.8 * size_px, pitch):
        centre = middle + across * place
        ends = np.stack([centre - along * size_px, centre + along * size_px])
        draw_line(mask, ends.astype(np.float32), width_px)
        if rng.random() < 0.08:
            break
    return mask


def shape(rng: np.random.Generator, structure: Structure, size_px: int) -> Mask:
    """Return the mask of one structure, its edges anti-aliased."""
    match structure:
        case Structure.CIRCUIT:
            return circuit(rng, size_px)
        case Structure.PART:
            return _part(rng, size_px)
        case Structure.HOLES:
            return _holes(rng, size_px)
        case Structure.PRINT:
            return _print(rng, size_px)
        case Structure.CODE:
            return _code(rng, size_px)
        case Structure.STRIPES:
            return _stripes(rng, size_px)
        case _:
            assert_never(structure)
