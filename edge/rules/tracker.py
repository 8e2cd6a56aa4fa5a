"""Tracks defects from frame to frame, and decides when one is confirmed.

Parts move: a defect of 6 px that travels 60 px between two frames never overlaps with
itself. So tracks are matched where they are expected now:

* where their own velocity carries them;
* else where the common motion carries them: everything on a conveyor moves alike, so
  the displacement that explains most pairs of tracks and detections is the true one;
* else, for a defect seen once while no motion is known, anywhere within reach
  (``STEP_SHARE`` of the frame's width for each elapsed frame).

Motion is measured in pixels per frame number, so that dropped frames do no harm. A
label may change from frame to frame; it is still the same defect.

A defect is *confirmed* when it was seen in k of the last n inspected frames. Pure: no
clock, no files.

Source:
    Greedy association on predicted boxes as in SORT (arXiv:1602.00763); the vote for
    a common displacement is a Hough transform over translations.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.rules.association import (
    JITTER_PX,
    Matching,
    TrackPairs,
    distinct_indices,
    have_common_area,
    lengths,
    overlap_of_smaller,
    pair_up,
    vote_tolerance,
)
from edge.rules.motion import TRUST_MAX, CommonMotion
from models.boxes import FloatArray, IntArray
from models.detections import Detections

FRAME_WIDTH_PX = 640  # assumed while the width is unknown and no box is wider
# Largest displacement between two frames, as a share of the frame's width. A defect
# that moves farther is a new one: in a frame of 320 px, 50 px (16 %) are not followed.
STEP_SHARE = 0.12
DRIFT_SHARE = 0.02  # error of a prediction per elapsed frame, share of the width
# After a longer gap the uncertainty stops growing: else every box would be in reach.
GAP_MAX_FRAMES = 3
# Multiples of the velocity at which a track is searched, the first without a change: a
# conveyor stops, slows down or speeds up within one frame.
SPEED_FACTORS = np.array([1.0, 0.0, 0.5, 1.5], np.float32)
WIDE_FACTORS = np.array([0.0, 0.5, 1.5, 2.0, 2.5], np.float32)
NEW_VELOCITY_SHARE = 0.5  # weight of the newest displacement: one jitter is averaged
# Cost of each kind of evidence, the most reliable first. The residual is added, as a
# share of the largest displacement between two frames, so a bad prediction from the
# track's own velocity loses against a good one from the common motion, and WIDE only
# matches what no other evidence explains.
OWN, COMMON, OVERLAP, CHANGED, WIDE = 0.0, 0.05, 0.1, 0.2, 1.0
OTHER_LABEL, MISSED_ONCE, OTHER_SIZE = 0.05, 0.02, 0.2  # penalties of a pair
HYPOTHESES_MAX = 64  # of a common displacement: bounds the time of a frame
# Boxes kept of a reported defect: whole, one end, the other end. With only the last
# box kept, a chip boxed at one end and later at the other was reported twice.
BOXES_MAX = 3
# Overlap, as a share of the smaller box, from which it is a piece of the larger one. A
# detector boxes a long scratch both whole and at its ends: without this limit, 4
# defects of 200 parts were reported twice.
SAME_DEFECT_SHARE = 0.25
VOTES_MIN = 2  # pairs with the same displacement that make it a common motion
_NO_MOTION = np.zeros(2, np.float32)


@dataclass(slots=True)
class _Track:
    """A defect that was seen before."""

    box: FloatArray  # [4] last box
    label: int
    frame_id: int  # frame number of the last box
    # inspected frames in which it was seen: the last k, counted from 1
    sightings: deque[int]
    velocity: FloatArray | None = None  # [2] pixels per frame; None after one sighting
    missed: int = 0  # inspected frames since then
    is_reported: bool = False  # it was confirmed, or it is a piece of a confirmed one
    # frame number and box of the last sightings, the newest last
    boxes: deque[tuple[int, FloatArray]] = field(default_factory=deque)


class Tracker:
    """Follows defects through the frames of one camera.

    Args:
        k: Sightings that confirm a defect, from 1.
        n: Inspected frames that they must lie in, ``n >= k``.
        iou_threshold: Overlap in 0..1 from which boxes of successive frames are the
            same defect, independent of the motion.
        max_missed: Inspected frames without a match after which a track is deleted.

    Raises:
        ValueError: ``k`` is not in 1..n.
    """

    def __init__(
        self, k: int, n: int, *, iou_threshold: float, max_missed: int
    ) -> None:
        if not 1 <= k <= n:
            msg = f"k must be in 1..n, got k = {k}, n = {n}"
            raise ValueError(msg)
        self.max_missed = max_missed
        self._k, self._n = k, n
        self._iou_threshold = iou_threshold
        self._width_px = float(FRAME_WIDTH_PX)
        self._inspected = 0  # frames
        self._tracks: list[_Track] = []
        self._motion = CommonMotion()

    def frames_to_cross(self, width_px: float, height_px: float) -> float | None:
        """Return in how many frames a defect crosses an area of this size.

        Returns:
            None while the common motion is not known for certain.
        """
        velocity, trust = self._motion.velocity, self._motion.trust
        if velocity is None or trust < TRUST_MAX or not velocity.any():
            return None
        sides_px = np.array([width_px, height_px], np.float64)
        with np.errstate(divide="ignore"):  # it does not move along this side
            return float((sides_px / np.abs(velocity)).min())

    def reset(self) -> None:
        """Delete every track and the common motion."""
        self._tracks, self._motion = [], CommonMotion()

    def update(
        self, detections: Detections, frame_id: int, *, frame_width_px: int = 0
    ) -> Detections:
        """Take the detections of the next inspected frame.

        Args:
            detections: With ``boxes_frame``.
            frame_id: The source's own frame number; missing numbers are frames that
                were dropped.
            frame_width_px: Width of the frame; 0 = unknown, estimated from the boxes.

        Returns:
            The defects that this frame confirms for the first time, each once in
            its track's life, best first.
        """
        self._inspected += 1
        detections = detections.select(distinct_indices(detections))
        if len(detections):
            farthest_px = float(detections.boxes[:, 2].max())
            self._width_px = float(frame_width_px) or max(self._width_px, farthest_px)
        matches = self._match(detections, frame_id)
        matched = set(matches.values())
        tracks = [
            self._update_track(track, detections, matches.get(number), frame_id)
            for number, track in enumerate(self._tracks)
        ]
        tracks += [
            self._new_track(detections, index, frame_id)
            for index in range(len(detections))
            if index not in matched
        ]
        self._tracks = [t for t, _ in tracks if t.missed <= self.max_missed]
        present = sorted(
            ((index, track) for track, index in tracks if index is not None),
            key=lambda pair: pair[0],
        )
        self._record_boxes([track for _, track in present], frame_id)
        confirmed = self._newly_confirmed(present, frame_id)
        return detections.select(np.array(confirmed, np.int64))

    def _new_track(
        self, detections: Detections, index: int, frame_id: int
    ) -> tuple[_Track, int | None]:
        sightings = deque([self._inspected], maxlen=self._k)
        label = int(detections.labels[index])
        return _Track(detections.boxes[index], label, frame_id, sightings), index

    def _update_track(
        self, track: _Track, detections: Detections, index: int | None, frame_id: int
    ) -> tuple[_Track, int | None]:
        """Return a track after this frame, with the index of its detection."""
        if index is None:
            track.missed += 1
            return track, None
        track.box, track.label = detections.boxes[index], int(detections.labels[index])
        track.frame_id, track.missed = frame_id, 0
        track.sightings.append(self._inspected)
        return track, index

    def _record_boxes(self, tracks: list[_Track], frame_id: int) -> None:
        """Keep each track's box; drop earlier ones that belong to something else."""
        earlier = [(t, at, box) for t in tracks for at, box in t.boxes]
        for track in tracks:
            track.boxes = deque(maxlen=BOXES_MAX)
        if earlier:
            common = self._motion.velocity
            rates = [t.velocity if common is None else common for t, _, _ in earlier]
            boxes = _moved(
                [box for _, _, box in earlier],
                [_NO_MOTION if rate is None else rate for rate in rates],
                [frame_id - at for _, at, _ in earlier],
            )
            current = _rows([track.box for track, _, _ in earlier])
            for is_kept, (track, at, box) in zip(
                have_common_area(current, boxes).tolist(), earlier, strict=True
            ):
                if is_kept:
                    track.boxes.append((at, box))
        for track in tracks:
            track.boxes.append((frame_id, track.box))

    def _newly_confirmed(
        self, present: list[tuple[int, _Track]], frame_id: int
    ) -> list[int]:
        """Return the indices of newly confirmed defects; pieces of one are absorbed."""
        if not present:
            return []
        boxes = _rows([track.box for _, track in present])  # [P, 4]
        shares = overlap_of_smaller(boxes, self._reported_boxes(frame_id))
        is_piece = np.asarray((shares >= SAME_DEFECT_SHARE).any(axis=1))  # [P]
        touches = overlap_of_smaller(boxes, boxes) >= SAME_DEFECT_SHARE  # [P, P]
        confirmed = []
        for number, (index, track) in enumerate(present):
            if not track.is_reported and self._is_confirmed(track):
                if not is_piece[number]:
                    confirmed.append(index)
                track.is_reported = True
                is_piece |= touches[number]
        for (_, track), absorbed in zip(present, is_piece.tolist(), strict=True):
            track.is_reported = track.is_reported or absorbed
        return confirmed

    def _is_confirmed(self, track: _Track) -> bool:
        oldest = track.sightings[0]
        return len(track.sightings) == self._k and oldest > self._inspected - self._n

    def _reported_boxes(self, frame_id: int) -> FloatArray:
        """Return where reported defects are expected in a frame, ``[R, 4]`` xyxy px.

        Each of the kept boxes, moved by the track's own velocity and by the common
        one: a detector boxes one defect whole, or one end, or the other.
        """
        known = [
            t for t in self._tracks if t.is_reported and t.missed <= GAP_MAX_FRAMES
        ]
        if not known:
            return np.zeros((0, 4), np.float32)
        rows = [(track, at, box) for track in known for at, box in track.boxes]
        boxes = [box for _, _, box in rows]
        elapsed = [frame_id - at for _, at, _ in rows]
        common = self._motion.velocity
        default = _NO_MOTION if common is None else common
        own = [default if t.velocity is None else t.velocity for t, _, _ in rows]
        moved = _moved(boxes, own, elapsed)
        if common is None:
            return moved
        return np.concatenate((moved, _moved(boxes, [default] * len(rows), elapsed)))

    def _match(self, detections: Detections, frame_id: int) -> dict[int, int]:
        """Return index of a track to index of its detection; update the motion."""
        if not self._tracks or not len(detections):
            return {}
        tracks = self._tracks
        pairs = pair_up(
            _rows([t.box for t in tracks]),
            [t.label for t in tracks],
            # At least 1: a source may start its frame numbers again.
            np.array([max(1, frame_id - t.frame_id) for t in tracks], np.float32),
            detections,
        )
        missed = np.array([[t.missed] for t in tracks], np.float32)  # [T, 1]
        matching = Matching(
            np.full(pairs.sizes.shape, np.inf, np.float32),
            OTHER_LABEL * pairs.relabelled
            + OTHER_SIZE * pairs.resized
            + MISSED_ONCE * missed,
            self._width_px * STEP_SHARE,
        )
        self._offer_own_motion(matching, pairs)
        common = self._offer_common_motion(matching, pairs)
        self._offer_overlap(matching, pairs)
        self._offer_wide(matching, pairs)
        chosen = matching.choose()
        self._update_motion(pairs, chosen, common)
        return chosen

    def _offer_own_motion(self, matching: Matching, pairs: TrackPairs) -> None:
        """Offer pairs at the position that the track's own velocity predicts."""
        known = np.array([t.velocity is not None for t in self._tracks])  # [T]
        if not known.any():
            return
        velocities = _rows(
            [_NO_MOTION if t.velocity is None else t.velocity for t in self._tracks]
        )  # [T, 2]
        expected = velocities * pairs.elapsed[:, None]  # [T, 2]
        possible = pairs.compatible & known[:, None]
        # 25 % of the expected displacement: the velocity was measured over few frames.
        tolerance = np.maximum(
            pairs.sizes,
            self._drift_px(pairs)[:, None] + lengths(expected)[:, None] * 0.25,
        )
        steps = expected * SPEED_FACTORS[:, None, None]  # [S, T, 2]
        residuals = pairs.residuals(steps)  # [S, T, D]
        matching.offer(OWN, residuals[0], tolerance * possible)
        # A change of speed is only accepted from one frame to the next.
        is_recent = possible & (pairs.elapsed <= 1)[:, None]
        tolerance = np.maximum(pairs.sizes / 2, self._width_px * DRIFT_SHARE)
        matching.offer(CHANGED, residuals[1:].min(axis=0), tolerance * is_recent)

    def _offer_common_motion(
        self, matching: Matching, pairs: TrackPairs
    ) -> FloatArray | None:
        """Offer pairs that follow the common motion; return it, None = unknown."""
        common = self._vote(pairs)
        if common is None:
            common = self._motion.velocity
        if common is None:
            return None
        expected = common * pairs.elapsed[:, None]  # [T, 2]
        tolerance = vote_tolerance(pairs, expected) * pairs.compatible
        matching.offer(COMMON, pairs.residuals(expected), tolerance)
        return common

    def _offer_overlap(self, matching: Matching, pairs: TrackPairs) -> None:
        is_recent = (pairs.elapsed <= 1) | np.array(
            [t.velocity is None for t in self._tracks]
        )
        enough = (pairs.overlaps >= self._iou_threshold) & is_recent[:, None]
        residuals = (1 - pairs.overlaps) * pairs.sizes
        matching.offer(OVERLAP, residuals, enough * pairs.sizes)

    def _offer_wide(self, matching: Matching, pairs: TrackPairs) -> None:
        """Offer a track that was seen once everything within reach."""
        once = np.array([t.velocity is None for t in self._tracks])[:, None]
        reach = self._reach_px(pairs)
        possible = pairs.compatible & once
        if not possible.any():
            return
        motion = self._motion.velocity
        if motion is None:
            tolerance = possible * reach[:, None]
            residuals = pairs.residuals(_NO_MOTION)
            matching.offer(WIDE, residuals, tolerance.astype(np.float32))
            return
        # A known motion narrows the search to multiples of it: nuisances at the edge
        # of the frame must not become tracks across the belt.
        tolerance = np.maximum(pairs.sizes, self._drift_px(pairs)[:, None] * 1.5)
        expected = motion * pairs.elapsed[:, None] * WIDE_FACTORS[:, None, None]
        residuals = pairs.residuals(expected).min(axis=0)
        matching.offer(WIDE, residuals, tolerance * possible)

    def _vote(self, pairs: TrackPairs) -> FloatArray | None:
        """Return the velocity that explains most pairs; None = fewer than two."""
        is_near = pairs.moved_px() <= self._reach_px(pairs)[:, None]  # [T, D]
        possible = pairs.compatible & is_near
        tracks, found = np.nonzero(possible)  # [P] each
        if min(len(set(tracks.tolist())), len(set(found.tolist()))) < VOTES_MIN:
            return None
        # At most HYPOTHESES_MAX of their velocities are tried, [H, 2].
        some = slice(None, None, 1 + len(tracks) // HYPOTHESES_MAX)
        shifts = pairs.shifts[:, 1, tracks[some], found[some]]  # [2, H]
        rates = np.ascontiguousarray((shifts / pairs.elapsed[tracks[some]]).T)
        agree = pairs.agree(tracks, found, rates)  # [H, P]
        # A track and a detection have one vote each, however many pairs they are in.
        votes = np.minimum(_distinct(agree, tracks), _distinct(agree, found))  # [H]
        if votes.max() < VOTES_MIN:
            return None
        # With equal votes the smallest change of the known motion wins.
        before = self._motion.velocity
        change = lengths(rates - (_NO_MOTION if before is None else before))
        best: FloatArray = rates[np.lexsort((change, -votes))[0]]
        return best

    def _update_motion(
        self, pairs: TrackPairs, chosen: dict[int, int], common: FloatArray | None
    ) -> None:
        moving: list[FloatArray] = []
        for number, index in chosen.items():
            track, elapsed = self._tracks[number], pairs.elapsed[number]
            guess = track.velocity if track.velocity is not None else common
            if guess is None:
                expected = pairs.shifts[:, 1, number, index]
            else:
                expected = guess * elapsed
            shift = pairs.shift(number, index, expected)
            rate = (shift / elapsed).astype(np.float32)
            # A third of the box size: a smaller shift is a different box around a
            # defect that did not move.
            least_px = max(JITTER_PX, pairs.sizes[number, index] / 3)
            is_recent = elapsed <= GAP_MAX_FRAMES  # an older pair may be two defects
            if is_recent and lengths(shift) > least_px:
                moving.append(rate)
            if track.velocity is not None:
                share = NEW_VELOCITY_SHARE
                rate = (1 - share) * track.velocity + share * rate
            track.velocity = rate
        self._motion.update(moving)
        if self._motion.velocity is not None and self._has_unexplained(pairs, chosen):
            self._motion.contradict()

    def _has_unexplained(self, pairs: TrackPairs, chosen: dict[int, int]) -> bool:
        """Return whether an unmatched pair could be one defect in another motion."""
        reach = self._reach_px(pairs)
        near = pairs.moved_px() <= reach[:, None]  # [T, D]
        free_tracks = [
            number not in chosen and track.velocity is None and track.missed == 0
            for number, track in enumerate(self._tracks)
        ]
        taken = set(chosen.values())
        free_detections = [index not in taken for index in range(near.shape[1])]
        free = np.outer(free_tracks, free_detections)
        return bool((near & pairs.compatible & free).any())

    def _drift_px(self, pairs: TrackPairs) -> FloatArray:
        """Return the error that a prediction may have, ``[T]`` pixels."""
        frames = np.minimum(pairs.elapsed, GAP_MAX_FRAMES)
        return np.asarray(self._width_px * DRIFT_SHARE * frames, np.float32)

    def _reach_px(self, pairs: TrackPairs) -> FloatArray:
        """Return how far a defect may have moved, ``[T]`` pixels."""
        frames = np.minimum(pairs.elapsed, GAP_MAX_FRAMES)
        return np.asarray(self._width_px * STEP_SHARE * frames, np.float32)


def _rows(vectors: Sequence[FloatArray]) -> FloatArray:
    """Return N vectors as an array ``[N, ...]``; ``np.stack`` takes twice as long."""
    return np.concatenate(vectors).reshape(len(vectors), -1)


def _moved(
    boxes: Sequence[FloatArray], rates: Sequence[FloatArray], elapsed: Sequence[int]
) -> FloatArray:
    """Return boxes after some frames of motion, ``[N, 4]`` xyxy px.

    Args:
        boxes: N boxes, ``[4]`` each.
        rates: Their velocities, ``[2]`` pixels per frame each.
        elapsed: Frames.
    """
    frames = np.array(elapsed, np.float32)[:, None]  # [N, 1]
    shifts = _rows(rates) * frames  # [N, 2]
    return _rows(boxes) + np.concatenate((shifts, shifts), axis=1)


def _distinct(agree: np.ndarray, members: IntArray) -> IntArray:
    """Return how many different members agree with each hypothesis, ``[H]``.

    Args:
        agree: ``[H, P]`` bool.
        members: ``[P]`` the track, or the detection, of each pair.
    """
    numbers = np.arange(members.max() + 1)  # [M]
    is_member = (members[:, None] == numbers).astype(np.float32)  # [P, M]
    counts = agree.astype(np.float32) @ is_member  # [H, M]
    return np.asarray(np.count_nonzero(counts, axis=1), np.int64)
