"""Which detections of successive frames are one defect, and when to say so.

Parts move: a defect of 6 px that travels 60 px between two frames never overlaps with
itself. So tracks are matched by where they should be now:

* where their own velocity carries them;
* else where the common motion carries them: everything on a conveyor moves alike, so
  the displacement that explains most pairs of tracks and detections is the true one;
* else, for a defect seen once while no motion is known, anywhere within 12 % of the
  frame's width for each frame that went by.

Motion is measured in pixels per frame number, so that dropped frames do no harm. A
label may change from frame to frame; it is still the same defect.

A defect is *confirmed* when it was seen in k of the last n inspected frames. Pure: no
clock, no files.

Source:
    Greedy association on predicted boxes as in SORT (arXiv:1602.00763); the vote for
    a common displacement is a Hough transform over translations.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from edge.rules.association import (
    JITTER_PX,
    Matching,
    TrackPairs,
    distinct,
    overlap_of_smaller,
    pair_up,
    vote_tolerance,
)
from edge.rules.motion import CommonMotion
from models.boxes import FloatArray
from models.detections import Detections

FRAME_WIDTH_PX = 640  # where nobody says how wide frames are, until wider is seen
STEP_SHARE = 0.12  # of the frame's width: the longest way between two frames
DRIFT_SHARE = 0.02  # of the frame's width: how wrong a prediction may be
GAP_MAX_FRAMES = 3  # beyond, uncertainty grows no more
SPEED_STEPS = np.array([0.0, 0.5, 1.5], np.float32)  # a conveyor stops or starts
WIDE_STEPS = np.array([0.0, 0.5, 1.5, 2.0, 2.5], np.float32)
NEW_VELOCITY_SHARE = 0.5
# Costs: of each kind of evidence; how far off a pair is comes on top, in units of the
# longest way between two frames.
OWN, COMMON, OVERLAP, CHANGED, WIDE = 0.0, 0.05, 0.1, 0.2, 1.0
OTHER_LABEL, MISSED_ONCE, OTHER_SIZE = 0.05, 0.02, 0.2
HYPOTHESES_MAX = 64  # of a common displacement
PLACES_MAX = 3  # of a reported defect: whole, one end, the other end
SAME_DEFECT_SHARE = 0.25  # of the smaller box, from which it is a piece of the other
_ORIGIN = np.zeros(2, np.float32)


@dataclass(slots=True)
class _Track:
    """A defect that was seen before.

    Attributes:
        box: ``[4]`` where it was last.
        label: What it was called last.
        frame_id: When that was.
        sightings: Turns in which it was seen, of late.
        velocity: ``[2]`` pixels per frame; none after one sighting.
        missed: Turns since then.
        is_reported: It was confirmed.
        places: Frame number and box of the last sightings, the newest last.
    """

    box: FloatArray
    label: int
    frame_id: int
    sightings: deque[int]
    velocity: FloatArray | None = None
    missed: int = 0
    is_reported: bool = False
    places: deque[tuple[int, FloatArray]] = field(default_factory=deque)


class Tracker:
    """Follows defects through the frames of one camera.

    Args:
        k: Sightings that confirm a defect, from 1.
        n: Inspected frames that they must lie in, ``n >= k``.
        iou_threshold: Overlap in 0..1 from which it is the same defect anyway.
        max_missed: Inspected frames after which a defect out of sight is forgotten.

    Raises:
        ValueError: ``k`` is not in 1..n.
    """

    def __init__(
        self,
        k: int,
        n: int,
        *,
        iou_threshold: float = 0.2,
        max_missed: int = 15,
    ) -> None:
        if not 1 <= k <= n:
            msg = f"k must be in 1..n, got k = {k}, n = {n}"
            raise ValueError(msg)
        self._k, self._n = k, n
        self._iou_threshold, self._max_missed = iou_threshold, max_missed
        self._width_px = float(FRAME_WIDTH_PX)
        self._turn = 0
        self._tracks: list[_Track] = []
        self._motion = CommonMotion()

    @property
    def max_missed(self) -> int:
        """Inspected frames after which a defect out of sight is forgotten."""
        return self._max_missed

    def forget(self) -> None:
        """Forget every defect and every motion: what comes now is something else."""
        self._tracks, self._motion = [], CommonMotion()

    def update(
        self, detections: Detections, frame_id: int, *, frame_width_px: int = 0
    ) -> Detections:
        """Take the detections of the next inspected frame.

        Args:
            detections: With ``boxes_frame``.
            frame_id: The source's own frame number; numbers that are left out are
                frames that were dropped.
            frame_width_px: Width of the frame; 0 = as wide as boxes were seen.

        Returns:
            The defects that this frame confirms for the first time, each once in
            its track's life, best first.
        """
        self._turn += 1
        places = distinct(detections)
        seen = detections.take(places)
        if len(seen):
            farthest_px = float(seen.boxes[:, 2].max())
            self._width_px = float(frame_width_px) or max(self._width_px, farthest_px)
        matches = self._match(seen, frame_id)
        followed = set(matches.values())
        tracks = [
            self._follow(track, seen, matches.get(number), frame_id)
            for number, track in enumerate(self._tracks)
        ]
        tracks += [
            self._begin(seen, place, frame_id)
            for place in range(len(seen))
            if place not in followed
        ]
        self._tracks = [t for t, _ in tracks if t.missed <= self._max_missed]
        present = sorted(
            ((place, track) for track, place in tracks if place is not None),
            key=lambda found: found[0],
        )
        for _, track in present:
            self._remember(track, frame_id)
        return seen.take(np.array(self._tell(present, frame_id), np.int64))

    def _begin(
        self, seen: Detections, place: int, frame_id: int
    ) -> tuple[_Track, int | None]:
        """Return a new track."""
        sightings = deque([self._turn], maxlen=self._k)
        label = int(seen.labels[place])
        return _Track(seen.boxes[place], label, frame_id, sightings), place

    def _follow(
        self, track: _Track, seen: Detections, place: int | None, frame_id: int
    ) -> tuple[_Track, int | None]:
        """Return a track after this frame."""
        if place is None:
            track.missed += 1
            return track, None
        track.box, track.label = seen.boxes[place], int(seen.labels[place])
        track.frame_id, track.missed = frame_id, 0
        track.sightings.append(self._turn)
        return track, place

    def _remember(self, track: _Track, frame_id: int) -> None:
        """Note where a track is, and forget places that were of something else."""
        common = self._motion.velocity
        rate = track.velocity if common is None else common
        rate = _ORIGIN if rate is None else rate
        kept = [
            (at, box)
            for at, box in track.places
            if overlap_of_smaller(
                track.box[None], (box + np.tile(rate * (frame_id - at), 2))[None]
            ).any()
        ]
        track.places = deque([*kept, (frame_id, track.box)], maxlen=PLACES_MAX)

    def _tell(self, present: list[tuple[int, _Track]], frame_id: int) -> list[int]:
        """Return the places of newly confirmed defects; pieces of one are absorbed.

        A detector often boxes a long scratch in several ways: whole, and its ends.
        """
        if not present:
            return []
        boxes = np.stack([track.box for _, track in present])  # [P, 4]
        shares = overlap_of_smaller(boxes, self._reported_places(frame_id))
        is_piece = np.asarray((shares >= SAME_DEFECT_SHARE).any(axis=1))  # [P]
        touches = overlap_of_smaller(boxes, boxes) >= SAME_DEFECT_SHARE  # [P, P]
        told = []
        for number, (place, track) in enumerate(present):
            if not track.is_reported and self._is_confirmed(track):
                if not is_piece[number]:
                    told.append(place)
                track.is_reported = True
                is_piece |= touches[number]
        for (_, track), absorbed in zip(present, is_piece.tolist(), strict=True):
            track.is_reported = track.is_reported or absorbed
        return told

    def _is_confirmed(self, track: _Track) -> bool:
        """Return whether a track was seen in k of the last n turns."""
        oldest = track.sightings[0]
        return len(track.sightings) == self._k and oldest > self._turn - self._n

    def _reported_places(self, frame_id: int) -> FloatArray:
        """Return where reported defects should be in a frame, ``[R, 4]`` xyxy px.

        Each of the last few places, by its own velocity and by that of everything: a
        detector boxes one defect whole, or one end, or the other.
        """
        known = [
            t for t in self._tracks if t.is_reported and t.missed <= GAP_MAX_FRAMES
        ]
        if not known:
            return np.zeros((0, 4), np.float32)
        rows = [(track, at, box) for track in known for at, box in track.places]
        boxes = np.stack([box for _, _, box in rows])
        elapsed = np.array([[frame_id - at] for _, at, _ in rows], np.float32)
        common = self._motion.velocity
        still = _ORIGIN if common is None else common
        own = np.stack(
            [still if t.velocity is None else t.velocity for t, _, _ in rows]
        )
        places = [boxes + np.tile(rate * elapsed, 2) for rate in (own, still)]
        return np.concatenate(places[: 1 if common is None else 2])

    def _match(self, seen: Detections, frame_id: int) -> dict[int, int]:
        """Return which track is which detection, and learn how things move."""
        if not self._tracks or not len(seen):
            return {}
        tracks = self._tracks
        pairs = pair_up(
            np.stack([t.box for t in tracks]),
            [t.label for t in tracks],
            np.array([max(1, frame_id - t.frame_id) for t in tracks], np.float32),
            seen,
        )
        missed = np.array([[t.missed] for t in tracks], np.float32)  # [T, 1]
        match = Matching(
            np.full(pairs.sizes.shape, np.inf, np.float32),
            OTHER_LABEL * pairs.relabelled
            + OTHER_SIZE * pairs.resized
            + MISSED_ONCE * missed,
            self._width_px * STEP_SHARE,
        )
        self._offer_own(match, pairs)
        common = self._offer_common(match, pairs)
        self._offer_overlap(match, pairs)
        self._offer_wide(match, pairs)
        chosen = match.choose()
        self._learn(pairs, chosen, common)
        return chosen

    def _offer_own(self, match: Matching, pairs: TrackPairs) -> None:
        """Offer pairs that lie where the track's own velocity leads."""
        known = np.array([t.velocity is not None for t in self._tracks])  # [T]
        if not known.any():
            return
        velocities = np.stack(
            [_ORIGIN if t.velocity is None else t.velocity for t in self._tracks]
        )  # [T, 2]
        expected = velocities * pairs.elapsed[:, None]  # [T, 2]
        possible = pairs.compatible & known[:, None]
        tolerance = np.maximum(
            pairs.sizes,
            self._drift_px(pairs)[:, None]
            + np.linalg.norm(expected, axis=1)[:, None] * 0.25,
        )
        match.offer(OWN, pairs.residuals(expected), tolerance * possible)
        fresh = possible & (pairs.elapsed <= 1)[:, None]
        tolerance = np.maximum(pairs.sizes / 2, self._width_px * DRIFT_SHARE)
        steps = expected * SPEED_STEPS[:, None, None]  # [S, T, 2]
        match.offer(CHANGED, pairs.residuals(steps).min(axis=0), tolerance * fresh)

    def _offer_common(self, match: Matching, pairs: TrackPairs) -> FloatArray | None:
        """Offer pairs that follow the common motion, and return it if there is one."""
        common = self._vote(pairs)
        if common is None:
            common = self._motion.velocity
        if common is None:
            return None
        expected = common * pairs.elapsed[:, None]  # [T, 2]
        tolerance = vote_tolerance(pairs, expected) * pairs.compatible
        match.offer(COMMON, pairs.residuals(expected), tolerance)
        return common

    def _offer_overlap(self, match: Matching, pairs: TrackPairs) -> None:
        """Offer pairs that overlap in successive frames."""
        fresh = (pairs.elapsed <= 1) | np.array(
            [t.velocity is None for t in self._tracks]
        )
        enough = (pairs.overlaps >= self._iou_threshold) & fresh[:, None]
        match.offer(OVERLAP, (1 - pairs.overlaps) * pairs.sizes, enough * pairs.sizes)

    def _offer_wide(self, match: Matching, pairs: TrackPairs) -> None:
        """Offer a track that was seen once everything within reach."""
        once = np.array([t.velocity is None for t in self._tracks])[:, None]
        reach = self._reach_px(pairs)
        possible = pairs.compatible & once
        if not possible.any():
            return
        motion = self._motion.velocity
        if motion is None:
            tolerance = possible * reach[:, None]
            match.offer(WIDE, pairs.residuals(_ORIGIN), tolerance.astype(np.float32))
            return
        tolerance = np.maximum(pairs.sizes, self._drift_px(pairs)[:, None] * 1.5)
        expected = motion * pairs.elapsed[:, None] * WIDE_STEPS[:, None, None]
        match.offer(WIDE, pairs.residuals(expected).min(axis=0), tolerance * possible)

    def _vote(self, pairs: TrackPairs) -> FloatArray | None:
        """Return the velocity that explains most pairs, if it explains two or more."""
        reach = self._reach_px(pairs)
        moved = np.linalg.norm(pairs.shifts[1], axis=-1)  # [T, D]
        possible = pairs.compatible & (moved <= reach[:, None])
        if min(possible.any(axis=0).sum(), possible.any(axis=1).sum()) < 2:
            return None
        rates = (pairs.shifts[1] / pairs.elapsed[:, None, None])[possible]  # [H, 2]
        rates = rates[:: 1 + len(rates) // HYPOTHESES_MAX]
        expected = rates[:, None] * pairs.elapsed[:, None]  # [H, T, 2]
        residuals = pairs.residuals(expected)  # [H, T, D]
        agree = possible & (residuals <= vote_tolerance(pairs, expected))
        votes = np.minimum(
            agree.any(axis=1).sum(axis=1), agree.any(axis=2).sum(axis=1)
        )  # [H]
        if votes.max() < 2:
            return None
        before = self._motion.velocity
        change = np.linalg.norm(rates - (_ORIGIN if before is None else before), axis=1)
        best: FloatArray = rates[np.lexsort((change, -votes))[0]]
        return best

    def _learn(
        self, pairs: TrackPairs, chosen: dict[int, int], common: FloatArray | None
    ) -> None:
        """Update velocities, and the common motion, from what was matched."""
        moving: list[FloatArray] = []
        for number, place in chosen.items():
            track, elapsed = self._tracks[number], pairs.elapsed[number]
            guess = track.velocity if track.velocity is not None else common
            expected = pairs.shifts[1, number, place] if guess is None else guess
            if guess is not None:
                expected = guess * elapsed
            shift = pairs.shift(number, place, expected)
            rate = (shift / elapsed).astype(np.float32)
            least_px = max(JITTER_PX, pairs.sizes[number, place] / 3)
            is_fresh = elapsed <= GAP_MAX_FRAMES  # an older pair may be of two things
            if is_fresh and np.linalg.norm(shift) > least_px:
                moving.append(rate)
            if track.velocity is not None:
                share = NEW_VELOCITY_SHARE
                rate = (1 - share) * track.velocity + share * rate
            track.velocity = rate
        self._motion.seen(moving)
        if self._motion.velocity is not None and self._is_surprised(pairs, chosen):
            self._motion.contradicted()

    def _is_surprised(self, pairs: TrackPairs, chosen: dict[int, int]) -> bool:
        """Return whether something may have moved as nothing did before."""
        reach = self._reach_px(pairs)
        near = np.linalg.norm(pairs.shifts[1], axis=-1) <= reach[:, None]  # [T, D]
        free_tracks = [
            number not in chosen and track.velocity is None and track.missed == 0
            for number, track in enumerate(self._tracks)
        ]
        taken = set(chosen.values())
        free_places = [place not in taken for place in range(near.shape[1])]
        free = np.outer(free_tracks, free_places)
        return bool((near & pairs.compatible & free).any())

    def _drift_px(self, pairs: TrackPairs) -> FloatArray:
        """Return how wrong a prediction may be, ``[T]`` pixels."""
        frames = np.minimum(pairs.elapsed, GAP_MAX_FRAMES)
        return np.asarray(self._width_px * DRIFT_SHARE * frames, np.float32)

    def _reach_px(self, pairs: TrackPairs) -> FloatArray:
        """Return how far a defect may have come, ``[T]`` pixels."""
        frames = np.minimum(pairs.elapsed, GAP_MAX_FRAMES)
        return np.asarray(self._width_px * STEP_SHARE * frames, np.float32)
