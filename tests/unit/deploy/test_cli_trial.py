import argparse
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from deploy.agent.installation import trial_of
from deploy.cli import add_flash_arguments
from deploy.cli_fleet import add_fleet_arguments
from deploy.cli_trial import (
    add_again_argument,
    add_trial_arguments,
    trial_options,
    trial_settings,
)
from deploy.trial import TrialSettings
from models.inbox_files import FlashRequest

AGENT = TrialSettings(frames=9, seconds=8, slower_max=7, tries_again=False)
FLASH = ("package", "local:here")
FLEET = ("flash", "package", "--inventory", "plant.toml")


def parse(*typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_trial_arguments(parser)
    add_again_argument(parser)
    return parser.parse_args(typed)


def settings_on_the_line_pc(args: argparse.Namespace) -> TrialSettings:
    """Return how the agent tries a package that was sent with these arguments."""
    options = trial_options(args)
    request = FlashRequest(
        id="one",
        package_sha256="0" * 64,
        at=datetime.now(UTC),
        again=options.again,
        trial_frames=options.trial_frames,
        trial_minutes=options.trial_minutes,
        trial_slower=options.trial_slower,
    )
    sent = FlashRequest.model_validate_json(request.model_dump_json())
    return trial_of(sent, TrialSettings())


def test_what_is_not_given_is_left_to_the_line_pc() -> None:
    args = parse()
    assert (args.trial_frames, args.trial_minutes, args.trial_slower) == (None,) * 3
    assert trial_settings(args, AGENT) == AGENT
    assert trial_settings(args) == TrialSettings()


def test_what_is_given_counts() -> None:
    args = parse("--trial-frames", "0", "--trial-minutes", "0", "--trial-slower", "2")
    assert trial_settings(args, AGENT) == TrialSettings(0, 0, slower_max=2)


@pytest.mark.parametrize(
    ("declare", "typed"),
    [(add_flash_arguments, FLASH), (add_fleet_arguments, FLEET)],
    ids=["flash", "fleet flash"],
)
def test_arguments_of_one_and_of_many_are_the_settings_of_the_trial(
    declare: Callable[[argparse.ArgumentParser], None], typed: tuple[str, ...]
) -> None:
    parser = argparse.ArgumentParser()
    declare(parser)
    options = "--trial-frames 7 --trial-minutes 0.5 --trial-slower 3 --again"
    args = parser.parse_args([*typed, *options.split()])
    assert settings_on_the_line_pc(args) == TrialSettings(
        frames=7, seconds=30, slower_max=3, tries_again=True
    )
    args = parser.parse_args(typed)
    assert settings_on_the_line_pc(args) == TrialSettings()


@pytest.mark.parametrize("value", ["-1", "x", "nan", "inf", ""])
@pytest.mark.parametrize(
    "option", ["--trial-frames", "--trial-minutes", "--trial-slower"]
)
def test_quantity_that_is_no_number_is_wrong_usage(option: str, value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(option, value)
    assert ended.value.code == 2
