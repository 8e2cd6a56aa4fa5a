"""The plan of the waves: every fleet, every failure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.fleet.waves import PcOutcome, next_wave, plan_waves, wave_ends
from tests.examples import example_count

GOOD, BAD = PcOutcome.GOOD, PcOutcome.BAD
UNKNOWN, STARTED = PcOutcome.UNKNOWN, PcOutcome.STARTED

fleets = st.integers(0, 40).map(lambda count: [f"pc{n}" for n in range(count)])
outcomes = st.sampled_from([None, GOOD, BAD, UNKNOWN, STARTED])


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[str], dict[str, PcOutcome], set[str]]:
    names = draw(fleets)
    known = {name: draw(outcomes) for name in names}
    left_out = {name for name in names if draw(st.booleans())}
    return names, {n: o for n, o in known.items() if o is not None}, left_out


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1]), (2, [1, 1]), (4, [1, 1, 2]), (20, [1, 5, 14]), (50, [1, 13, 36])],
)
def test_waves_are_one_a_quarter_and_the_rest(count: int, sizes: list[int]) -> None:
    waves = plan_waves([str(n) for n in range(count)], {})
    assert [len(wave.names) for wave in waves] == sizes
    assert [wave.number for wave in waves] == list(range(1, len(sizes) + 1))


@settings(max_examples=example_count(60), deadline=None)
@given(fleets)
def test_where_nothing_fails_each_pc_is_in_one_wave_in_its_order(
    names: list[str],
) -> None:
    waves = plan_waves(names, {})
    assert [name for wave in waves for name in wave.names] == names


@settings(max_examples=example_count(60), deadline=None)
@given(situations())
def test_wave_holds_only_pcs_that_need_the_package_and_may_be_tried(
    situation: tuple[list[str], dict[str, PcOutcome], set[str]],
) -> None:
    names, known, left_out = situation
    waiting = [n for n in names if known.get(n) is not GOOD and n not in left_out]
    wave = next_wave(names, known, left_out)
    assert (wave is None) == (not waiting)
    if wave:
        assert set(wave.names) <= set(waiting)
        assert len(set(wave.names)) == len(wave.names) > 0


@settings(max_examples=example_count(60), deadline=None)
@given(situations())
def test_no_wave_is_larger_than_what_the_good_pcs_allow(
    situation: tuple[list[str], dict[str, PcOutcome], set[str]],
) -> None:
    names, known, left_out = situation
    wave = next_wave(names, known, left_out)
    good = sum(outcome is GOOD for outcome in known.values())
    first, second, _ = wave_ends(len(names))
    if wave and good < first:
        assert len(wave.names) == 1
    elif wave and good < second:
        assert good + len(wave.names) <= second


@settings(max_examples=example_count(60), deadline=None)
@given(situations())
def test_pc_that_failed_is_tried_again_alone_and_first(
    situation: tuple[list[str], dict[str, PcOutcome], set[str]],
) -> None:
    names, known, left_out = situation
    failed = [n for n in names if known.get(n) is BAD and n not in left_out]
    wave = next_wave(names, known, left_out)
    if failed:
        assert wave is not None
        assert wave.names == (failed[0],)


@settings(max_examples=example_count(30), deadline=None)
@given(fleets, st.data())
def test_run_ends_after_each_pc_was_tried_once(
    names: list[str], data: st.DataObject
) -> None:
    tried: list[str] = []
    known: dict[str, PcOutcome] = {}
    while wave := next_wave(names, known, tried):
        assert not set(wave.names) & set(tried)
        tried += wave.names
        for name in wave.names:
            known[name] = data.draw(st.sampled_from([GOOD, UNKNOWN]))
    assert sorted(tried) == sorted(names)


def test_pc_that_was_interrupted_comes_before_those_that_were_not_tried() -> None:
    wave = next_wave(["a", "b", "c"], {"c": STARTED})
    assert wave is not None
    assert wave.names == ("c",)


def test_pc_that_is_off_is_replaced_by_the_next_one() -> None:
    wave = next_wave(["a", "b", "c"], {"a": UNKNOWN}, {"a"})
    assert wave is not None
    assert (wave.number, wave.names) == (1, ("b",))
