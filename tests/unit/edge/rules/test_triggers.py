from hypothesis import given
from hypothesis import strategies as st

from edge.frame import CameraFrame, Stamp
from edge.rules.triggers import (
    GAP_PARTS_MAX,
    TOO_MANY,
    WAITING_MAX,
    CommandTriggers,
    HardwareTriggers,
    Trigger,
)

MS = 1_000_000


def frame(number: int, captured_ms: float) -> CameraFrame:
    return CameraFrame(None, Stamp(number, int(captured_ms * MS), 0))


def trigger(part_id: str, arrived_ms: float, timeout_ms: int = 100) -> Trigger:
    return Trigger(part_id, int(arrived_ms * MS), 0, timeout_ms)


def names(frames: list[CameraFrame]) -> list[str | None]:
    return [each.stamp.part_id for each in frames]


def test_the_next_frame_after_a_command_is_the_part_and_no_other() -> None:
    triggers = CommandTriggers()
    assert triggers.assign_part(frame(0, 10)) == ([], None)
    triggers.add(trigger("a", 20))
    assert triggers.assign_part(frame(1, 20)) == ([], None)  # taken before the command
    assert triggers.assign_part(frame(2, 21)) == ([], "a")
    assert triggers.assign_part(frame(3, 22)) == ([], None)


def test_two_commands_before_one_frame_take_one_frame_each_in_order() -> None:
    triggers = CommandTriggers()
    triggers.add(trigger("a", 0))
    triggers.add(trigger("b", 1))
    assert triggers.assign_part(frame(0, 30)) == ([], "a")
    assert triggers.assign_part(frame(1, 60)) == ([], "b")


def test_frame_after_the_timeout_is_not_the_part() -> None:
    triggers = CommandTriggers()
    triggers.add(trigger("a", 0, timeout_ms=50))
    triggers.add(trigger("b", 40, timeout_ms=50))
    missed, part_id = triggers.assign_part(frame(7, 51))
    assert (names(missed), part_id) == (["a"], "b")
    assert "51 ms after the trigger" in missed[0].fault
    assert "trigger_timeout_ms = 50" in missed[0].fault
    assert missed[0].stamp.frame_id == 7


def test_command_without_any_frame_is_missed_after_its_time_with_the_cause() -> None:
    triggers = CommandTriggers()
    triggers.add(trigger("a", 0, timeout_ms=50))
    assert triggers.pop_overdue(50 * MS, "camera top lost") == []
    (missed,) = triggers.pop_overdue(51 * MS, "camera top lost")
    assert (missed.stamp.part_id, missed.fault) == ("a", "camera top lost")
    assert triggers.pop_overdue(99 * MS, "") == []


def test_one_command_too_many_is_missed_in_its_turn() -> None:
    triggers = CommandTriggers()
    for number in range(WAITING_MAX + 1):
        triggers.add(trigger(str(number), number, timeout_ms=60_000))
    order: list[str | None] = []
    for number in range(WAITING_MAX + 1):
        missed, part_id = triggers.assign_part(frame(number, 1000 + number))
        order += [*names(missed), part_id] if part_id else names(missed)
        if number < WAITING_MAX:
            assert not missed
        else:
            assert [each.fault for each in missed] == [TOO_MANY]
    assert order == [str(number) for number in range(WAITING_MAX + 1)]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("trigger"), st.integers(1, 200)),
            st.tuples(st.just("frame"), st.just(0)),
            st.tuples(st.just("expire"), st.just(0)),
        ),
        max_size=120,
    ),
    st.lists(st.integers(0, 80), min_size=120, max_size=120),
)
def test_every_command_has_exactly_one_outcome_in_order(
    steps: list[tuple[str, int]], pauses_ms: list[int]
) -> None:
    triggers, now_ms = CommandTriggers(), 0
    asked: list[str] = []
    outcomes: list[str | None] = []
    for (kind, timeout_ms), pause_ms in zip(steps, pauses_ms, strict=False):
        now_ms += pause_ms
        if kind == "trigger":
            asked.append(str(len(asked)))
            triggers.add(trigger(asked[-1], now_ms, timeout_ms))
        elif kind == "frame":
            missed, part_id = triggers.assign_part(frame(0, now_ms))
            outcomes += names(missed) + ([part_id] if part_id else [])
        else:
            outcomes += names(triggers.pop_overdue(now_ms * MS, ""))
    outcomes += names(triggers.abandon("stopped"))
    assert outcomes == asked


def test_every_frame_of_a_hardware_trigger_is_a_part_with_a_name_of_its_own() -> None:
    every = HardwareTriggers("top-1")
    assert every.assign_part(frame(30, 0)) == ([], "top-1-1")
    assert every.assign_part(frame(31, 1)) == ([], "top-1-2")


def test_gap_in_the_camera_s_numbers_is_as_many_missed_parts() -> None:
    every = HardwareTriggers("top")
    every.assign_part(frame(4, 0))
    missed, part_id = every.assign_part(frame(8, 1))
    assert [each.stamp.frame_id for each in missed] == [5, 6, 7]
    assert names(missed) == ["top-2", "top-3", "top-4"]
    assert part_id == "top-5"
    assert "frame 5" in missed[0].fault


def test_numbers_that_start_again_or_jump_are_no_parts() -> None:
    every = HardwareTriggers("top")
    every.assign_part(frame(900, 0))
    assert every.assign_part(frame(0, 1)) == ([], "top-2")
    assert every.assign_part(frame(GAP_PARTS_MAX + 2, 2)) == ([], "top-3")
