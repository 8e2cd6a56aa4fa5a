"""When alarms are raised and cleared."""

import pytest

from dashboard.alarms.rules import AlarmKind, decide
from dashboard.plant_settings import CameraLimit

LIMIT = CameraLimit(defect_percent=5, hysteresis=2, streak=3, parts=100)
SHARE, STREAK = AlarmKind.SHARE, AlarmKind.STREAK


def verdicts(text: str) -> list[str]:
    """Return verdicts, the newest first: d defect, o ok, n not inspected."""
    kinds = {"d": "defect", "o": "ok", "n": "not-inspected"}
    return [kinds[each] for each in text]


@pytest.mark.parametrize(
    ("defective", "was_active", "is_active"),
    [
        (5, False, False),  # at the limit, not above it
        (6, False, True),
        (6, True, True),
        (4, True, True),  # between the limits: as before
        (4, False, False),
        (3, True, False),  # at the lower limit
    ],
)
def test_share_is_raised_above_one_limit_and_cleared_at_another(
    defective: int, was_active: bool, is_active: bool
) -> None:
    newest = verdicts("d" * defective + "o" * (100 - defective))
    decision = decide(SHARE, LIMIT, newest, was_active=was_active)
    assert decision.is_active is is_active
    assert decision.reading
    assert (decision.reading.value, decision.reading.parts) == (defective, 100)


@pytest.mark.parametrize("was_active", [False, True])
def test_share_of_few_parts_changes_nothing(was_active: bool) -> None:
    for newest in ("", "d" * 24, "o" * 24):
        decision = decide(SHARE, LIMIT, verdicts(newest), was_active=was_active)
        assert decision.is_active is was_active
    assert decide(SHARE, LIMIT, verdicts("d" * 25), was_active=False).is_active


def test_share_is_of_the_last_parts_only() -> None:
    newest = verdicts("o" * 100 + "d" * 900)
    assert not decide(SHARE, LIMIT, newest, was_active=False).is_active


def test_parts_that_were_not_inspected_count_nowhere() -> None:
    newest = verdicts("dndn" + "o" * 30)
    decision = decide(SHARE, LIMIT, newest, was_active=False)
    assert decision.reading
    assert decision.reading.value == pytest.approx(100 * 2 / 32)
    assert decide(STREAK, LIMIT, verdicts("dndnd"), was_active=False).is_active


@pytest.mark.parametrize(
    ("newest", "was_active", "is_active"),
    [
        ("dd", False, False),
        ("ddd", False, True),
        ("oddddd", False, False),
        ("oddddd", True, True),  # one good part does not end it
        ("oodddd", True, True),
        ("ooodddd", True, False),
        ("", True, True),
    ],
)
def test_streak_is_cleared_by_a_streak_of_good_parts(
    newest: str, was_active: bool, is_active: bool
) -> None:
    decision = decide(STREAK, LIMIT, verdicts(newest), was_active=was_active)
    assert decision.is_active is is_active


@pytest.mark.parametrize("kind", list(AlarmKind), ids=str)
def test_without_a_limit_no_alarm_is_raised_and_an_active_one_ends(
    kind: AlarmKind,
) -> None:
    decision = decide(kind, CameraLimit(), verdicts("d" * 100), was_active=True)
    assert decision == decide(kind, CameraLimit(), [], was_active=False)
    assert not decision.is_active
