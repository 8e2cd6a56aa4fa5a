"""Many defects in a row are an alarm of their own."""

from edge.rules.defect_rate import DefectRateAlarm
from models.messages import VerdictKind

S = 1_000_000_000
OK, DEFECT, NOT = VerdictKind.OK, VerdictKind.DEFECT, VerdictKind.NOT_INSPECTED


def alarm(*, parts: int = 0, alerts: int = 0) -> DefectRateAlarm:
    return DefectRateAlarm(parts=parts, alerts=alerts, window_s=10)


def raised(rule: DefectRateAlarm, *verdicts: VerdictKind) -> list[bool]:
    """Return whether it is raised after each part."""
    result = []
    for verdict in verdicts:
        rule.add_verdict(verdict)
        result.append(bool(rule.reason))
    return result


def test_defective_parts_in_a_row_raise_it_and_a_good_one_ends_it() -> None:
    rule = alarm(parts=3)
    verdicts = (DEFECT, DEFECT, OK, DEFECT, DEFECT, DEFECT, DEFECT, OK, DEFECT)
    expected = [False] * 5 + [True, True, False, False]
    assert raised(rule, *verdicts) == expected


def test_part_that_was_not_inspected_neither_raises_nor_ends_it() -> None:
    rule = alarm(parts=2)
    verdicts = (DEFECT, NOT, NOT, DEFECT, NOT, OK)
    assert raised(rule, *verdicts) == [False, False, False, True, True, False]


def test_reason_is_the_same_while_it_lasts() -> None:
    rule = alarm(parts=2)
    reasons = set()
    for _ in range(5):
        rule.add_verdict(DEFECT)
        reasons.add(rule.reason)
    assert reasons == {"", "defect streak: 2 or more defective parts in a row"}


def test_more_defects_than_usual_within_the_window_raise_it() -> None:
    rule = alarm(alerts=4)
    for t in range(4):
        rule.add_defects(1, t * S)
    assert not rule.reason
    rule.add_defects(1, 4 * S)
    assert rule.reason == "defect streak: more than 4 defects in 10 s"


def test_defects_of_long_ago_do_not_count() -> None:
    rule = alarm(alerts=2)
    for t in range(0, 300, 6):  # never more than two in ten seconds
        rule.add_defects(1, t * S)
        assert not rule.reason


def test_it_ends_when_half_as_many_are_left_and_does_not_chatter() -> None:
    rule = alarm(alerts=4)
    for t in range(5):
        rule.add_defects(1, t * S)
    still = []
    for t in range(5, 16):
        rule.add_defects(0, t * S)
        still.append(bool(rule.reason))
    # The defects of seconds 0, 1, 2 leave the window at 11, 12, 13: two are left.
    assert still == [True] * 8 + [False] * 3


def test_many_defects_in_one_frame_count_each() -> None:
    rule = alarm(alerts=4)
    rule.add_defects(50, 0)
    assert rule.reason
    rule.add_defects(0, 11 * S)
    assert not rule.reason


def test_rule_that_is_off_is_never_raised() -> None:
    rule = alarm()
    for t in range(100):
        rule.add_verdict(DEFECT)
        rule.add_defects(9, t)
    assert not rule.reason
