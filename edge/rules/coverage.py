"""Rules of a camera that no defect known to the model can pass. Pure.

A region, a threshold or a smallest size is valid for itself and can still hide every
defect: the line then looks good. So the rules are compared with the defects that the
package knows: sizes, places and best scores of the labelled ones. A rule that none of
them passes is *silent*, and the station is ``degraded`` while one is. A rule that is
only strict is not: each comparison is with the largest box or the highest score.

What cannot be known from the files (how fast parts pass) is compared while frames are
inspected.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge.rules.regions import WHOLE_PICTURE, Region, RegionKind, unknown_labels
from edge.rules.tracker import STEP_SHARE
from models.counted import counted

INSPECTED_MIN_SHARE = 5e-4  # of the frame: 32 x 32 px of 1920 x 1080
# Of the smallest labelled box: the centre of a detected box varies by about as much, so
# that it is in a smaller region only by chance.
CENTRE_VARIES_SHARE = 0.25
# A region below this share in which no labelled defect lies is silent. A larger one may
# wait for defects in a new place, as long as other regions hold the known places.
NARROW_SHARE = 0.05
PLACES_MIN = 20  # labelled boxes from which their places are representative
# Points along each side of a region's bounding box. More make no other decision, and
# 64 regions of 64 corners take seconds.
SAMPLES = 96
# Boxes of the golden frames are a sample: the largest labelled one may be larger.
SAMPLE_FACTOR = 1.5
TOLERANCE_PX = 0.5  # a detected box is never exact to the pixel
IN_VIEW_MAX_S = 600  # no defect of a line stays in view for longer
SHIFT_S = 8 * 3600  # a cool-down that is longer hides the defects of a whole shift
PARTS_MIN = 3  # counted parts from which the number of their frames is representative
# Without a single counted part. Fewer may be stains on the empty belt.
DEFECTS_WITHOUT_PART = 5
LISTED_MAX = 4  # labels in one reason

Rectangle = tuple[float, float, float, float]  # x1, y1, x2, y2 in shares of the frame


@dataclass(frozen=True, slots=True)
class KnownDefects:
    """What a package knows about the defects of one label."""

    label: str
    score_threshold: float  # the package's own
    count: int = 0  # boxes; 0 = nothing is known
    smallest_share: float = 0.0  # longer side of a box per longer side of its photo
    largest_share: float = 0.0
    largest_px: float = 0.0  # longer side of the largest box, in pixels of its photo
    photo_size_px: tuple[int, int] = (0, 0)  # width and height of most photos
    centres: Rectangle = (0.0, 0.0, 1.0, 1.0)  # holds the centres of all boxes
    highest_score: float | None = None  # of the model's detections; None = unknown
    is_sample: bool = False  # from the golden frames only


@dataclass(frozen=True, slots=True)
class CameraRules:
    """The rules of one camera that decide what is reported."""

    camera: str
    regions: tuple[Region, ...] = ()  # in the order of the file
    is_free_run: bool = True  # k of n and the cool-down apply
    k: int = 1
    cool_down_s: float = 0.0
    streak_parts: int = 0
    streak_alerts: int = 0
    counts_parts: bool = False
    part_difference: float = 0.0  # see `PartsSettings`
    can_count: bool = True  # a part can differ from the empty belt by so much
    part_window: Rectangle = (0.0, 0.0, 1.0, 1.0)
    frame_size_px: tuple[int, int] | None = None  # width and height, where configured
    fps: float = 0.0  # frames per second of a live camera; 0 = its own rate


@dataclass(frozen=True, slots=True)
class SilentRule:
    """A rule that hides every defect that the model knows."""

    camera: str
    rule: str  # as in the configuration: `region body`
    reason: str  # continues the sentence that starts with the rule
    fix: str

    def __str__(self) -> str:
        """Return the rule and the reason, for status and log."""
        return f"camera {self.camera}: {self.rule} {self.reason}"

    @property
    def cause(self) -> str:
        """Rule and reason without the reason's figures, which vary between frames."""
        return f"{self.camera}: {self.rule} {re.sub(r'[0-9.]+', '', self.reason)}"


def silent_rules(
    rules: CameraRules,
    known: Sequence[KnownDefects],
    frame_size_px: tuple[int, int] | None = None,
) -> tuple[SilentRule, ...]:
    """Return the rules that cannot report anything that the model knows.

    Args:
        known: One for each label of the model; empty = no model is known.
        frame_size_px: Width and height of the camera's frames; None = not known yet:
            sizes are then compared in pixels of the photos.
    """
    size_px = frame_size_px or rules.frame_size_px
    found = list(_silent_masks(rules))
    for number, region in enumerate(rules.regions):
        if region.kind is RegionKind.INSPECT:
            found += _silent_region(rules, number, known, size_px)
    # What is silent already is the cause, or is reported beside it.
    places = [] if found else _silent_places(rules, _places(known, size_px))
    return (*found, *places, *_silent_alarms(rules))


def silent_confirmation(
    rules: CameraRules,
    known: Sequence[KnownDefects],
    frame_size_px: tuple[int, int],
    *,
    frames_of_parts: Sequence[int],
    frames_to_cross: float | None,
    step_share: float | None,
    has_confirmed: bool,
) -> tuple[SilentRule, ...]:
    """Return whether k of n can be reached at the speed of the parts.

    Args:
        known: One for each label of the model.
        frame_size_px: Width and height.
        frames_of_parts: Inspected frames of each of the last counted parts.
        frames_to_cross: Frames in which a defect crosses what is inspected with the
            common motion; None = it is not known.
        step_share: Step of the last defects that were not followed, per frame, as a
            share of the frame's width; None = there are none.
        has_confirmed: A defect was confirmed under these rules: the belt is slow
            enough, or stops for a while.
    """
    if not rules.is_free_run or rules.k == 1:
        return ()
    frames = frames_of_parts if len(frames_of_parts) >= PARTS_MIN else ()
    reason = ""
    if frames and max(frames) < rules.k:
        reason = _frames_of(frames)
    elif step_share is not None:
        reason = f"defects move {step_share:.0%} of the frame's width per frame, and "
        reason += f"are followed for {STEP_SHARE:.0%}"
    elif has_confirmed:
        return ()
    elif frames and (step_px := _step_px(rules, known, frame_size_px, max(frames))):
        reason = f"{_frames_of(frames)}: it moves {step_px:.0f} px per frame, too far "
        reason += "to be followed"
    # One more: a defect may be seen at both ends.
    elif frames_to_cross is not None and rules.k > frames_to_cross + 1:
        area = "frame" if inspected_sides(rules) == (1, 1) else "inspected regions"
        reason = f"a defect crosses the {area} in {frames_to_cross:.2g} frames"
    if not reason:
        return ()
    fix = "Set a smaller k, or inspect more frames of each part."
    reason = f"cannot be reached: {reason}"
    return (SilentRule(rules.camera, f"k = {rules.k}", reason, fix),)


def silent_parts(
    rules: CameraRules, counted_parts: int, confirmed: int
) -> tuple[SilentRule, ...]:
    """Return whether parts are counted at all; without one there are no verdicts.

    Args:
        counted_parts: Until now, the one in view included.
        confirmed: Defects that were confirmed under these rules.
    """
    if not rules.counts_parts or counted_parts or confirmed < DEFECTS_WITHOUT_PART:
        return ()
    reason = f"count no part, while {counted(confirmed, 'defect')} were confirmed"
    fix = "Set another window, or a smaller difference and enter_share."
    return (SilentRule(rules.camera, "parts", reason, fix),)


def inspected_sides(rules: CameraRules) -> tuple[float, float]:
    """Return at most how far a defect travels in the inspect regions of a camera.

    Returns:
        Along the width and along the height, as shares of the frame.
    """
    inspected = [r for r in rules.regions if r.kind is RegionKind.INSPECT]
    if not inspected:
        return 1.0, 1.0
    # The sum: a defect may travel from one region into the next.
    sides = sum(r.corners.max(axis=0) - r.corners.min(axis=0) for r in inspected)
    width_share, height_share = np.minimum(sides, 1).tolist()
    return width_share, height_share


def _frames_of(parts: Sequence[int]) -> str:
    text = (
        f"each of the last {counted(len(parts), 'part')} was inspected in at "
        f"most {max(parts)}"
    )
    return f"{text} frame{'s' * (max(parts) > 1)}"


def _step_px(
    rules: CameraRules,
    known: Sequence[KnownDefects],
    frame_size_px: tuple[int, int],
    frames: int,
) -> float:
    """Return a part's step per frame, if it is too large to follow a defect; else 0."""
    width_px, height_px = frame_size_px
    x1, y1, x2, y2 = rules.part_window
    # A part passes the window at least once along its shorter side.
    step_px = min((x2 - x1) * width_px, (y2 - y1) * height_px) / frames
    sizes_px = [_largest_px(each, frame_size_px) for each in known]
    # A large defect overlaps with itself in the next frame, and is followed by that.
    if not all(sizes_px) or step_px <= max([STEP_SHARE * width_px, *sizes_px]):
        return 0.0
    return step_px


def _silent_masks(rules: CameraRules) -> Iterator[SilentRule]:
    """Yield the masks of a camera without inspect regions, if they cover it all."""
    masks = [r for r in rules.regions if r.kind is RegionKind.MASK]
    if not masks or len(masks) < len(rules.regions):
        return  # with inspect regions, each of these is compared with the masks
    share, _ = _inspected(WHOLE_PICTURE, masks)
    if share < INSPECTED_MIN_SHARE:
        rule = f"mask{'s' * (len(masks) > 1)} {', '.join(m.name for m in masks)}"
        reason = "leaves next to nothing of the frame to inspect"
        reason = reason if len(masks) == 1 else reason.replace("leaves", "leave")
        yield SilentRule(rules.camera, rule, reason, "Draw smaller masks.")


def _silent_places(
    rules: CameraRules, places: Sequence[KnownDefects]
) -> Iterator[SilentRule]:
    """Yield all regions together, if no labelled defect lies in what they inspect."""
    masks = [r for r in rules.regions if r.kind is RegionKind.MASK]
    regions = [r for r in rules.regions if r.kind is RegionKind.INSPECT]
    if not places or not rules.regions:
        return
    for region in regions or [WHOLE_PICTURE]:
        _, points = _inspected(region, masks)
        if any(_holds(each.centres, points) for each in places):
            return
    names = ", ".join(r.name for r in rules.regions)
    rule = f"region{'s' * (len(rules.regions) > 1)} {names}"
    reason = "leave out every place where a defect was labelled"
    reason = reason if len(rules.regions) > 1 else reason.replace("leave", "leaves")
    fix = "Draw the regions where the labelled defects lie, and smaller masks."
    yield SilentRule(rules.camera, rule, reason, fix)


def _places(
    known: Sequence[KnownDefects], size_px: tuple[int, int] | None
) -> list[KnownDefects]:
    """Return the labels whose places hold for frames of this size.

    Photos of another size were taken elsewhere: there, a defect may lie in the middle
    of each photo. Golden frames are too few.
    """
    alike = [e for e in known if e.photo_size_px == size_px and not e.is_sample]
    return alike if sum(each.count for each in alike) >= PLACES_MIN else []


def _silent_alarms(rules: CameraRules) -> Iterator[SilentRule]:
    """Yield what is wrong with the settings that count or hold back alerts."""
    if rules.is_free_run and rules.cool_down_s > SHIFT_S:
        hours = rules.cool_down_s / 3600
        reason = f"holds back all defects of one kind for {hours:.3g} hours"
        fix = "Set a cool-down in seconds that is shorter than a shift."
        rule = f"cool_down_s = {rules.cool_down_s:g}"
        yield SilentRule(rules.camera, rule, f"{reason} after an alert", fix)
    in_view_s = (rules.k - 1) / rules.fps if rules.is_free_run and rules.fps else 0.0
    if in_view_s > IN_VIEW_MAX_S:
        reason = f"cannot be reached: at fps = {rules.fps:g} it takes {in_view_s:.0f} s"
        fix = "Set a higher fps, or k = 1."
        yield SilentRule(rules.camera, f"k = {rules.k}", reason, fix)
    has_parts = rules.counts_parts or not rules.is_free_run
    if rules.streak_parts and not has_parts and not rules.streak_alerts:
        reason = "never raises an alarm: this camera has no parts"
        rule = f"streak.parts = {rules.streak_parts}"
        yield SilentRule(
            rules.camera, rule, reason, "Set streak.alerts, or count parts."
        )
    if rules.streak_alerts and not rules.is_free_run and not rules.streak_parts:
        reason = "never raises an alarm: of this camera, parts are counted"
        rule = f"streak.alerts = {rules.streak_alerts}"
        yield SilentRule(rules.camera, rule, reason, "Set streak.parts.")
    if rules.counts_parts and not rules.can_count:
        reason = "hides every part: nothing differs so much from the empty belt"
        rule = f"parts.difference = {rules.part_difference:g}"
        yield SilentRule(rules.camera, rule, reason, "Set a smaller difference.")


def _silent_region(
    rules: CameraRules,
    number: int,
    known: Sequence[KnownDefects],
    size_px: tuple[int, int] | None,
) -> Iterator[SilentRule]:
    """Yield why a region is silent: its place first, nothing that follows from it."""
    region = rules.regions[number]
    name = f"region {region.name}"
    if known:
        labels = [each.label for each in known]
        for phrase in unknown_labels([region], labels):
            reason = f"{phrase.removeprefix(name).strip()}, unknown to the model"
            fix = f"Give one of {', '.join(labels)}, or take the threshold out."
            yield SilentRule(rules.camera, name, reason, fix)
    above = [r for r in rules.regions if r.kind is RegionKind.MASK]
    above += [r for r in rules.regions[:number] if r.kind is RegionKind.INSPECT]
    if place := _place_reason(region, above, known, size_px):
        fix = "Draw it larger or elsewhere, or move it up in the file."
        yield SilentRule(rules.camera, name, place, fix)
        return
    if size := _size_reason(region, known, size_px):
        yield SilentRule(rules.camera, name, size, "Set a smaller min_size_px.")
    if scores := _score_reason(region, known):
        yield SilentRule(rules.camera, name, scores, "Set lower thresholds.")


def _place_reason(
    region: Region,
    above: Sequence[Region],
    known: Sequence[KnownDefects],
    size_px: tuple[int, int] | None,
) -> str:
    """Return why no defect has its centre in a region; empty = one may have."""
    share, points = _inspected(region, above)
    own = region.area_share
    if share == 0:
        covering = [r.name for r in above if _inspected(region, [r])[0] < own]
        verb = "covers" if len(covering) == 1 else "cover"
        return f"inspects nothing: {', '.join(covering)} {verb} it"
    smallest = min((each.smallest_share for each in known if each.count), default=0)
    least = max(INSPECTED_MIN_SHARE, (CENTRE_VARIES_SHARE * smallest) ** 2)
    shown = f"inspects only {100 * share:.2g} % of the frame"
    if share < least:
        return f"{shown}: next to no defect has its centre there"
    places = _places(known, size_px)
    if share >= NARROW_SHARE or not places:
        return ""
    if not any(_holds(each.centres, points) for each in places):
        return f"{shown}, and no labelled defect lies there"
    return ""


def _size_reason(
    region: Region, known: Sequence[KnownDefects], size_px: tuple[int, int] | None
) -> str:
    least_px = region.min_size_px
    setting = f"has min_size_px = {least_px:g}, "
    if size_px and least_px > max(size_px):
        return f"{setting}more than its frames: {size_px[0]} x {size_px[1]} px"
    hidden = []
    for each in known:
        largest_px = _largest_px(each, size_px)
        factor = SAMPLE_FACTOR if each.is_sample else 1
        if largest_px and least_px > largest_px * factor + TOLERANCE_PX:
            hidden.append(f"{each.label} (at most {largest_px:.0f} px)")
    if not hidden:
        return ""
    return f"{setting}which hides every known {_listed(hidden)}"


def _score_reason(region: Region, known: Sequence[KnownDefects]) -> str:
    hidden = []
    for each in known:
        score = region.thresholds.get(each.label, 0)
        best = each.highest_score
        if best is None or (each.is_sample and each.count == 1):
            # One golden frame may show the weakest defect: it is no limit.
            if score >= 1:
                hidden.append(f"{score:g} for {each.label} (always below 1)")
        elif score > max(best, each.score_threshold):
            hidden.append(f"{score:g} for {each.label} (at most {best:.2f})")
    if not hidden:
        return ""
    return f"has a threshold above every known score: {_listed(hidden)}"


def _largest_px(known: KnownDefects, size_px: tuple[int, int] | None) -> float:
    """Return the longer side of the largest known box in a frame; 0 = unknown."""
    return known.largest_share * max(size_px) if size_px else known.largest_px


def _listed(phrases: Sequence[str]) -> str:
    shown = ", ".join(phrases[:LISTED_MAX])
    left = len(phrases) - LISTED_MAX
    return f"{shown} and {left} more" if left > 0 else shown


def _inspected(region: Region, above: Sequence[Region]) -> tuple[float, np.ndarray]:
    """Return how much of the frame a region inspects, and points where it does.

    Args:
        above: Masks, and regions that come first where they overlap.

    Returns:
        Share of the frame, 0 = all of it is covered; and ``[N, 2]`` float64, shares of
        the frame.
    """
    low, high = region.corners.min(axis=0), region.corners.max(axis=0)  # [2]
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    x, y = low[0] + steps * (high[0] - low[0]), low[1] + steps * (high[1] - low[1])
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)  # [S * S, 2]
    points = grid[region.contains(grid)]
    if not len(points):  # thinner than the samples: what covers it is not measured
        return region.area_share, region.corners
    left = points
    for other in above:
        is_apart = (other.corners.min(axis=0) > high) | (
            other.corners.max(axis=0) < low
        )
        if not is_apart.any():
            left = left[~other.contains(left)]
    return region.area_share * len(left) / len(points), left


def _holds(rectangle: Rectangle, points: np.ndarray) -> bool:
    x1, y1, x2, y2 = rectangle
    inside = (points >= (x1, y1)) & (points <= (x2, y2))  # [N, 2]
    return bool(inside.all(axis=1).any())
