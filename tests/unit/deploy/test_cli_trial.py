import argparse

import pytest

from deploy.cli_trial import add_trial_arguments, trial_settings
from deploy.trial import TrialSettings

AGENT = TrialSettings(frames=9, seconds=8, slower_max=7, tries_again=False)


def parse(*typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_trial_arguments(parser)
    return parser.parse_args(typed)


def test_what_is_not_given_is_left_to_the_line_pc() -> None:
    args = parse()
    assert (args.trial_frames, args.trial_minutes, args.trial_slower) == (None,) * 3
    assert trial_settings(args, AGENT) == AGENT
    assert trial_settings(args) == TrialSettings()


def test_what_is_given_counts() -> None:
    args = parse("--trial-frames", "0", "--trial-minutes", "0", "--trial-slower", "2")
    assert trial_settings(args, AGENT) == TrialSettings(0, 0, slower_max=2)


@pytest.mark.parametrize("value", ["-1", "x", "nan", "inf", ""])
@pytest.mark.parametrize(
    "option", ["--trial-frames", "--trial-minutes", "--trial-slower"]
)
def test_quantity_that_is_no_number_is_wrong_usage(option: str, value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(option, value)
    assert ended.value.code == 2
