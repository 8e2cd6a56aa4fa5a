"""Without a terminal, progress is plain lines at intervals."""

from pathlib import Path

import pytest

from trainer.cli import progress
from trainer.cli.progress import (
    LateBar,
    SilentObserver,
    TerminalObserver,
    Ticker,
    print_status,
    ticking,
    unpack_visibly,
)
from trainer.fit.engine import StepReport


@pytest.fixture
def _every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)


def test_status_is_written_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_status("packing")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "packing\n")


def test_no_line_is_printed_before_the_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ticking("read", 3) as tick:
        tick()
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_every_tick")
def test_line_shows_count_note_and_remaining_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticker = Ticker("train", 4)
    ticker.tick(2, "epoch 1")
    ticker.set_total(8)
    ticker.tick()
    ticker.close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("train 2/4 epoch 1 ")
    assert first.endswith(" s left")
    assert second.startswith("train 3/8 ")


@pytest.fixture
def clock_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that progress reads; a test moves it."""
    now_s = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    return now_s


def show_steps(clock_s: list[float], first: int, seconds: list[float]) -> None:
    """Show steps that end after so many seconds each."""
    observer = TerminalObserver()
    observer._ticker = Ticker("train", 252)  # noqa: SLF001 (begin needs a recipe)
    for step, took_s in enumerate(seconds, first):
        clock_s[0] += took_s
        observer.step(1, StepReport(step, 2.0, 0.001))
    observer.close()


@pytest.mark.usefixtures("_every_tick")
def test_speed_of_a_training_is_in_steps_per_second(
    clock_s: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    show_steps(clock_s, first=1, seconds=[9.0, *[0.5] * 30])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train 31/252 epoch 1 loss 2.00 2.00 steps/s ")


@pytest.mark.usefixtures("_every_tick")
def test_remaining_time_of_a_resumed_training_counts_no_earlier_step(
    clock_s: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    show_steps(clock_s, first=201, seconds=[0.5] * 2)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train 202/252 ")
    assert line.endswith(" 25 s left")


@pytest.mark.usefixtures("_every_tick")
def test_photo_bar_opens_when_the_number_of_photos_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = LateBar("read")
    bar(1, 2)
    bar(2, 2)
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line[:8] for line in lines] == ["read 1/2", "read 2/2"]


@pytest.mark.usefixtures("_every_tick")
def test_observer_shows_loss_and_validation(capsys: pytest.CaptureFixture[str]) -> None:
    observer = TerminalObserver()
    observer.measuring(2)()
    observer.close()
    assert capsys.readouterr().err.startswith("measure 1/2")


def test_silent_observer_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    observer = SilentObserver()
    observer.step(1, StepReport(1, 2.0, 0.001))
    observer.measuring(3)()
    observer.close()
    assert capsys.readouterr().err == ""


def test_folder_is_not_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack_visibly(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_every_tick")
@pytest.mark.parametrize(
    ("measured", "note"),
    [
        (24, "mAP@.5 0.694 (estimate on 24 of 85 photos)"),
        (85, "mAP@.5 0.694 (on all 85 photos of the final measurement)"),
    ],
    ids=["part", "all"],
)
def test_map_while_training_names_its_photos(
    capsys: pytest.CaptureFixture[str], measured: int, note: str
) -> None:
    observer = TerminalObserver()
    observer._ticker = Ticker("train", 4)  # noqa: SLF001 (begin needs a recipe)
    observer.step(1, StepReport(1, 2.0, 0.01, 4, 0.694, measured, 85))
    observer.close()
    assert note in capsys.readouterr().err
