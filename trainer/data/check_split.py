"""Findings about the division: shots of one part on both sides of a measurement."""

from trainer.data.dataset import Dataset, Photo
from trainer.data.formats.kinds import Kind
from trainer.data.formats.rows import Finding, Level

FIX = (
    "Keep all shots of one part in one split; without a val split of its own the "
    "dataset is divided so, and --group names parts, lots or days by their file names."
)


def near_duplicates_across_splits(dataset: Dataset) -> list[Finding]:
    """Return shots that look like one part and lie in two splits.

    Args:
        dataset: Opened; identical files are not told here.

    Returns:
        One warning for each group, at its first photo in the second split.
    """
    seen: dict[int, tuple[str, Photo]] = {}
    told: set[int] = set()
    findings = []
    for name, photos in _sides(dataset).items():
        for photo in photos:
            group = dataset.division.near[photo.sha256]
            where, first = seen.setdefault(group, (name, photo))
            if where == name or group in told or first.sha256 == photo.sha256:
                continue
            told.add(group)
            why = f"looks like the same part as {first.path.name} in {where}."
            findings.append(
                Finding(
                    Level.WARNING, photo.path, name, why, FIX, Kind.NEAR_IN_TWO_SPLITS
                )
            )
    return findings


def _sides(dataset: Dataset) -> dict[str, tuple[Photo, ...]]:
    """Return the splits, those that training divides as it divides them."""
    if dataset.splits.get("train") and dataset.splits.get("val"):
        return dataset.splits
    record = dataset.division.record.photos
    sides: dict[str, list[Photo]] = {}
    for name, photos in dataset.splits.items():
        for photo in photos:
            place = record.get(photo.sha256)
            sides.setdefault(place.side if place else name, []).append(photo)
    return {name: tuple(photos) for name, photos in sides.items()}
