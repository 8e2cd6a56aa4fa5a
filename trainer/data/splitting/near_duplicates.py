"""Near-duplicates: photos of one part, found by what is individual to the part.

A fingerprint is a photo made small and grey. Perceptual hashes and plain correlation of
such pictures measure whether two photos are alike, which photos of one product always
are: on a fixed jig two different good parts are as alike as two shots of one. So what
all photos share, their mean, is subtracted first; where the mean resembles a part, each
photo is aligned to it before. What is left is the single part: its position, its
surface, its defect. That is correlated, from -1 to 1; the distance is 1 minus the
correlation. It does not depend on brightness, contrast, compression or size.

Correlation fails where a part was moved or turned between two shots. So candidates are
chosen with a loose threshold, the few nearest of each photo at 16 x 16, and each pair
is then aligned, shifted and turned by a little, and compared at 48 x 48.

One product of several looks like one burst until its own mean is subtracted. A group
larger than a burst is therefore divided again on its own, with a smaller distance: a
long film falls apart where something moved, and a product whose parts differ by little
does not become one group. Where nothing but the camera's noise is left, parts and shots
of one part look the same here; ``one_scene`` compares such photos directly, and the
frames of one scene count as one photo.

How many shots are found and how many parts are taken for one is measured by
bench/near_duplicates.py. Real boards with a repeated pattern are also taken for one
part where they show the same place of it, moved by up to 30 px, with other defects.

Source:
    Alignment: Lucas and Kanade, An Iterative Image Registration Technique, 1981, with
    the gradient of the fixed picture, after Baker and Matthews, Lucas-Kanade 20 Years
    On, IJCV 2004. Normalized correlation of residuals: Lewis, Fast Normalized
    Cross-Correlation, 1995.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.boxes import FloatArray, IntArray
from models.preprocess import Frame

SIDE_PX = 48  # of the small picture
COARSE_PX = 16  # side of the picture that candidates are chosen by
CANDIDATES = 6  # nearest of each photo: fewer connect a burst already
CANDIDATE_DISTANCE = 0.4
NEAR_DISTANCE = 0.02  # of near-duplicates after alignment
SHRINK = 0.7  # of the distance, where a large group is divided again
SMALLEST_DISTANCE = NEAR_DISTANCE / 5  # groups are not divided again below
SHARED = 0.8  # correlation with the mean from which on it resembles a part
SMALL_BURST, LARGE_BURST = 12, 30  # photos; in between a quarter of all
BLOCK_ROWS = 1024  # compared at once: 40 MB for 10,000 photos
FLAT = 1e-3  # length of a row without contrast
SMOOTH_PX = 1.0  # sigma: a picture must be smooth where it is shifted by less than 1 px
STEPS = 5  # the shifts and turns of bench/near_duplicates.py need no more
EDGE_PX = 3  # not compared: a shift moves other content in there
LARGEST_SHIFT_PX = 2.0  # of 48: 27 of 640 px
LARGEST_TURN = 0.06  # radians, 3.4 degrees
INSIDE = slice(EDGE_PX, -EDGE_PX)

Fingerprint = npt.NDArray[np.uint8]  # [SIDE_PX, SIDE_PX]


def no_fingerprint() -> Fingerprint:
    """Return a fingerprint without contrast, near no other, ``[48, 48]`` uint8."""
    return np.zeros((SIDE_PX, SIDE_PX), np.uint8)


def fingerprint(picture: Frame) -> Fingerprint:
    """Return a photo made small and grey, ``[48, 48]`` uint8."""
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def near_duplicates(fingerprints: Sequence[Fingerprint]) -> IntArray:
    """Return the group of each photo, ``[N]`` int64 from 0; most are alone in theirs.

    Args:
        fingerprints: All photos: the groups depend on the whole set, because what
            its photos share does not count as likeness.
    """
    groups = np.arange(len(fingerprints))
    if len(groups) > 1:
        pictures = smooth(np.stack(fingerprints).astype(np.float32))
        burst = int(np.clip(len(groups) // 4, SMALL_BURST, LARGE_BURST))
        _join(pictures, groups, groups, NEAR_DISTANCE, burst)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _join(
    pictures: FloatArray, members: IntArray, groups: IntArray, near: float, burst: int
) -> None:
    """Write into ``groups`` which members belong together, large groups once more.

    Args:
        pictures: ``[N, S, S]`` of all photos.
        members: ``[M]`` the photos to group.
        groups: ``[N]`` changed in place: the first member of each one's group.
        near: Distance of near-duplicates.
        burst: Photos in the largest group that is not divided again.
    """
    for component in _components(_individual(pictures[members]), near):
        chosen = members[component]
        groups[chosen] = chosen[0]
        if len(chosen) > burst and near * SHRINK >= SMALLEST_DISTANCE:
            _join(pictures, chosen, groups, near * SHRINK, burst)


def _normalized(rows: FloatArray) -> FloatArray:
    """Return rows with mean 0 and length 1; a row without contrast stays 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    result: FloatArray = centred / np.maximum(length, 1e-6)
    result[length[:, 0] < FLAT] = 0
    return result


def _individual(pictures: FloatArray) -> FloatArray:
    """Return what each picture has beyond the mean of all, ``[M, S, S]``, normalized.

    A picture without contrast has nothing: it stays 0, near to no other.
    """
    rows = _normalized(pictures.reshape(len(pictures), -1))
    shared = _normalized(rows.mean(axis=0)[None])[0]
    if np.median(rows @ shared) > SHARED:
        template = Template(shared.reshape(pictures.shape[1:]))
        aligned = [template.align(one) for one in rows.reshape(pictures.shape)]
        rows = _normalized(np.stack(aligned).reshape(rows.shape))
    shown = np.abs(rows).max(axis=1, keepdims=True) > 0  # [M, 1]
    return _normalized((rows - rows.mean(axis=0)) * shown).reshape(pictures.shape)


def _components(pictures: FloatArray, near: float) -> list[IntArray]:
    """Return the groups of pictures that a chain of near ones joins, ascending."""
    root = np.arange(len(pictures))
    templates: dict[int, Template] = {}
    for one, other in candidate_pairs(pictures, CANDIDATE_DISTANCE):
        if root[one] == root[other]:
            continue
        if one not in templates:
            templates[one] = Template(pictures[one])
        if templates[one].correlation(pictures[other]) >= 1 - near:
            low, high = sorted((root[one], root[other]))
            root[root == high] = low
    order = np.argsort(root, kind="stable")
    starts = np.flatnonzero(np.diff(root[order])) + 1
    return np.split(order, starts)


def candidate_pairs(pictures: FloatArray, distance: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of pictures and their nearest others, the nearest pair first.

    Args:
        pictures: ``[N, S, S]``.
        distance: Largest distance of a pair at 16 x 16.
    """
    size = COARSE_PX, COARSE_PX
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in pictures]
    rows = _normalized(np.stack(small).reshape(len(small), -1).astype(np.float32))
    count = min(CANDIDATES, len(rows) - 1)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(rows), BLOCK_ROWS):
        alike = rows[start : start + BLOCK_ROWS] @ rows.T  # [B, N]
        own = np.arange(len(alike))
        alike[own, start + own] = -1
        for row in np.flatnonzero((alike >= 1 - distance).any(axis=1)).tolist():
            nearest = np.argpartition(-alike[row], count - 1)[:count]
            for other in nearest[alike[row, nearest] >= 1 - distance].tolist():
                low, high = sorted((start + row, other))
                found[low, high] = float(alike[row, other])
    yield from sorted(found, key=lambda pair: -found[pair])


def smooth(pictures: FloatArray) -> FloatArray:
    """Return pictures that can be shifted by less than a pixel, ``[N, S, S]``."""
    return np.stack([cv2.GaussianBlur(one, (0, 0), SMOOTH_PX) for one in pictures])


class Template:
    """A picture that others are aligned to.

    Not cv2.findTransformECC: it is as fast, but changes the groups of most real sets.
    Of shots shifted by 8 px it finds 55 instead of 60 of 60 (cookies), of shots turned
    by 2 degrees 42 instead of 22 of 60 (aliens).

    Args:
        picture: ``[S, S]`` float32, grey.
    """

    def __init__(self, picture: FloatArray) -> None:
        self._size = int(picture.shape[0])
        self._inside = _flat(picture)
        down = np.asarray(np.gradient(picture, axis=0), np.float32)
        right = np.asarray(np.gradient(picture, axis=1), np.float32)
        centred = (np.arange(self._size) - (self._size - 1) / 2).astype(np.float32)
        turned = down * centred[None, :] - right * centred[:, None]
        jacobian = np.stack(
            [one[INSIDE, INSIDE].ravel() for one in (right, down, turned)], axis=1
        )  # [I, 3]
        scale = float(np.linalg.norm(_centred(picture)))
        self._solve: FloatArray = np.asarray(
            np.linalg.pinv(jacobian / max(scale, 1e-6)), np.float32
        )  # [3, I]

    def align(self, picture: FloatArray) -> FloatArray:
        """Return a picture of the same size, shifted and turned to fit, ``[S, S]``."""
        best = moved = picture
        best_correlation = float(self._inside @ _flat(picture))
        move: FloatArray = np.zeros(3, np.float32)
        for _ in range(STEPS):
            residual: FloatArray = self._inside - _flat(moved)
            move = move + self._solve @ residual
            move[:2] = move[:2].clip(-LARGEST_SHIFT_PX, LARGEST_SHIFT_PX)
            move[2] = move[2].clip(-LARGEST_TURN, LARGEST_TURN)
            moved = self._moved(picture, move)
            correlation = float(self._inside @ _flat(moved))
            if correlation > best_correlation:  # a step may go too far
                best, best_correlation = moved, correlation
        return best

    def correlation(self, picture: FloatArray) -> float:
        """Return the correlation with a picture aligned to this one, -1 to 1."""
        return float(self._inside @ _flat(self.align(picture)))

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
