"""The platforms that a wheelhouse is packed for."""

import pytest

from deploy.provision.platforms import parse_platform
from models.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.11,x86_64", ("3.11", "x86_64", 36)),
        ("3.12, linux_aarch64", ("3.12", "aarch64", 36)),
        ("3.11,manylinux_2_31_x86_64", ("3.11", "x86_64", 31)),
    ],
)
def test_platform_is_read(text: str, expected: tuple[str, str, int]) -> None:
    platform = parse_platform(text)
    assert (platform.python, platform.machine, platform.glibc) == expected


def test_older_wheels_fit_and_newer_ones_do_not() -> None:
    tags = parse_platform("3.11,manylinux_2_31_x86_64").tags
    assert tags[0] == "manylinux_2_31_x86_64"
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64"} <= {*tags}
    assert {"manylinux1_x86_64", "linux_x86_64"} <= {*tags}
    assert "manylinux_2_34_x86_64" not in tags


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3.11", "PYTHON,PLATFORM"),
        ("x86_64,3.11", "PYTHON,PLATFORM"),
        ("3,x86_64", "PYTHON,PLATFORM"),
        ("3.10,x86_64", "needs Python 3.11"),
        ("3.11,riscv64", "x86_64, aarch64"),
        ("3.11,win_amd64", "x86_64, aarch64"),
        ("3.11,manylinux_2_4_x86_64", "glibc 2.5"),
        ("3.11,x86_64 --index-url=http://x", "PYTHON,PLATFORM"),
    ],
)
def test_what_is_no_platform_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_platform(text)
    assert reason in caught.value.why
