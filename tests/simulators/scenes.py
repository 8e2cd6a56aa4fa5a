"""Pictures of a station from a fixed camera, and all faults of such a picture.

Walls and rails stand still, parts pass, and the sensor has noise: no two frames are
the same. Functions are named after the camera's condition.
"""

import cv2
import numpy as np

from models.preprocess import Frame

SIZE_PX = (400, 240)  # wider than a scene of `edge.cameras.health.appearance`
NOISE = 2.0  # grey levels


def scene(number: int) -> Frame:
    """Return one good frame: each number is another moment."""
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
    """A cloth in front of the lens: dark, soft, uniform."""
    width, height = SIZE_PX
    soft = np.linspace(58, 64, width).astype(np.uint8)
    return _noisy(np.broadcast_to(soft[None, :, None], (height, width, 3)), number)


def overexposed(number: int) -> Frame:
    return np.clip(scene(number) * 4.0 + 80, 0, 255).astype(np.uint8)


def blurred(number: int) -> Frame:
    return _noisy(cv2.GaussianBlur(scene(number), (0, 0), 4), number, 0.5)


def moved(number: int) -> Frame:
    """The camera was pushed: by a twentieth of the width."""
    return np.roll(scene(number), SIZE_PX[0] // 20, axis=1)


def torn(number: int) -> Frame:
    """The lower part is shifted sideways, each time at another row."""
    picture = scene(number)
    row = 60 + number * 13 % 120
    picture[row:] = np.roll(picture[row:], SIZE_PX[0] // 5, axis=1)
    return picture


def green_half(number: int) -> Frame:
    """The output of a decoder without the second half: YUV 0, 0, 0."""
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
    """Return a good frame with another brightness."""
    return np.clip(scene(number) * gain, 0, 255).astype(np.uint8)


def _still() -> Frame:
    """Return the still part: a wall of stones, and two rails across."""
    rng = np.random.default_rng(7)
    width, height = SIZE_PX
    stones = rng.integers(60, 150, (height // 20, width // 20), np.uint8)
    picture = np.kron(stones, np.ones((20, 20), np.uint8))
    for y in (height // 2 - 40, height // 2 + 40):
        cv2.line(picture, (0, y), (width, y), 30, 5)
    return np.asarray(picture, np.uint8)


def _noisy(picture: Frame, number: int, noise: float = NOISE) -> Frame:
    """Return a picture with sensor noise."""
    noisy = picture + np.random.default_rng(number).normal(0, noise, picture.shape)
    return np.clip(noisy.round(), 0, 255).astype(np.uint8)
