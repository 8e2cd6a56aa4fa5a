"""The photos of a measurement that has no time for all held-out ones.

The photos are put into an order of which each beginning can be measured on: defective
and good photos in turn, each spread over the whole list, until the good ones suffice
for the usual promise; the others follow in their proportion. So a measurement may stop
at any photo, and its number alone repeats it.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from models.detections import Detections
from models.detector import Detector
from trainer.data.dataset import Photo
from trainer.evaluation.metrics import predict_photos
from trainer.evaluation.thresholds.limits import OVERKILL_TARGET
from trainer.evaluation.thresholds.order_statistics import parts_needed

# With fewer the threshold promises less than it could, or nothing.
GOOD_FIRST = parts_needed(OVERKILL_TARGET)


def spread_order(photos: Sequence[Photo]) -> list[int]:
    """Return positions, of which each beginning is a part to measure on."""
    defective, good = (_spread(photos, is_good=is_good) for is_good in (False, True))
    pairs = zip(defective, good[:GOOD_FIRST], strict=False)
    in_turn = [index for pair in pairs for index in pair]
    rank: dict[int, Fraction] = {}
    for kind in (defective, good):
        rest = kind[len(in_turn) // 2 :]
        for place, index in enumerate(rest):
            rank[index] = Fraction(2 * place + 1, 2 * len(rest))
    return in_turn + sorted(rank, key=lambda index: (rank[index], index))


def _spread(photos: Sequence[Photo], *, is_good: bool) -> list[int]:
    """Return the positions of one kind, each beginning spread over all of them."""
    kind = [i for i, photo in enumerate(photos) if photo.is_good is is_good]
    return [kind[place] for place in sorted(range(len(kind)), key=_reversed_bits)]


def _reversed_bits(number: int) -> float:
    """Return a number's binary digits mirrored at the point, in 0..1.

    Source:
        van der Corput's sequence of base 2.
    """
    result, share = 0.0, 0.5
    while number:
        result += share * (number & 1)
        number, share = number >> 1, share / 2
    return result


def measured_part(photos: tuple[Photo, ...], count: int) -> tuple[Photo, ...]:
    """Return a part of photos in their own order.

    Args:
        count: Photos of the part; 0 = all.
    """
    if not 0 < count < len(photos):
        return photos
    return tuple(photos[i] for i in sorted(spread_order(photos)[:count]))


def predict_in_time(
    detector: Detector,
    photos: tuple[Photo, ...],
    label_count: int,
    *,
    least: int,
    is_late: Callable[[int], bool],
    on_photo: Callable[[], None] | None = None,
) -> tuple[tuple[Photo, ...], list[Detections]]:
    """Return the photos that there was time for, in their own order, and detections.

    Args:
        least: Photos that are measured in any case.
        is_late: Called before each other photo, with the photos measured.

    Returns:
        A part of the photos, and one ``Detections`` for each.
    """
    found: dict[int, Detections] = {}
    for index in spread_order(photos):
        if len(found) >= least and is_late(len(found)):
            break
        found[index] = predict_photos(
            detector, [photos[index]], label_count, on_photo=on_photo
        )[0]
    chosen = sorted(found)
    return tuple(photos[i] for i in chosen), [found[i] for i in chosen]
