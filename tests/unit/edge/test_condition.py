"""Rules of camera health on measured frames; time is made up."""

from collections.abc import Callable
from itertools import groupby, pairwise

import pytest

from edge.cameras.health.appearance import Measurer
from edge.cameras.health.baseline import Baseline, BaselineLearner
from edge.cameras.health.condition import (
    Condition,
    QualityLimits,
    QualityRules,
    names_of,
)
from models.preprocess import Frame
from tests.simulators import scenes

LOOK_NS = 200_000_000
LIMITS = QualityLimits(frozen_after_s=2, alarm_after_s=1)
Picture = Callable[[int], Frame]


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    measurer, learner = Measurer(), BaselineLearner(60)
    for number in range(59):
        assert learner.add(measurer.measure(scenes.scene(number))) is None
    learned = learner.add(measurer.measure(scenes.scene(59)))
    assert learned is not None
    return learned


class Watch:
    """A judge, its eye, and its clock."""

    def __init__(
        self, baseline: Baseline | None = None, *, is_triggered: bool = False
    ) -> None:
        self.judge = QualityRules(LIMITS, baseline, is_triggered=is_triggered)
        self._measurer = Measurer()
        self.looks = 0

    def look(self, picture: Frame, after_ns: int = LOOK_NS) -> tuple[str, ...]:
        """Return why this frame is a fake."""
        self.looks += 1
        self._now_ns = getattr(self, "_now_ns", 10**9) + after_ns
        seen = self._measurer.measure(picture)
        return names_of(self.judge.look(seen, self._now_ns))

    def show(self, picture_of: Picture, looks: int) -> list[tuple[str, ...]]:
        """Show so many frames; return why each is a fake."""
        return [self.look(picture_of(self.looks)) for _ in range(looks)]

    @property
    def alarms(self) -> tuple[str, ...]:
        return names_of(self.judge.alarms)


def test_sound_frames_are_neither_fakes_nor_alarms(baseline: Baseline) -> None:
    for watch in (Watch(), Watch(baseline), Watch(baseline, is_triggered=True)):
        assert watch.show(scenes.scene, 150) == [()] * 150
        assert watch.alarms == ()


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [
        (scenes.black, "black"),
        (scenes.white, "white"),
        (scenes.green_half, "torn"),
    ],
)
@pytest.mark.parametrize("is_triggered", [False, True])
def test_fake_of_any_scene_is_known_at_once_without_a_baseline(
    picture_of: Picture, name: str, is_triggered: bool
) -> None:
    watch = Watch(is_triggered=is_triggered)
    assert watch.show(picture_of, 8) == [(name,)] * 8
    assert watch.alarms == (name,)


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [(scenes.covered, "covered"), (scenes.overexposed, "over-exposed")],
)
def test_picture_that_shows_nothing_is_a_fake_where_a_baseline_says_so(
    baseline: Baseline, picture_of: Picture, name: str
) -> None:
    watch = Watch(baseline)
    assert watch.show(picture_of, 8) == [(name,)] * 8
    assert watch.alarms == (name,)
    assert Watch().show(picture_of, 8) == [()] * 8  # without one nobody can know


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [
        (scenes.blurred, "blurred"),
        (scenes.moved, "moved"),
        (scenes.dark, "dark"),
        (scenes.bright, "bright"),
    ],
)
def test_picture_that_is_only_worse_is_inspected_and_alarmed(
    baseline: Baseline, picture_of: Picture, name: str
) -> None:
    watch = Watch(baseline)
    assert watch.show(picture_of, 60) == [()] * 60
    assert watch.alarms == (name,)
    watch.show(scenes.scene, 60)
    assert watch.alarms == ()


def test_torn_frames_are_fakes_as_far_as_they_show_and_alarm(
    baseline: Baseline,
) -> None:
    for watch in (Watch(), Watch(baseline)):
        watch.show(scenes.scene, 15)
        fakes = watch.show(scenes.torn, 40)
        assert fakes.count(("torn",)) > 25
        assert set(fakes) <= {(), ("torn",)}
        assert watch.alarms == ("torn",)


def test_scene_that_looks_cut_from_the_first_frame_on_is_not_torn() -> None:
    def cut(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[100:] = scenes.moved(number)[100:]
        return picture

    watch = Watch()
    assert watch.show(cut, 60) == [()] * 60


def test_lower_part_that_was_always_even_is_not_torn() -> None:
    def with_floor(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[200 - number % 30 :] = 77
        return picture

    watch = Watch()
    assert watch.show(with_floor, 60) == [()] * 60


def test_lower_part_that_lost_its_texture_is_torn_in_any_colour() -> None:
    def half(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[130:] = (30, 40, 50)
        return picture

    watch = Watch()
    watch.show(scenes.scene, 15)
    assert watch.show(half, 5) == [("torn",)] * 5


def test_same_picture_is_frozen_only_after_its_time() -> None:
    watch = Watch()
    watch.show(scenes.scene, 10)
    fakes = watch.show(scenes.frozen, 20)  # the first differs from the one before
    assert fakes[:10] == [()] * 10  # 2 s of 0.2 s each
    assert fakes[11:] == [("frozen",)] * 9
    assert watch.alarms == ("frozen",)
    assert watch.look(scenes.scene(5)) == ()  # one frame of life is inspected
    watch.show(scenes.scene, 30)
    assert watch.alarms == ()


def test_two_equal_frames_far_apart_are_not_frozen() -> None:
    watch = Watch()
    for _ in range(2):
        assert watch.look(scenes.frozen(0), 60 * 10**9) == ()
    assert watch.alarms == ()


def test_still_scene_with_a_living_sensor_is_not_frozen() -> None:
    def still(number: int) -> Frame:
        picture = scenes.frozen(0)
        picture[16 * (number % 15), number % 100] += 1  # one grey level of one pixel
        return picture

    assert Watch().show(still, 60) == [()] * 60


def test_equal_parts_in_a_folder_are_not_frozen() -> None:
    watch = Watch(is_triggered=True)
    assert watch.show(scenes.frozen, 60) == [()] * 60


def test_one_black_picture_of_a_slow_source_is_a_fake_and_no_alarm() -> None:
    watch = Watch(is_triggered=True)
    watch.look(scenes.scene(0))
    assert watch.look(scenes.black(1), 60 * 10**9) == ("black",)
    assert watch.alarms == ()
    assert watch.look(scenes.black(2), 60 * 10**9) == ("black",)
    assert watch.alarms == ("black",)


def test_lamp_that_flickers_raises_one_alarm(baseline: Baseline) -> None:
    watch = Watch(baseline)
    seen = []
    for number in range(200):
        watch.look((scenes.scene if number % 2 else scenes.black)(number))
        seen.append(watch.alarms)
    changes = sum(before != after for before, after in pairwise(seen))
    assert changes == 1
    assert watch.alarms == ("black",)


def test_light_that_drifts_alarms_once_on_the_way_down_and_once_back(
    baseline: Baseline,
) -> None:
    watch = Watch(baseline)
    gains = [1 - at / 100 for at in range(60)] + [0.4 + at / 100 for at in range(60)]
    wobble = [gain + 0.02 * (-1) ** at for at, gain in enumerate(gains)]
    seen = []
    for number, gain in enumerate(wobble):
        assert watch.look(scenes.gained(number, gain)) == ()
        seen.append(watch.alarms)
    assert [alarms for alarms, _ in groupby(seen)] == [(), ("dark",), ()]


def test_frame_of_another_size_than_learned_is_said_and_inspected(
    baseline: Baseline,
) -> None:
    watch = Watch(baseline)
    assert watch.show(lambda at: scenes.scene(at)[:200], 10) == [()] * 10
    assert watch.alarms == ("resized",)


def test_names_are_those_of_the_messages() -> None:
    every = Condition(sum(Condition))
    assert names_of(every) == (
        *("frozen", "black", "white", "covered", "torn", "over-exposed"),
        *("blurred", "moved", "dark", "bright", "resized", "baseline-unsaved"),
    )
    assert names_of(0) == ()
