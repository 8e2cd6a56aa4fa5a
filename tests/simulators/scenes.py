"""A station as a fixed camera sees it, and all that can go wrong with the picture.

Walls and rails stand still, parts pass, and the sensor has noise: no two frames are
the same. What is done to a frame is named as the camera's condition is.
"""

import cv2
import numpy as np

from models.preprocess import Frame

SIZE_PX = (400, 240)  # wider than a scene of `edge.cameras.health.appearance`
NOISE = 2.0  # grey levels


def scene(number: int) -> Frame:
    """Return one sound frame: each number is another moment."""
    width, height = SIZE_PX
    picture = _still()
    x = number * 7 % (width + 80) - 80
    cv2.rectangle(picture, (x, height // 2 - 25), (x + 60, height // 2 + 25), 190, -1)
    cv2.circle(picture, (x + 30, height // 2), 12, 60, -1)
    return _noisy(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), number)


def black(number: int) -> Frame:
    return _noisy(np.full_like(scene(number), 3), number)


def white(number: int) -> Frame:
    return np.full_like(scene(number), 255)


def covered(number: int) -> Frame:
    """A cloth before the lens: dark, soft, even."""
    width, height = SIZE_PX
    soft = np.linspace(58, 64, width).astype(np.uint8)
    return _noisy(np.broadcast_to(soft[None, :, None], (height, width, 3)), number)


def overexposed(number: int) -> Frame:
    return np.clip(scene(number) * 4.0 + 80, 0, 255).astype(np.uint8)


def blurred(number: int) -> Frame:
    return _noisy(cv2.GaussianBlur(scene(number), (0, 0), 4), number, 0.5)


def moved(number: int) -> Frame:
    """Somebody has knocked against the camera: a twentieth of its width."""
    return np.roll(scene(number), SIZE_PX[0] // 20, axis=1)


def torn(number: int) -> Frame:
    """The lower part was pushed sideways, each time at another row."""
    picture = scene(number)
    row = 60 + number * 13 % 120
    picture[row:] = np.roll(picture[row:], SIZE_PX[0] // 5, axis=1)
    return picture


def green_half(number: int) -> Frame:
    """What a decoder gives that has lost the second half: YUV 0, 0, 0."""
    picture = scene(number)
    picture[SIZE_PX[1] // 2 :] = (0, 135, 0)
    return picture


def dark(number: int) -> Frame:
    return (scene(number) * 0.5).astype(np.uint8)


def bright(number: int) -> Frame:
    return np.clip(scene(number) * 1.5, 0, 240).astype(np.uint8)


def frozen(_number: int) -> Frame:
    return scene(0)


def gained(number: int, gain: float) -> Frame:
    """Return a sound frame in another light."""
    return np.clip(scene(number) * gain, 0, 255).astype(np.uint8)


def _still() -> Frame:
    """Return what stands still: a wall of stones, and two rails across."""
    rng = np.random.default_rng(7)
    width, height = SIZE_PX
    stones = rng.integers(60, 150, (height // 20, width // 20), np.uint8)
    picture = np.kron(stones, np.ones((20, 20), np.uint8))
    for y in (height // 2 - 40, height // 2 + 40):
        cv2.line(picture, (0, y), (width, y), 30, 5)
    return np.asarray(picture, np.uint8)


def _noisy(picture: Frame, number: int, noise: float = NOISE) -> Frame:
    """Return a picture as a sensor gives it."""
    seen = picture + np.random.default_rng(number).normal(0, noise, picture.shape)
    return np.clip(seen.round(), 0, 255).astype(np.uint8)
