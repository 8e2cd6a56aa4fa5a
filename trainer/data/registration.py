"""Lays one small picture onto another: shifted and turned by a little.

Source:
    Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004.
"""

import cv2
import numpy as np

from models.boxes import FloatArray

SMOOTH_PX = 1.0  # sigma: a picture must be smooth where it is shifted by less than 1 px
STEPS = 5  # the shifts and turns of bench/near_duplicates.py need no more
EDGE_PX = 3  # not compared: a shift brings something else in there
LARGEST_SHIFT_PX = 2.0  # of 48: 27 of 640 px
LARGEST_TURN = 0.06  # radians, 3.4 degrees
INSIDE = slice(EDGE_PX, -EDGE_PX)


def smoothed(pictures: FloatArray) -> FloatArray:
    """Return pictures that can be shifted by less than a pixel, ``[N, S, S]``.

    Args:
        pictures: ``[N, S, S]`` float32, grey.
    """
    return np.stack([cv2.GaussianBlur(one, (0, 0), SMOOTH_PX) for one in pictures])


class Anchor:
    """A picture that others are laid onto.

    Args:
        picture: ``[S, S]`` float32, grey.
    """

    def __init__(self, picture: FloatArray) -> None:
        self._size = int(picture.shape[0])
        self.inside = _flat(picture)
        down = np.asarray(np.gradient(picture, axis=0), np.float32)
        right = np.asarray(np.gradient(picture, axis=1), np.float32)
        place = (np.arange(self._size) - (self._size - 1) / 2).astype(np.float32)
        turned = down * place[None, :] - right * place[:, None]
        moves = np.stack(
            [one[INSIDE, INSIDE].ravel() for one in (right, down, turned)], axis=1
        )  # [I, 3]
        scale = float(np.linalg.norm(_centred(picture)))
        self._answer: FloatArray = np.asarray(
            np.linalg.pinv(moves / max(scale, 1e-6)), np.float32
        )  # [3, I]

    def laid_on(self, picture: FloatArray) -> FloatArray:
        """Return a picture shifted and turned so that it fits best, ``[S, S]``.

        Args:
            picture: Of the same size.
        """
        best = moved = picture
        best_likeness = float(self.inside @ _flat(picture))
        move: FloatArray = np.zeros(3, np.float32)
        for _ in range(STEPS):
            rest: FloatArray = self.inside - _flat(moved)
            move = move + self._answer @ rest
            move[:2] = move[:2].clip(-LARGEST_SHIFT_PX, LARGEST_SHIFT_PX)
            move[2] = move[2].clip(-LARGEST_TURN, LARGEST_TURN)
            moved = self._moved(picture, move)
            now = float(self.inside @ _flat(moved))
            if now > best_likeness:
                best, best_likeness = moved, now
        return best

    def _moved(self, picture: FloatArray, move: FloatArray) -> FloatArray:
        """Return a picture moved by x, y, in pixels, and turned, in radians."""
        x, y, turn = (float(one) for one in move)
        cos, sin, middle = np.cos(turn), np.sin(turn), (self._size - 1) / 2
        matrix = np.array(
            [
                [cos, -sin, middle - cos * middle + sin * middle + x],
                [sin, cos, middle - sin * middle - cos * middle + y],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = self._size, self._size
        edge = cv2.BORDER_REPLICATE
        moved = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=edge)
        return np.asarray(moved, np.float32)


def likeness(anchor: Anchor, picture: FloatArray) -> float:
    """Return the correlation of two pictures laid onto each other, -1 to 1.

    Args:
        anchor: One of them.
        picture: The other, of the same size.
    """
    return float(anchor.inside @ _flat(anchor.laid_on(picture)))


def _centred(picture: FloatArray) -> FloatArray:
    """Return the inside of a picture as a row of mean 0."""
    row = picture[INSIDE, INSIDE].ravel()
    result: FloatArray = row - row.mean()
    return result


def _flat(picture: FloatArray) -> FloatArray:
    """Return the inside of a picture as a row of mean 0 and length 1."""
    row = _centred(picture)
    result: FloatArray = row / max(float(np.linalg.norm(row)), 1e-6)
    return result
