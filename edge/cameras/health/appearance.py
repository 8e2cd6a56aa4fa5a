"""Measures a frame in a few numbers, cheaply enough for a camera's process.

The frame is shrunk to a grey *scene*, by area, so that noise averages out; brightness,
contrast and saturation are those of the scene. Two properties would be lost by
shrinking and are measured on the frame itself: sharpness, on bands of its rows, and
equality with the previous frame, on some rows, byte for byte: with so many pixels,
sensor noise always makes two frames differ.

Source:
    Sharpness is the variance of the Laplacian: J. Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", ICPR 2000; here divided by the variance
    of the grey levels, so that light alone does not change it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from edge.cameras.health.scene import FLAT_RANGE, Appearance, Grey
from edge.frame import Pixels
from models.boxes import FloatArray

SCENE_WIDTH_PX = 320
SATURATED_LEVEL = 250
BANDS, BAND_ROWS = 8, 12
EDGE_SCALE = 0.5  # fits eight bits: a step of 2 grey levels remains, 256 is not cut
IDENTITY_STEP = 16  # rows; of full HD that leaves 130,000 pixels
NOISE_VARIANCE = 25.0  # keeps the noise of a picture without contrast from being sharp
SAMPLE_ROWS, SAMPLE_COLUMNS = 27, 48
SAMPLE_RANGE = 24  # less between the darkest and the brightest sample is suspect

# A seam: in one row many columns jump, both sides have texture, and one side matches
# the other only when it is shifted sideways.
SEAM_STEP = 12  # grey levels
SEAM_SHARE = 0.15  # of the columns
SEAM_TEXTURE = 8.0  # grey levels, standard deviation along the row
SEAM_UNLIKE, SEAM_LIKE = 0.5, 0.8  # correlation unshifted, and shifted
SEAM_UNLIKE_NEXT = 0.75  # with a row in which both sides are mixed
SEAMS_MAX = 24  # candidates per frame; bounds the cost in coarse texture


class Measurer:
    """Measures frames; keeps the last one to detect identical ones."""

    def __init__(self) -> None:
        self._previous_rows: Pixels | None = None
        # Reused buffers: new memory pages take as much time as the arithmetic.
        self._grey: Grey | None = None
        self._half: Grey | None = None

    def measure(self, pixels: Pixels) -> Appearance:
        """Measure a frame, which is only read."""
        height, width = pixels.shape[:2]
        grey = self._grey = np.asarray(
            cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY, self._grey), np.uint8
        )
        scene = self._shrunk(grey)
        mean, std = _mean_and_std(scene)
        row_range = scene.max(axis=1) - scene.min(axis=1)
        fill = _fill(scene, row_range)
        middle = pixels[max(0, height - 2), width // 2]
        return Appearance(
            size_px=(width, height),
            mean=mean,
            std=std,
            saturated=float(np.count_nonzero(scene >= SATURATED_LEVEL) / scene.size),
            sharpness=_sharpness(grey),
            is_identical=self._is_identical(pixels),
            row_range=row_range,
            fill=fill,
            fill_color=(int(middle[0]), int(middle[1]), int(middle[2])),
            seams=() if fill else _seams(scene),
            scene=scene,
        )

    def _shrunk(self, grey: Grey) -> Grey:
        """Return the scene: the frame itself where it is small already."""
        height, width = grey.shape
        if width <= SCENE_WIDTH_PX:
            return grey.copy()
        size = (SCENE_WIDTH_PX, max(1, round(height * SCENE_WIDTH_PX / width)))
        # Halved first: OpenCV is four times as fast, and the mean of means is the same.
        if width >= 3 * SCENE_WIDTH_PX and height >= 2:
            half = (width // 2, height // 2)
            grey = self._half = np.asarray(
                cv2.resize(grey, half, self._half, interpolation=cv2.INTER_AREA),
                np.uint8,
            )
        shrunk = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.uint8)

    def _is_identical(self, pixels: Pixels) -> bool:
        """Return whether the frame equals the previous one, and keep it."""
        rows = pixels[::IDENTITY_STEP]
        previous = self._previous_rows
        if previous is None or previous.shape != rows.shape:
            self._previous_rows = rows.copy()
            return False
        if np.array_equal(previous, rows):
            return True
        np.copyto(previous, rows)
        return False


def may_be_unusable(pixels: Pixels) -> bool:
    """Return whether a frame must be measured, from about a thousand samples.

    It is cheap enough for every frame: one that is black, white, covered or half empty
    is never skipped between two measured frames.
    """
    height, width = pixels.shape[:2]
    sample = pixels[
        :: max(1, height // SAMPLE_ROWS), :: max(1, width // SAMPLE_COLUMNS)
    ]
    if int(sample.max()) - int(sample.min()) < SAMPLE_RANGE:
        return True
    last = sample[-max(1, len(sample) // 8) :].reshape(-1, 3)  # [S, 3]
    return bool((last.max(axis=0) - last.min(axis=0) <= FLAT_RANGE).all())


def _mean_and_std(picture: npt.NDArray[np.generic]) -> tuple[float, float]:
    # NumPy takes ten times as long.
    mean, std = cv2.meanStdDev(np.asarray(picture))
    return float(mean[0, 0]), float(std[0, 0])


def _sharpness(grey: Grey) -> float:
    height = len(grey)
    bands, is_small = grey, height <= 2 * BANDS * BAND_ROWS
    if not is_small:
        starts = np.linspace(0, height - BAND_ROWS, BANDS).astype(int)
        bands = np.concatenate([grey[at : at + BAND_ROWS] for at in starts])
    # In eight bits around 128: OpenCV's statistics are 20 times as fast there.
    edges = np.asarray(cv2.Laplacian(bands, cv2.CV_8U, scale=EDGE_SCALE, delta=128))
    if not is_small:  # the border of two bands is no edge of the scene
        inner = edges.reshape(BANDS, BAND_ROWS, -1)[:, 1:-1]
        edges = inner.reshape(BANDS * (BAND_ROWS - 2), -1)
    contrast = _mean_and_std(bands)[1] ** 2
    return (_mean_and_std(edges)[1] / EDGE_SCALE) ** 2 / (contrast + NOISE_VARIANCE)


def _fill(scene: Grey, row_range: Grey) -> float:
    """Return the share of rows, from below, that have one and the same colour."""
    level = int(scene[-1, 0])
    is_same = (row_range <= FLAT_RANGE) & (
        np.abs(scene[:, 0].astype(np.int16) - level) <= FLAT_RANGE
    )
    others = np.flatnonzero(~is_same)
    rows = len(scene) - 1 - int(others[-1]) if len(others) else len(scene)
    return rows / len(scene)


def _seams(scene: Grey) -> tuple[int, ...]:
    """Return the rows at which the scene appears cut."""
    if len(scene) < 2:
        return ()
    steps = cv2.absdiff(scene[1:], scene[:-1]) > SEAM_STEP  # [R - 1, C]
    # NumPy takes ten times as long to count along rows.
    counts = cv2.reduce(steps.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    jumps = counts[:, 0] / scene.shape[1]
    rows = np.flatnonzero(jumps > SEAM_SHARE)
    if len(rows) > SEAMS_MAX:  # coarse texture everywhere: no row stands out
        rows = rows[np.argsort(jumps[rows])[-SEAMS_MAX:]]
    rows = np.sort(rows)
    return tuple(rows[_are_cut(scene, rows)].tolist()) if len(rows) else ()


def _are_cut(scene: Grey, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Return for which rows the next ones match only when shifted sideways.

    Shrinking may have mixed both sides of a cut in one row: then the row after it is
    the one that matches.
    """
    above = _normalized(scene[rows])  # [K, C]
    is_unlike, is_cut = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    for step, unlike in ((1, SEAM_UNLIKE_NEXT), (2, SEAM_UNLIKE)):
        below = _normalized(scene[np.minimum(rows + step, len(scene) - 1)])
        unshifted = np.einsum("kc,kc->k", above, below)  # [K]
        is_unlike &= unshifted < unlike
        # Most rows are like the next one: the transform is for the others.
        searched = np.flatnonzero(is_unlike & (unshifted < SEAM_UNLIKE))
        if len(searched):
            best = _best_similarity(above[searched], below[searched])
            is_cut[searched[best > SEAM_LIKE]] = True
    return is_cut


def _best_similarity(above: FloatArray, below: FloatArray) -> FloatArray:
    """Return the largest correlation of two rows over all shifts, ``[K]``.

    Args:
        above: ``[K, C]`` normalized rows.
        below: ``[K, C]`` normalized rows.
    """
    product = np.fft.rfft(above) * np.fft.rfft(below).conj()
    similarity = np.fft.irfft(product, above.shape[1])  # [K, C], by shift
    return np.asarray(similarity.max(axis=1), np.float32)


def _normalized(rows: Grey) -> FloatArray:
    """Return rows with mean zero and length one; zeros where there is no texture."""
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float32)  # [K, C]
    spread = centred.std(axis=1, keepdims=True)
    length = spread * np.sqrt(np.float32(rows.shape[1]))
    is_textured = spread >= SEAM_TEXTURE
    normalized: FloatArray = np.divide(
        centred, length, out=np.zeros_like(centred), where=is_textured
    )
    return normalized
