"""What a run says of its class unknown."""

from typing import Any

import pytest

from trainer.fit.unknown_record import sight, to_check
from trainer.run_record import UnknownRecord, UnlikePhoto, VisibleSpots


def record(**changed: Any) -> UnknownRecord:
    """Return a record of 40 photos."""
    values = {"rows": 8, "inputs": 4, "good_photos": 40, "seconds": 3, "cell_px": 21.3}
    return UnknownRecord.model_validate(values | changed)


def spots(contrast: int, *seen: float) -> VisibleSpots:
    """Return what is seen at 4, 8 and 16 px."""
    return VisibleSpots(contrast=contrast, photos=10, sides_px=(4, 8, 16), seen=seen)


@pytest.mark.parametrize(
    ("seen", "smallest"),
    [((0.0, 0.5, 1.0), 8), ((0.6, 0.7, 0.8), 4), ((0.0, 0.1, 0.4), None)],
)
def test_smallest_spot_is_the_first_that_half_of_the_photos_report(
    seen: tuple[float, ...], smallest: float | None
) -> None:
    assert spots(16, *seen).smallest_px == smallest


def test_smallest_visible_spot_is_named_for_each_contrast() -> None:
    visible = (spots(16, 0, 0, 0.4), spots(128, 0, 0.5, 1))
    lines = list(sight(record(visible=visible)))
    assert lines[0].endswith("it compares places of 21 x 21 px of the photo.")
    assert "half of 10 good photos" in lines[1]
    assert lines[1].endswith(
        "8 px at a contrast of 128 of 255 grey levels, none up to 16 px at a contrast "
        "of 16."
    )


@pytest.mark.parametrize(
    ("aligned", "text"), [(0.83, "alike in all photos"), (0.1, "differently from")]
)
def test_how_the_parts_lie_is_stated(aligned: float, text: str) -> None:
    [line] = [one for one in sight(record(aligned=aligned)) if "parts lie" in one]
    assert text in line
    assert not any("parts lie" in one for one in sight(record()))


def test_only_photos_that_are_unlike_the_others_are_named() -> None:
    highest = [
        UnlikePhoto(
            photo=f"good/{score}.png",
            sha256="0" * 64,
            score=score,
            box_px=(0, 0, 9, 9),
            held_out=False,
        )
        for score in (0.9, 0.4)
    ]
    first, last = to_check(record(highest=tuple(highest), notes=("two kinds",)))
    assert "1 photo of good parts is unlike the others (good/0.9.png)" in first
    assert last == "two kinds"


def test_good_photos_that_are_alike_need_no_sentence() -> None:
    assert list(to_check(record())) == []
