"""The rule about wrong clocks, alone and on a line PC (row 57 of the fault list)."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.trust.clock_rule import (
    PLAUSIBLE,
    SOFTWARE_DATE,
    is_plausible,
    raised_floor,
    reference_time,
)
from deploy.trust.enrolment import trusted_now
from deploy.trust.key_changes import rotate_keys
from deploy.trust.key_repository import LIFETIME, ROLES
from deploy.trust.refusals import Refusal
from models.errors import ConfigError
from models.package import Package
from tests.simulators.releases import Receiver, Workshop

FLOOR = datetime(2027, 3, 1, tzinfo=UTC)
WRONG = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2099, 12, 31, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
]


@pytest.mark.parametrize("clock", WRONG)
def test_implausible_clock_is_replaced_by_the_floor(clock: datetime) -> None:
    assert reference_time(clock, FLOOR) == FLOOR


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=400), PLAUSIBLE])
def test_clock_within_five_years_of_the_floor_counts(later: timedelta) -> None:
    assert reference_time(FLOOR + later, FLOOR) == FLOOR + later
    assert is_plausible(FLOOR + later, FLOOR)


def test_clock_just_outside_does_not_count() -> None:
    second = timedelta(seconds=1)
    assert reference_time(FLOOR - second, FLOOR) == FLOOR
    assert reference_time(FLOOR + PLAUSIBLE + second, FLOOR) == FLOOR


def test_reference_never_lies_before_the_floor() -> None:
    for days in range(-40_000, 40_000, 97):
        clock = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=days)
        assert FLOOR <= reference_time(clock, FLOOR) <= FLOOR + PLAUSIBLE


def test_floor_is_the_newest_proven_time() -> None:
    old = SOFTWARE_DATE - timedelta(days=900)
    assert raised_floor(None, old) == SOFTWARE_DATE
    assert raised_floor(FLOOR, old, None) == FLOOR


def test_date_of_the_software_is_not_in_the_future() -> None:
    assert datetime.now(UTC) >= SOFTWARE_DATE


@pytest.mark.fault(57)
@pytest.mark.parametrize("clock", WRONG)
def test_wrong_clock_of_the_line_pc_locks_nothing_out_and_lets_nothing_old_in(
    clock: datetime, line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    old = shop.sign(builds[0])
    line.now = clock
    assert line.take(old, builds[0].sha256)
    shop.wait(days=30)
    assert line.take(shop.sign(builds[1]), builds[1].sha256)
    assert line.refuses(old, builds[0].sha256) is Refusal.OLDER
    assert trusted_now(line.slot, clock) >= shop.now.replace(microsecond=0)


@pytest.mark.fault(57)
def test_clock_that_jumps_back_and_forth_changes_nothing(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    release = shop.sign(builds[0])
    for clock in [*WRONG, shop.now, *reversed(WRONG)]:
        line.now = clock
        assert line.take(release, builds[0].sha256)


@pytest.mark.fault(57)
@pytest.mark.parametrize("clock", [WRONG[0], WRONG[1]])
def test_clock_of_the_workstation_that_goes_back_signs_what_is_taken(
    clock: datetime, line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    line.take(shop.sign(builds[0]), builds[0].sha256)
    shop.now = clock
    assert line.take(shop.sign(builds[1]), builds[1].sha256)


@pytest.mark.fault(57)
def test_clock_of_the_workstation_that_was_ahead_leaves_no_line_pc_behind(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    right = shop.now
    shop.wait(days=2000)
    assert line.take(shop.sign(builds[0]), builds[0].sha256)
    shop.now = right
    assert line.take(shop.sign(builds[1]), builds[1].sha256)


@pytest.mark.fault(57)
def test_workstation_does_not_sign_in_2099(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    right, shop.now = shop.now, WRONG[2]
    with pytest.raises(ConfigError, match="Set the clock"):
        shop.sign(builds[0])
    shop.now = right
    assert line.take(shop.sign(builds[0]), builds[0].sha256)


@pytest.mark.fault(57)
def test_keys_that_were_made_in_2099_serve_line_pcs_with_right_clocks(
    shop: Workshop, builds: list[Package], line: Receiver
) -> None:
    right, shop.now = shop.now, WRONG[2]
    rotate_keys(shop.keys, ROLES)
    line.now = right
    assert line.take(shop.sign(builds[0]), builds[0].sha256)
    shop.now = right
    assert line.take(shop.sign(builds[1]), builds[1].sha256)


def test_right_clock_ends_a_frozen_release(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    release = shop.sign(builds[0])
    line.now = shop.now + LIFETIME + timedelta(days=1)
    assert line.refuses(release, builds[0].sha256) is Refusal.EXPIRED
