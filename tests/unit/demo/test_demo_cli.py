"""Arguments and output of ``graftline demo``."""

import argparse
import json

import pytest

from demo.cli import add_demo_arguments, print_json, print_tables
from demo.settings import DemoSettings

SUMMARY = {
    "parts": 200,
    "good_parts": 150,
    "defective_parts": 50,
    "defects": 60,
    "caught": 49,
    "missed": 1,
    "false_alarms": 3,
    "recall_of_defective_parts": 0.98,
    "false_alarm_share": 0.02,
    "alerts_published": 70,
    "alerts_in_history": 70,
    "duplicates": 0,
    "fps": 24.96,
    "latency_ms_p50": 8.04,
    "latency_ms_p99": 12.5,
    "seconds": 101.4,
    "steps": {"train": 61.04},
}


def arguments(*typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_demo_arguments(parser)
    return parser.parse_args(typed)


def test_defaults_are_those_of_the_settings() -> None:
    args, settings = arguments(), DemoSettings()
    assert (args.out, args.weights, args.seed) == (
        settings.out,
        settings.weights,
        settings.seed,
    )
    assert not args.once
    assert not args.day_one
    assert not args.json


def test_summary_for_programs_is_one_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(SUMMARY)
    assert json.loads(capsys.readouterr().out) == SUMMARY


def test_summary_for_people_has_shares_and_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_tables(SUMMARY)
    printed = capsys.readouterr().out
    for text in (
        "49 of 50 (98.0%)",
        "3 of 150 good (2.0%)",
        "25.0",
        "8.0 ms",
        "61.0 s",
        "101 s",
    ):
        assert text in printed
