"""Which photos show the same part: near-duplicates, found by what is individual.

A fingerprint is a photo made small and grey. Perceptual hashes and plain correlation of
such pictures ask whether two photos look alike, which photos of one product always do:
on a fixed jig two different good parts are as alike as two shots of one. So what all
photos share is taken away first, their mean; what is left is the single part: how it
lies, its surface, its defect. That is correlated, from -1 to 1; 1 minus it is the
distance here. It is blind to brightness and contrast, to compression and size.

One product of many looks like one burst until its own mean is taken away. A group that
is larger than bursts are is therefore looked at again on its own, with half the
distance, so that a long film falls apart where something moved and a product whose
parts differ by little does not become one group.

Measured: the nearest two of 600 real boards have a dHash distance of 0 of 256 bits,
while a shift of 2 px moves that hash by up to 25. Here, with pictures of 16 x 16 and a
distance of 0.02: 10 of the 600 boards have a neighbour (repeated patterns), 0 of 140
generated photos; of bursts of four frames from a real video 0.84 of the pairs are
joined one frame apart, 0.52 three apart; of bursts on a simulated fixed jig 0.13 to
0.6. So many shots of one part are found, not all: where groups are known, name them.
Parts that differ by nothing but the camera's noise cannot be told apart
from shots of one part; they count as different.

Source:
    pHash and dHash, which were compared: Zauner, Implementation and Benchmarking of
    Perceptual Image Hash Functions, 2010; Krawetz, "Kind of Like That", 2013.
    Normalized correlation of residuals: Lewis, Fast Normalized Cross-Correlation, 1995.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.boxes import FloatArray, IntArray
from models.preprocess import Frame

SIDE_PX = 16  # of the small picture
NEAR = 0.02  # distance of near-duplicates
NEAREST = NEAR / 16  # where looking again ends
SMALL_BURST, LARGE_BURST = 12, 30  # photos; in between a quarter of all
BLOCK = 1024  # rows compared at once: 40 MB for 10,000 photos

Fingerprint = npt.NDArray[np.uint8]  # [SIDE_PX, SIDE_PX]


def no_fingerprint() -> Fingerprint:
    """Return the fingerprint of a photo that is like no other, ``[16, 16]`` uint8."""
    return np.zeros((SIDE_PX, SIDE_PX), np.uint8)


def fingerprint(picture: Frame) -> Fingerprint:
    """Return a photo made small and grey, ``[16, 16]`` uint8.

    Args:
        picture: ``[H, W, 3]`` uint8, BGR.
    """
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def near_duplicates(fingerprints: Sequence[Fingerprint]) -> IntArray:
    """Return the group of each photo, ``[N]`` int64 from 0; most are alone in theirs.

    Args:
        fingerprints: Of all photos. The groups depend on the whole set, because what
            its photos share is not held for likeness.
    """
    groups = np.arange(len(fingerprints))
    if len(groups) > 1:
        pictures = np.stack(fingerprints).reshape(len(groups), -1)
        burst = int(np.clip(len(groups) // 4, SMALL_BURST, LARGE_BURST))
        _join(_normalized(pictures.astype(np.float32)), groups, groups, NEAR, burst)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _join(
    pictures: FloatArray, members: IntArray, groups: IntArray, near: float, burst: int
) -> None:
    """Write into ``groups`` which members belong together, large groups once more.

    Args:
        pictures: ``[N, D]`` normalized, of all photos.
        members: ``[M]`` the photos to look at.
        groups: ``[N]`` changed in place: the first member of each one's group.
        near: Distance of near-duplicates.
        burst: Photos in the largest group that is not looked at again.
    """
    for component in _components(_individual(pictures[members]), near):
        chosen = members[component]
        groups[chosen] = chosen[0]
        if len(chosen) > burst and near / 2 >= NEAREST:
            _join(pictures, chosen, groups, near / 2, burst)


def _normalized(rows: FloatArray) -> FloatArray:
    """Return rows with mean 0 and length 1; a row without contrast stays 0."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    result: FloatArray = centred / np.maximum(length, 1e-6)
    return result


def _individual(pictures: FloatArray) -> FloatArray:
    """Return what each picture has beyond the mean of all, normalized.

    A picture without contrast has nothing: it stays 0, near to no other.
    """
    shown = np.abs(pictures).max(axis=1) > 0  # [N]
    return _normalized((pictures - pictures.mean(axis=0)) * shown[:, None])


def _components(rows: FloatArray, near: float) -> list[IntArray]:
    """Return the groups of rows that a chain of near ones joins, ascending.

    The neighbours of a row are kept as bits, 12 MB for 10,000 photos.
    """
    linked = np.concatenate(
        [
            np.packbits(rows[start : start + BLOCK] @ rows.T >= 1 - near, axis=1)
            for start in range(0, len(rows), BLOCK)
        ]
    )
    left = np.ones(len(rows), np.bool_)
    components = []
    for start in range(len(rows)):
        if not left[start]:
            continue
        found = np.zeros(len(rows), np.bool_)
        frontier = np.array([start])
        while len(frontier):
            found[frontier] = True
            reached = np.bitwise_or.reduce(linked[frontier], axis=0)
            seen = np.unpackbits(reached, count=len(rows)).astype(np.bool_)
            frontier = np.flatnonzero(seen & ~found)
        left[found] = False
        components.append(np.flatnonzero(found))
    return components
