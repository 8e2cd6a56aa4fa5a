"""A package in trial on a real daemon: good ones are in force, bad ones rolled back."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.results import FlashOutcome
from deploy.status import read_status
from deploy.target import FlashTarget
from deploy.trial import TrialSettings
from models.errors import InstallError
from models.package import Package
from models.slot_states import SlotState
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.live import LivePc
from tests.simulators.packages import make_package
from tests.simulators.resealed import (
    answer_nan_on_mark,
    crash_on_mark,
    onnx_variant,
    reseal,
)
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)

QUICK = TrialSettings(frames=60, seconds=3, limit_s=60, silence_s=20)
SLOW_TURNS = 30  # of the graph: half a millisecond to some, by the machine


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LivePc, SimCollector]]:
    folder = tmp_path_factory.mktemp("live")
    for name in ("broker", "collector", "pc"):
        (folder / name).mkdir()
    package = make_package(folder / "package", build=1)
    with (
        Broker(folder / "broker") as broker,
        SimCollector(folder / "collector", broker.port) as collector,
        LivePc(folder / "pc", broker.port, package).running() as live,
    ):
        yield live, collector


@pytest.fixture
def live(line: tuple[LivePc, SimCollector]) -> LivePc:
    return line[0]


@pytest.fixture
def collector(line: tuple[LivePc, SimCollector]) -> SimCollector:
    return line[1]


def assert_rolled_back(
    live: LivePc, package: Package, reason: str, trial: TrialSettings = QUICK
) -> None:
    """Flash a package; assert that it is rolled back, and that all places say why."""
    before = live.target.current()
    alerts = live.alerts()
    with pytest.raises(InstallError, match="was rolled back after its trial") as caught:
        live.target.flash(package, trial)
    assert reason in caught.value.why.lower()
    assert live.target.current() == before
    assert live.target.slot.package_of(live.target.slot.trial) == ""
    record = live.target.record()
    assert record.state is SlotState.ROLLED_BACK
    assert record.package_sha256 == package.sha256
    assert reason in record.reason
    status = read_status(FlashTarget("local:here", live.target.slot))
    assert status.refused[0].reason == record.reason
    until(lambda: live.health().package_sha256 == before and not live.health().trial)
    until(lambda: live.alerts() > alerts + 1, "the old model alerts")


def test_good_model_decides_after_its_trial_and_no_frame_is_lost_at_the_swap(
    live: LivePc,
    collector: SimCollector,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    old = live.target.current()
    package = make_package(tmp_path / "good", build=2)
    report = live.target.flash(package, QUICK)
    assert report.outcome is FlashOutcome.COMMITTED
    assert "ms at the change" in report.trial
    record_property("trial", report.trial)
    assert live.target.current() == package.sha256
    assert live.target.previous() == old
    until(lambda: live.health().package_sha256 == package.sha256)
    until(lambda: collector.data()[-1]["model"]["build"] == 2)
    assert not live.target.slot.trial_order.exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"score_threshold": 1.0}, "it finds no defect in", id="none"),
        pytest.param(
            {"score_threshold": 0.1},
            "far more defects: in 100%",
            id="every",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"turns": SLOW_TURNS},
            "times slower",
            id="slow",
            marks=[pytest.mark.long, pytest.mark.fault(46)],
        ),
    ],
)
def test_bad_model_is_rolled_back_with_its_reason_while_alerts_continue(
    fields: dict[str, Any],
    reason: str,
    live: LivePc,
    collector: SimCollector,
    tmp_path: Path,
) -> None:
    package = make_package(tmp_path / "bad", build=3, **fields)
    assert_rolled_back(live, package, reason)
    states = collector.states[live.pc.topics.status]
    until(lambda: any(reason in state["flashing"] for state in states))
    if reason != "times slower":  # the other two are found before they decide
        assert all(alert["model"]["build"] != 3 for alert in collector.data())
    with pytest.raises(InstallError, match="was rolled back here on") as caught:
        live.target.flash(package, QUICK)
    assert "--again" in caught.value.fix


@pytest.mark.fault(45)
def test_model_whose_output_is_not_finite_on_the_line_is_rolled_back_at_once(
    live: LivePc, tmp_path: Path
) -> None:
    good = make_package(tmp_path / "good", build=4)
    package = reseal(good, tmp_path / "nan", answer_nan_on_mark)
    assert_rolled_back(live, package, "not finite")


@pytest.mark.long
@pytest.mark.fault(55)
def test_model_that_crashes_the_daemon_is_started_three_times_and_rolled_back(
    tmp_path: Path,
) -> None:
    (tmp_path / "pc").mkdir()
    (tmp_path / "broker").mkdir()
    good = make_package(tmp_path / "good", build=1)
    variants = onnx_variant(good)
    package = reseal(
        make_package(tmp_path / "new", build=2),
        tmp_path / "crash",
        crash_on_mark,
        variants=variants,
    )
    with (
        Broker(tmp_path / "broker") as broker,
        LivePc(tmp_path / "pc", broker.port, good).running() as live,
    ):
        assert_rolled_back(live, package, "did not survive 3 starts")
        # The first one was alive before; three of them died with the new model.
        assert live.starts == 4
        assert live.exit_codes == [-signal.SIGFPE] * 3
