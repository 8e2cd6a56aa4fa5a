"""Pretrained weights: found, downloaded, verified, grafted, or a clear refusal."""

import hashlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.errors import TrainingError
from trainer.detectors import download, zoo
from trainer.detectors.graft import GraftSize
from trainer.detectors.names import Activation, Architecture
from trainer.detectors.ssdlite import SSDLite
from trainer.detectors.weights import graft, read_tensors
from trainer.detectors.yolox import YOLOX, YoloxSize
from trainer.fit.choices import DEFAULT_WEIGHTS

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and the requests that it got."""

    content: bytes = CONTENT
    status: int = 200
    cut_after: int | None = None  # bytes of the first answer
    ranges: bool = True
    silent: bool = False
    requests: list[str | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class WeightsServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/some/yolox_nano.pth"


class _Handler(BaseHTTPRequestHandler):
    server: WeightsServer

    def do_GET(self) -> None:
        how = self.server.behaviour
        asked = self.headers.get("Range")
        how.requests.append(asked)
        if how.silent:
            how.released.wait(10)
            return
        if how.status != 200:
            self.send_error(how.status)
            return
        start = 0
        if asked and how.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(how.content):
                self.send_error(416)
                return
        body = how.content[start:]
        self.send_response(206 if asked and how.ranges else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if how.cut_after is not None and len(how.requests) == 1:
            body = body[: how.cut_after]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with WeightsServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.behaviour.released.set()
        running.shutdown()
        thread.join(5)


@pytest.fixture
def entry(
    server: WeightsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> zoo.ZooEntry:
    """The published YOLOX-nano, served from here, with another content."""
    monkeypatch.delenv(zoo.OFFLINE_VARIABLE, raising=False)
    monkeypatch.setenv(zoo.CACHE_VARIABLE, str(tmp_path / "cache"))
    entry = replace(
        zoo.PUBLISHED[0], url=server.url, sha256=SHA256, size_bytes=len(CONTENT)
    )
    monkeypatch.setattr(zoo, "PUBLISHED", (entry,))
    return entry


def wanted(server: WeightsServer) -> download.Download:
    return download.Download(server.url, SHA256, len(CONTENT))


# --- download --------------------------------------------------------------------


def test_download_is_complete_under_its_name_and_reports_progress(
    server: WeightsServer, tmp_path: Path
) -> None:
    reported: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "w.pth"
    download.fetch(wanted(server), target, progress=lambda *seen: reported.append(seen))
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["w.pth"]
    assert reported[0] == (0, len(CONTENT))
    assert reported[-1] == (len(CONTENT), len(CONTENT))
    assert len(reported) > 3


def test_cut_connection_is_resumed_where_it_was_cut(
    server: WeightsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.cut_after = 300_000
    with caplog.at_level(logging.WARNING):
        download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert server.behaviour.requests == [None, "bytes=300000-"]
    assert "download_interrupted" in caplog.text


def test_part_of_an_earlier_run_is_not_downloaded_again(
    server: WeightsServer, tmp_path: Path
) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT[:500_000])
    download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert server.behaviour.requests == ["bytes=500000-"]


def test_part_that_is_a_link_is_not_written_through(
    server: WeightsServer, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_bytes(CONTENT[:500])
    (tmp_path / "w.pth.part").symlink_to("mine")
    download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT
    assert (tmp_path / "mine").read_bytes() == CONTENT[:500]


def test_complete_part_of_an_earlier_run_is_only_renamed(
    server: WeightsServer, tmp_path: Path
) -> None:
    (tmp_path / "w.pth.part").write_bytes(CONTENT)
    download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [1000, len(CONTENT) + 7])
def test_wrong_part_of_an_earlier_run_is_removed(
    server: WeightsServer, tmp_path: Path, length: int
) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"x" * length)
    download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_server_without_ranges_sends_everything_again(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.ranges = False
    server.behaviour.cut_after = 300_000
    download.fetch(wanted(server), tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:-1], b""])
def test_wrong_bytes_are_refused_and_removed(
    server: WeightsServer, tmp_path: Path, content: bytes
) -> None:
    server.behaviour.content = content
    with pytest.raises(download.DownloadError, match="expected"):
        download.fetch(wanted(server), tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_not_requested_again(
    server: WeightsServer, tmp_path: Path
) -> None:
    server.behaviour.status = 404
    with pytest.raises(download.DownloadError, match="HTTP 404"):
        download.fetch(wanted(server), tmp_path / "w.pth")
    assert len(server.behaviour.requests) == 1


def test_silent_server_times_out(server: WeightsServer, tmp_path: Path) -> None:
    server.behaviour.silent = True
    with pytest.raises(download.DownloadError, match="timed out"):
        download.fetch(wanted(server), tmp_path / "w.pth", timeout_s=0.1)
    assert len(server.behaviour.requests) == download.ATTEMPTS


def test_other_schemes_than_http_are_refused(tmp_path: Path) -> None:
    with pytest.raises(download.DownloadError, match="neither http nor https"):
        download.fetch(
            download.Download("file:///etc/passwd", SHA256), tmp_path / "w.pth"
        )


# --- where a name leads ----------------------------------------------------------


def test_name_is_downloaded_once_then_cached(
    server: WeightsServer, entry: zoo.ZooEntry, tmp_path: Path
) -> None:
    first = zoo.find_weights(entry.name, show_progress=False)
    again = zoo.find_weights(entry.name, show_progress=False)
    assert first == again == tmp_path / "cache" / "yolox_nano.pth"
    assert len(server.behaviour.requests) == 1


def test_progress_is_shown_on_stderr_only(
    entry: zoo.ZooEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo.find_weights(entry.name)
    shown = capsys.readouterr()
    assert entry.name in shown.err
    assert shown.out == ""


def test_damaged_file_in_the_cache_is_downloaded_again(
    server: WeightsServer, entry: zoo.ZooEntry, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / entry.file).write_bytes(CONTENT[:-5])
    path = zoo.find_weights(entry.name, show_progress=False)
    assert path.read_bytes() == CONTENT


def test_offline_folder_needs_no_network(
    server: WeightsServer,
    entry: zoo.ZooEntry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / entry.file).write_bytes(CONTENT)
    monkeypatch.setenv(zoo.OFFLINE_VARIABLE, str(tmp_path))
    assert zoo.find_weights(entry.name) == tmp_path / entry.file
    assert zoo.find_weights(entry.name, offline=tmp_path) == tmp_path / entry.file
    assert server.behaviour.requests == []


def test_wrong_file_in_the_offline_folder_is_refused(
    entry: zoo.ZooEntry, tmp_path: Path
) -> None:
    (tmp_path / entry.file).write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(TrainingError) as caught:
        zoo.find_weights(entry.name, offline=tmp_path)
    assert SHA256 in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_without_a_network_the_error_names_file_hash_and_folder(
    entry: zoo.ZooEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    gone = replace(entry, url=f"http://127.0.0.1:{port}/yolox_nano.pth")
    monkeypatch.setattr(zoo, "PUBLISHED", (gone,))
    with pytest.raises(TrainingError) as caught:
        zoo.find_weights(entry.name, show_progress=False)
    for fact in ("yolox_nano.pth", SHA256, str(tmp_path / "cache"), gone.url, "none"):
        assert fact in str(caught.value)
    assert caught.value.exit_code == 9


def test_cache_that_cannot_be_written_is_reported(
    entry: zoo.ZooEntry, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="cache folder"):
        zoo.find_weights(entry.name, cache=tmp_path / "file", show_progress=False)


def test_path_of_a_file_is_used_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").touch()
    assert zoo.find_weights(str(tmp_path / "mine.pth")) == tmp_path / "mine.pth"


def test_misspelt_name_is_refused_with_a_guess() -> None:
    with pytest.raises(TrainingError, match="did you mean yolox_nano"):
        zoo.find_weights("yolox_nana")


def test_published_entries_have_what_a_closed_network_needs() -> None:
    for entry in zoo.PUBLISHED:
        assert entry.url.startswith("https://")
        assert entry.url.endswith(entry.file)
        assert set(entry.sha256) <= set("0123456789abcdef")
        digits = 8 if entry.detector is Architecture.SSDLITE else 64
        assert len(entry.sha256) == digits
        assert entry.licence in {"Apache-2.0", "BSD-3-Clause"}


# --- weights that come with the product ------------------------------------------


def ship(folder: Path, detector: YOLOX, **changes: object) -> Path:
    path = folder / "graftline-synthetic-nano.safetensors"
    save_file(detector.state_dict(), path)
    facts: dict[str, object] = {
        "detector": "yolox-nano",
        "activation": "hardswish",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_bytes": path.stat().st_size,
    }
    path.with_suffix(".json").write_text(json.dumps(facts | changes))
    return path


def test_shipped_weights_are_found_by_name_and_verified(tmp_path: Path) -> None:
    path = ship(tmp_path, YOLOX(YoloxSize.NANO, 4))
    assert zoo.find_weights(path.stem, shipped=tmp_path) == path
    known = zoo.entries(tmp_path)
    assert known[path.stem].activation is Activation.HARDSWISH
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(TrainingError, match="expected sha256"):
        zoo.find_weights(path.stem, shipped=tmp_path)


def test_missing_shipped_weights_are_reported(tmp_path: Path) -> None:
    path = ship(tmp_path, YOLOX(YoloxSize.NANO, 4))
    path.unlink()
    with pytest.raises(TrainingError, match="not in this installation"):
        zoo.find_weights(path.stem, shipped=tmp_path)


def test_damaged_sidecar_is_refused(tmp_path: Path) -> None:
    ship(tmp_path, YOLOX(YoloxSize.NANO, 4), sha256="abc")
    with pytest.raises(TrainingError, match="sha256"):
        zoo.entries(tmp_path)


def test_shipped_weights_are_grafted_by_name(tmp_path: Path) -> None:
    path = ship(tmp_path, YOLOX(YoloxSize.NANO, 4))
    report = zoo.load_weights(YOLOX(YoloxSize.NANO, 7), path.stem, shipped=tmp_path)
    assert report is not None
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(report.reset) == 6


def test_none_loads_nothing() -> None:
    detector = YOLOX(YoloxSize.NANO, 2)
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    assert zoo.load_weights(detector, "none") is None
    after = detector.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_name_of_another_networks_weights_is_refused_before_any_download(
    server: WeightsServer, entry: zoo.ZooEntry
) -> None:
    with pytest.raises(TrainingError, match="do not fit the detector yolox-tiny"):
        zoo.load_weights(YOLOX(YoloxSize.TINY, 2), entry.name)
    assert server.behaviour.requests == []


def test_error_names_the_weights_that_fit_the_network() -> None:
    """Without --weights a network that no shipped weights fit is given the default."""
    with pytest.raises(TrainingError) as tiny:
        zoo.load_weights(YOLOX(YoloxSize.TINY, 2), DEFAULT_WEIGHTS)
    assert "--weights yolox_tiny or none." in tiny.value.fix
    with pytest.raises(TrainingError) as refused:
        zoo.load_weights(YOLOX(GraftSize.S, 2), DEFAULT_WEIGHTS)
    assert "--weights none." in refused.value.fix


def test_weights_of_three_networks_are_shipped() -> None:
    shipped = {e.name: e.detector for e in zoo.entries().values() if e.is_shipped}
    assert shipped == {
        "efficientnet-lite0-imagenet": Architecture.LITE0,
        "graft-n-synthetic": Architecture.GRAFT_N,
        "yolox-nano-coco": Architecture.YOLOX_NANO,
        DEFAULT_WEIGHTS: Architecture.YOLOX_NANO,
    }
    for name, network in shipped.items():
        assert zoo.load_weights(zoo.build_detector(network, 2), name) is not None


# --- grafting --------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "official", "distributed", "safetensors"])
def test_every_form_of_checkpoint_is_grafted(tmp_path: Path, form: str) -> None:
    torch.manual_seed(1)
    giver, taker = YOLOX(YoloxSize.NANO, 3), YOLOX(YoloxSize.NANO, 3)
    state = giver.state_dict()
    path = tmp_path / "weights"
    match form:
        case "plain":
            torch.save(state, path)
        case "official":
            torch.save({"model": state, "start_epoch": 300, "best_ap": 0.25}, path)
        case "distributed":
            torch.save({f"module.{name}": t for name, t in state.items()}, path)
        case _:
            save_file(state, path)
    report = graft(taker, path)
    assert report.transferred == len(state)
    assert report.reset == report.unused == ()
    taken = taker.state_dict()
    assert all(torch.equal(state[name], taken[name]) for name in state)


def test_other_classes_reset_only_the_class_predictions(
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    giver, taker = YOLOX(YoloxSize.NANO, 80), YOLOX(YoloxSize.NANO, 3)
    before = taker.head.cls_preds[0].weight.clone()
    torch.save(giver.state_dict(), tmp_path / "w.pth")
    report = graft(taker, tmp_path / "w.pth")
    assert set(report.reset) == {
        f"head.cls_preds.{level}.{part}"
        for level in range(3)
        for part in ("weight", "bias")
    }
    assert report.transferred + len(report.reset) == len(taker.state_dict())
    assert torch.equal(taker.head.cls_preds[0].weight, before)
    mine, theirs = taker.head.obj_preds[0].weight, giver.head.obj_preds[0].weight
    assert torch.equal(mine, theirs)
    assert "6 of other classes start from random values" in str(report)


def test_torchvisions_own_names_are_grafted_onto_ssdlite(tmp_path: Path) -> None:
    torch.manual_seed(1)
    giver, taker = SSDLite(90), SSDLite(4)
    torch.save(giver.network.state_dict(), tmp_path / "w.pth")
    report = graft(taker, tmp_path / "w.pth")
    assert len(report.reset) == 12
    assert all(n.startswith("network.head.classification") for n in report.reset)
    torch.save(giver.state_dict(), tmp_path / "own.pth")
    assert graft(SSDLite(90), tmp_path / "own.pth").reset == ()


def test_half_precision_checkpoint_is_read_as_float32(tmp_path: Path) -> None:
    giver, taker = YOLOX(YoloxSize.NANO, 3), YOLOX(YoloxSize.NANO, 3)
    half = {n: t.half() if t.is_floating_point() else t
            for n, t in giver.state_dict().items()}  # fmt: skip
    save_file(half, tmp_path / "w.safetensors")
    graft(taker, tmp_path / "w.safetensors")
    weight = taker.head.stems[0].conv.weight
    assert weight.dtype is torch.float32
    torch.testing.assert_close(
        weight, giver.head.stems[0].conv.weight, atol=1e-3, rtol=0
    )


def test_weights_of_another_network_are_refused_and_nothing_is_changed(
    tmp_path: Path,
) -> None:
    torch.save(YOLOX(YoloxSize.TINY, 3).state_dict(), tmp_path / "tiny.pth")
    taker = YOLOX(YoloxSize.NANO, 3)
    before = {name: tensor.clone() for name, tensor in taker.state_dict().items()}
    with pytest.raises(TrainingError, match=r"than yolox-nano\..*expected \(16"):
        graft(taker, tmp_path / "tiny.pth")
    after = taker.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = YOLOX(YoloxSize.NANO, 3).state_dict()
    state["head.stems.0.conv.weight"][0, 0] = torch.nan
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="not finite"):
        graft(YOLOX(YoloxSize.NANO, 3), tmp_path / "w.pth")


class Bomb:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("bomb-went-off"),))


def test_code_in_a_torch_file_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_tensors(tmp_path / "w.pth")
    assert not (tmp_path / "bomb-went-off").exists()


def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3)}, tmp_path / "good.pth")
    save_file({"w": torch.zeros(3)}, tmp_path / "good.safetensors")
    good, safe = (
        (tmp_path / "good.pth").read_bytes(),
        (tmp_path / "good.safetensors").read_bytes(),
    )
    html = b"<html>404</html>" * 9
    broken = [b"", b"hello", bytes(4096), b"\x80\x02}q", html, bytes(8) + b"{"]
    broken += [good[: len(good) // 2], safe[:20], safe[:-3]]
    broken += [bytes([byte]) * 64 for byte in range(0, 256, 5)]
    for content in broken:
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(TrainingError, match="cannot be read"):
            read_tensors(tmp_path / "broken")


@pytest.mark.parametrize("content", [{}, {"a": 1}, [torch.zeros(1)], torch.zeros(1)])
def test_torch_file_without_named_tensors_is_refused(
    tmp_path: Path, content: object
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match="no tensors by name"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("architecture", list(Architecture))
def test_every_architecture_can_be_built(architecture: Architecture) -> None:
    with torch.device("meta"):
        detector = zoo.build_detector(architecture, 3, Activation.RELU)
    assert detector.architecture is architecture
    assert detector.num_classes == 3
