"""What train refuses before it loads a training library."""

import argparse
from pathlib import Path

import pytest

from models.errors import ConfigError, TrainingError
from tests.simulators.photos import write_coco, write_good
from trainer.cli.train import add_train_arguments
from trainer.cli.train_input import checked_dataset, refuse_conflicts


def parse(*arguments: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return parser.parse_args(["photos", "--out", "run", *map(str, arguments)])


def test_weights_and_an_earlier_run_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--weights and --from"):
        refuse_conflicts(parse("--from", tmp_path, "--weights", "none"))


@pytest.mark.parametrize(
    ("option", "value"), [("--batch", "4"), ("--from", "run"), ("--tiles", "off")]
)
def test_schedule_excludes_what_it_repeats(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} and --schedule run"):
        refuse_conflicts(parse("--schedule", "run", option, value))


def test_options_that_go_together_are_accepted(tmp_path: Path) -> None:
    refuse_conflicts(parse("--schedule", tmp_path))
    refuse_conflicts(parse("--from", tmp_path, "--unknown"))


@pytest.mark.parametrize("study", [["--folds", 3], ["--learning-curve"]])
def test_further_trainings_have_no_class_unknown(study: list[object]) -> None:
    with pytest.raises(ConfigError, match=f"--unknown and {study[0]} exclude"):
        refuse_conflicts(parse("--unknown", *study))


@pytest.mark.parametrize(
    "option",
    [
        ("--epochs", "3"),
        ("--batch", "4"),
        ("--learning-rate", "0.1"),
        ("--compare", "scratch"),
        ("--weights", "none"),
    ],
    ids=" ".join,
)
def test_good_parts_alone_refuse_options_of_a_training(
    tmp_path: Path, option: tuple[str, str]
) -> None:
    write_good(tmp_path / "d", 30)
    args = parse(*option)
    args.dataset, args.out = tmp_path / "d", tmp_path / "run"
    named = option[0] if option[1] != "none" else " ".join(option)
    with pytest.raises(ConfigError, match=f"{named}: not with photos of good parts"):
        checked_dataset(args, len, prepares=True)


def test_run_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write_coco(tmp_path / "d")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    args = parse()
    args.dataset, args.out = tmp_path / "d", tmp_path / "run"
    with pytest.raises(TrainingError, match="there is a run already"):
        checked_dataset(args, len, prepares=True)
    assert checked_dataset(args, len, prepares=False).photo_count == 10
