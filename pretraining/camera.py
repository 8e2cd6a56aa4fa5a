"""Light, lens and sensor: from a rendered scene to the bytes of a camera.

A picture becomes ``blur(clip(picture * gain + glow))`` plus noise. Light and lens can
be applied to a patch with and without its defect, to measure the visible change.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pretraining.textures import grain
from trainer.data.synthetic.raster import (
    FloatImage,
    FrameImage,
    PixelWindow,
    Plane,
    blur,
    to_channels,
)

_JPEG_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Light:
    """The effect of the light on each pixel."""

    gain: FloatImage  # [S, S, 3] float32 factor: gradient, vignetting, shadows
    glow: FloatImage  # [S, S, 3] float32 grey levels added: reflections, dust


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera's optics and sensor."""

    blur_px: float  # deviation of the lens blur
    noise: float  # deviation of the sensor noise in grey levels
    colour: bool
    # level above which a binary camera returns white; None = grey levels
    threshold: float | None
    jpeg_quality: int | None  # JPEG quality 1..100, or None for an uncompressed picture


def draw_camera(rng: np.random.Generator, *, binary: bool) -> Camera:
    """Return a random camera."""
    if binary:
        jpeg = 95 if rng.random() < _JPEG_SHARE else None
        return Camera(
            blur_px=rng.uniform(0.3, 0.9),
            noise=0.0,
            colour=False,
            threshold=rng.uniform(110, 145),
            jpeg_quality=jpeg,
        )
    return Camera(
        blur_px=rng.choice([0.0, rng.uniform(0.3, 0.7), rng.uniform(0.6, 1.3)]),
        noise=rng.choice([rng.uniform(0, 2), rng.uniform(1, 7)]),
        colour=rng.random() < 0.7,
        threshold=None,
        jpeg_quality=(
            int(rng.integers(55, 96)) if rng.random() < _JPEG_SHARE else None
        ),
    )


def even_light(size_px: int) -> Light:
    """Return light that changes nothing."""
    shape = (size_px, size_px, 3)
    return Light(np.ones(shape, np.float32), np.zeros(shape, np.float32))


def gradient(rng: np.random.Generator, size_px: int) -> Plane:
    """Return a smooth light field, 0.4..1.5: slope, vignette, slow clouds."""
    coarse = np.linspace(-1, 1, 12, dtype=np.float32)
    slope_x, slope_y = rng.normal(0, 0.14, 2)
    field = 1 + slope_x * coarse[None, :] + slope_y * coarse[:, None]
    if rng.random() < 0.5:
        x, y = rng.uniform(-0.4, 0.4, 2)
        away = (coarse[None, :] - x) ** 2 + (coarse[:, None] - y) ** 2
        field = field * (1 - rng.uniform(0, 0.3) * away)
    if rng.random() < 0.3:
        field = field * (1 + rng.normal(0, 0.06, (12, 12)))
    field = np.clip(field, 0.25, 1.7).astype(np.float32)
    wide = cv2.resize(field, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide, np.float32)


def expose(
    picture: FloatImage, light: Light, window: PixelWindow | None = None
) -> FloatImage:
    """Return the picture, or a window's patch of it, under the light.

    Args:
        picture: ``[h, w, 3]`` float32: the whole picture or the window's patch.
        window: Where the patch lies, or None for the whole picture.
    """
    gain, glow = light.gain, light.glow
    if window is not None:
        gain, glow = gain[window.slices], glow[window.slices]
    lit = picture * gain
    lit += glow
    np.clip(lit, 0, 255, out=lit)
    return lit


def apply_lens(picture: FloatImage, camera: Camera) -> FloatImage:
    """Return an exposed picture after the lens and the colour filter."""
    seen = blur(picture, camera.blur_px)
    if camera.threshold is not None:
        high = seen.mean(axis=2, keepdims=True) > camera.threshold
        return np.repeat(np.where(high, 255, 0).astype(np.float32), 3, axis=2)
    if not camera.colour:
        grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.float32)
    return seen


def read_sensor(
    rng: np.random.Generator, seen: FloatImage, camera: Camera
) -> FrameImage:
    """Return the sensor's bytes: noise, rounding, compression.

    Args:
        seen: ``[S, S, 3]`` float32 from ``apply_lens``.
    """
    size_px = seen.shape[0]
    if camera.noise > 0.3:
        speckle = to_channels(grain(rng, size_px))
        frame = cv2.addWeighted(seen, 1.0, speckle, camera.noise, 0.0, dtype=cv2.CV_8U)
    else:
        frame = cv2.convertScaleAbs(seen)
    if camera.jpeg_quality is not None:
        options = [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg_quality]
        _, coded = cv2.imencode(".jpg", frame, options)
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(frame, np.uint8)
