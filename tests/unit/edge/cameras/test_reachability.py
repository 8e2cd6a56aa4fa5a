from pathlib import Path

import pytest

from edge.cameras.reachability import ReachabilityProbe, is_reachable
from edge.cameras.source import Source, SourceKind, parse_source


def test_usb_camera_is_reachable_when_its_node_exists(tmp_path: Path) -> None:
    assert is_reachable(parse_source(f"v4l2:{tmp_path}"))
    assert not is_reachable(parse_source(f"v4l2:{tmp_path / 'video0'}"))


def test_address_that_is_no_url_is_not_reachable() -> None:
    assert not is_reachable(Source(SourceKind.STREAM, "http://[::1/stream"))


@pytest.mark.parametrize("source", ["folder:/parts", "aravis:cam", "file:a.avi"])
def test_source_that_cannot_be_probed_never_returns(source: str) -> None:
    probe = ReachabilityProbe(parse_source(source), "cam")
    probe.start()
    assert not probe.has_returned
    probe.stop()


def test_stopped_probe_has_not_returned() -> None:
    probe = ReachabilityProbe(parse_source("rtsp://127.0.0.1:1/x"), "cam")
    probe.start()
    probe.stop()
    probe.stop()
    assert not probe.has_returned
