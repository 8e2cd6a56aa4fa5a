"""Options of the command line: numbers out of bounds are wrong usage."""

import argparse
from pathlib import Path

import pytest

from models.errors import DatasetError
from trainer.cli.arguments import split_options, tile_option
from trainer.cli.train import add_train_arguments
from trainer.fit.tiling import TileMode


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return parser.parse_args(["photos", "--out", "run", *arguments])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--batch", "0"),
        ("--batch", "eight"),
        ("--epochs", "0"),
        ("--epochs", "-1"),
        ("--size", "0"),
        ("--size", "-5"),
        ("--size", "1.5"),
        ("--learning-rate", "-1"),
        ("--learning-rate", "0"),
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--learning-rate", "fast"),
        ("--seed", "-1"),
        ("--seed", "4294967296"),
        ("--max-overkill", "1"),
        ("--max-overkill", "0%"),
        ("--max-escape", "100%"),
        ("--max-escape", "half"),
    ],
)
def test_number_out_of_bounds_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(f"{option}={value}")
    assert caught.value.code == 2
    assert f"{option}: expected a" in capsys.readouterr().err


def test_numbers_within_bounds_are_taken() -> None:
    args = parse("--batch=1", "--epochs=1", "--size=320", "--learning-rate=1e-4")
    assert (args.batch, args.epochs, args.size) == (1, 1, 320)
    assert args.learning_rate == pytest.approx(1e-4)
    assert parse("--seed=0").seed == 0


def test_limit_is_a_share_with_or_without_a_percent_sign() -> None:
    assert parse("--max-overkill", "1%").max_overkill == 0.01
    assert parse("--max-escape", "0.005").max_escape == 0.005


def test_one_limit_at_a_time() -> None:
    with pytest.raises(SystemExit):
        parse("--max-overkill", "1%", "--max-escape", "1%")


def test_tiles_are_a_mode_or_a_height_and_width() -> None:
    assert tile_option("auto") is TileMode.AUTO
    assert tile_option("640x320") == (640, 320)
    with pytest.raises(argparse.ArgumentTypeError, match="such as 640x640"):
        tile_option("640")


def test_split_options_come_from_the_command_line(tmp_path: Path) -> None:
    options = split_options(parse("--group", r"(part-\d+)", "--split-seed", "4"))
    assert (options.pattern, options.seed, options.like) == (r"(part-\d+)", 4, None)
    with pytest.raises(DatasetError):
        split_options(parse("--split-like", str(tmp_path)))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "not a regular expression"),
        ("(" * 999, "not a regular expression"),
        ("a{99999999999999999999}", "not a regular expression"),
        ("a" * 1001, "longer than 1000 characters"),
    ],
    ids=["open", "open often", "repeated", "long"],
)
def test_group_that_is_no_regular_expression_is_wrong_usage(
    pattern: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse("--group", pattern)
    assert reason in capsys.readouterr().err
