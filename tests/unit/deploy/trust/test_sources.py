"""Limits of what is read from a release."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.trust.sources import (
    EndlessSourceError,
    FolderSource,
    RateLimit,
    SlowSourceError,
    read_limited,
)


class TimedSource:
    """Gives parts of a size, each after some seconds.

    Args:
        parts: Bytes and seconds of each.
    """

    name = "source"

    def __init__(self, *parts: tuple[int, float]) -> None:
        self.parts, self.now = parts, 0.0

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        for size_bytes, seconds in self.parts:
            self.now += seconds
            yield b"x" * size_bytes

    def received(self, max_bytes: int = 10**9) -> int:
        rate = RateLimit(min_bytes_per_s=100, window_s=10, clock=lambda: self.now)
        return sum(map(len, read_limited(self, "file", max_bytes, rate=rate)))


def test_bytes_up_to_the_limit_are_read_and_one_more_is_refused() -> None:
    assert TimedSource((600, 0), (400, 0)).received(1000) == 1000
    with pytest.raises(EndlessSourceError, match="more than 1000 bytes"):
        TimedSource((600, 0), (401, 0)).received(1000)


def test_source_at_the_smallest_rate_is_read() -> None:
    assert TimedSource(*[(1000, 10)] * 20).received() == 20_000


def test_source_below_the_smallest_rate_is_slow() -> None:
    with pytest.raises(SlowSourceError, match="999 bytes in 10 s"):
        TimedSource(*[(999, 10)] * 20).received()


def test_source_that_gets_slow_later_is_slow() -> None:
    with pytest.raises(SlowSourceError):
        TimedSource((10**6, 1), *[(1, 1)] * 60).received()


def test_short_pause_is_no_fault() -> None:
    assert TimedSource((5000, 1), (10, 9), (5000, 1)).received() == 10_010


def test_folder_source_begins_at_an_offset(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"0123456789")
    source = FolderSource(tmp_path)
    assert b"".join(source.read("files/a", 4)) == b"456789"
    assert b"".join(source.read("files/a", 40)) == b""
    with pytest.raises(FileNotFoundError):
        list(source.read("files/b"))
