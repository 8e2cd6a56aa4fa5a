"""Rules of image quality on measured frames; the clock is simulated."""

from collections.abc import Callable
from itertools import groupby, pairwise

import pytest

from edge.cameras.health.appearance import Measurer
from edge.cameras.health.baseline import Baseline, BaselineLearner
from edge.cameras.health.condition import Condition, QualityRules, names_of
from edge.cameras.settings import CameraHealthSettings
from models.preprocess import Frame
from tests.simulators import scenes

FRAME_NS = 200_000_000
LIMITS = CameraHealthSettings(frozen_after_s=2, alarm_after_s=1)
Picture = Callable[[int], Frame]


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    measurer, learner = Measurer(), BaselineLearner(60)
    for number in range(59):
        assert learner.add(measurer.measure(scenes.scene(number))) is None
    learned = learner.add(measurer.measure(scenes.scene(59)))
    assert learned is not None
    return learned


class Checker:
    """Rules with a measurer and a clock."""

    def __init__(
        self, baseline: Baseline | None = None, *, is_triggered: bool = False
    ) -> None:
        self.rules = QualityRules(LIMITS, baseline, is_triggered=is_triggered)
        self._measurer = Measurer()
        self.frames = 0

    def check(self, picture: Frame, after_ns: int = FRAME_NS) -> tuple[str, ...]:
        """Return why this frame is unusable."""
        self.frames += 1
        self._now_ns = getattr(self, "_now_ns", 10**9) + after_ns
        appearance = self._measurer.measure(picture)
        return names_of(self.rules.evaluate(appearance, self._now_ns))

    def show(self, picture_of: Picture, frames: int) -> list[tuple[str, ...]]:
        """Show so many frames; return why each is unusable."""
        return [self.check(picture_of(self.frames)) for _ in range(frames)]

    @property
    def alarms(self) -> tuple[str, ...]:
        return names_of(self.rules.conditions)


def test_good_frames_are_usable_and_raise_no_alarm(baseline: Baseline) -> None:
    for checker in (Checker(), Checker(baseline), Checker(baseline, is_triggered=True)):
        assert checker.show(scenes.scene, 150) == [()] * 150
        assert checker.alarms == ()


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [
        (scenes.black, "black"),
        (scenes.white, "white"),
        (scenes.green_half, "torn"),
    ],
)
@pytest.mark.parametrize("is_triggered", [False, True])
def test_condition_of_any_scene_is_detected_at_once_without_a_baseline(
    picture_of: Picture, name: str, is_triggered: bool
) -> None:
    checker = Checker(is_triggered=is_triggered)
    assert checker.show(picture_of, 8) == [(name,)] * 8
    assert checker.alarms == (name,)


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [(scenes.covered, "covered"), (scenes.overexposed, "over-exposed")],
)
def test_picture_that_shows_nothing_is_unusable_where_there_is_a_baseline(
    baseline: Baseline, picture_of: Picture, name: str
) -> None:
    checker = Checker(baseline)
    assert checker.show(picture_of, 8) == [(name,)] * 8
    assert checker.alarms == (name,)
    assert (
        Checker().show(picture_of, 8) == [()] * 8
    )  # without a baseline it may be the scene itself


@pytest.mark.parametrize(
    ("picture_of", "name"),
    [
        (scenes.blurred, "blurred"),
        (scenes.moved, "moved"),
        (scenes.dark, "dark"),
        (scenes.bright, "bright"),
    ],
)
def test_picture_that_is_only_worse_is_inspected_and_raises_an_alarm(
    baseline: Baseline, picture_of: Picture, name: str
) -> None:
    checker = Checker(baseline)
    assert checker.show(picture_of, 60) == [()] * 60
    assert checker.alarms == (name,)
    checker.show(scenes.scene, 60)
    assert checker.alarms == ()


def test_most_torn_frames_are_unusable_and_raise_an_alarm(
    baseline: Baseline,
) -> None:
    for checker in (Checker(), Checker(baseline)):
        checker.show(scenes.scene, 15)
        unusable = checker.show(scenes.torn, 40)
        assert unusable.count(("torn",)) > 25
        assert set(unusable) <= {(), ("torn",)}
        assert checker.alarms == ("torn",)


def test_scene_that_has_an_edge_from_the_first_frame_is_not_torn() -> None:
    def cut(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[100:] = scenes.moved(number)[100:]
        return picture

    checker = Checker()
    assert checker.show(cut, 60) == [()] * 60


def test_lower_part_that_was_always_uniform_is_not_torn() -> None:
    def with_floor(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[200 - number % 30 :] = 77
        return picture

    checker = Checker()
    assert checker.show(with_floor, 60) == [()] * 60


def test_lower_part_that_lost_its_texture_is_torn_in_any_colour() -> None:
    def half(number: int) -> Frame:
        picture = scenes.scene(number)
        picture[130:] = (30, 40, 50)
        return picture

    checker = Checker()
    checker.show(scenes.scene, 15)
    assert checker.show(half, 5) == [("torn",)] * 5


def test_identical_frames_are_frozen_only_after_the_limit() -> None:
    checker = Checker()
    checker.show(scenes.scene, 10)
    unusable = checker.show(scenes.frozen, 20)  # the first differs from the one before
    assert unusable[:10] == [()] * 10  # 2 s of 0.2 s each
    assert unusable[11:] == [("frozen",)] * 9
    assert checker.alarms == ("frozen",)
    assert (
        checker.check(scenes.scene(5)) == ()
    )  # the first different frame is inspected
    checker.show(scenes.scene, 30)
    assert checker.alarms == ()


def test_two_equal_frames_far_apart_are_not_frozen() -> None:
    checker = Checker()
    for _ in range(2):
        assert checker.check(scenes.frozen(0), 60 * 10**9) == ()
    assert checker.alarms == ()


def test_still_scene_with_sensor_noise_is_not_frozen() -> None:
    def still(number: int) -> Frame:
        picture = scenes.frozen(0)
        picture[16 * (number % 15), number % 100] += 1  # one grey level of one pixel
        return picture

    assert Checker().show(still, 60) == [()] * 60


def test_equal_parts_in_a_folder_are_not_frozen() -> None:
    checker = Checker(is_triggered=True)
    assert checker.show(scenes.frozen, 60) == [()] * 60


def test_one_black_picture_of_a_slow_source_is_unusable_and_no_alarm() -> None:
    checker = Checker(is_triggered=True)
    checker.check(scenes.scene(0))
    assert checker.check(scenes.black(1), 60 * 10**9) == ("black",)
    assert checker.alarms == ()
    assert checker.check(scenes.black(2), 60 * 10**9) == ("black",)
    assert checker.alarms == ("black",)


def test_lamp_that_flickers_raises_one_alarm(baseline: Baseline) -> None:
    checker = Checker(baseline)
    alarms = []
    for number in range(200):
        checker.check((scenes.scene if number % 2 else scenes.black)(number))
        alarms.append(checker.alarms)
    changes = sum(before != after for before, after in pairwise(alarms))
    assert changes == 1
    assert checker.alarms == ("black",)


def test_drifting_light_raises_one_alarm_and_clears_it_once(
    baseline: Baseline,
) -> None:
    checker = Checker(baseline)
    gains = [1 - at / 100 for at in range(60)] + [0.4 + at / 100 for at in range(60)]
    wobble = [gain + 0.02 * (-1) ** at for at, gain in enumerate(gains)]
    alarms = []
    for number, gain in enumerate(wobble):
        assert checker.check(scenes.gained(number, gain)) == ()
        alarms.append(checker.alarms)
    assert [names for names, _ in groupby(alarms)] == [(), ("dark",), ()]


def test_frame_of_another_size_than_learned_raises_an_alarm_and_is_inspected(
    baseline: Baseline,
) -> None:
    checker = Checker(baseline)
    assert checker.show(lambda at: scenes.scene(at)[:200], 10) == [()] * 10
    assert checker.alarms == ("resized",)


def test_names_are_those_in_the_messages() -> None:
    every = Condition(sum(Condition))
    assert names_of(every) == (
        *("frozen", "black", "white", "covered", "torn", "over-exposed"),
        *("blurred", "moved", "dark", "bright", "resized", "baseline-unsaved"),
    )
    assert names_of(0) == ()
