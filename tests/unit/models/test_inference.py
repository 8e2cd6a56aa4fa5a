"""Requests on one graph: their results, and that they do not mix."""

import threading
from pathlib import Path

import numpy as np
import pytest

from models.backends import open_detector
from models.detector import detect
from models.errors import PackageError
from models.inference import DirectInference, open_requests
from models.manifest import VariantName
from models.openvino_detector import OpenVinoDetector
from models.openvino_runtime import ov
from models.package import Package
from models.preprocess import letterbox_image, letterbox_into, planar
from tests.simulators.packages import bright_cell_graph, part_picture

FP32 = VariantName.OPENVINO_FP32


def test_overlapping_requests_return_their_own_results(
    sealed: Package,
) -> None:
    detector = open_detector(sealed, FP32, streams=2)
    requests = open_requests(detector, 3)
    pictures = [part_picture((column, 2)) for column in range(3)]
    done = threading.Semaphore(0)
    for _ in range(5):
        for request, picture in zip(requests, pictures, strict=True):
            letterbox_into(request.image, picture)
            request.start(done.release)
        results = [request.result() for request in reversed(requests)]
        for result, picture in zip(reversed(results), pictures, strict=True):
            np.testing.assert_array_equal(result, detector.infer(picture))
    assert all(done.acquire(timeout=20) for _ in range(15))


def test_result_is_available_when_the_callback_is_called(sealed: Package) -> None:
    (request,) = open_requests(open_detector(sealed, FP32), 1)
    assert request.is_idle
    assert not request.is_done
    done = threading.Event()
    seen = list[bool]()
    request.start(lambda: (seen.append(request.is_done), done.set())[0])
    assert done.wait(20)
    assert seen == [True]
    assert not request.is_idle
    request.result()
    assert request.is_idle
    assert not request.is_done


def test_graph_with_u8_input_returns_the_output_of_the_plain_graph(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.xml"
    ov.save_model(bright_cell_graph(), path, False)
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    plain = ov.Core().compile_model(str(path), "CPU", config)
    ours = OpenVinoDetector(path, "f32")
    rng = np.random.default_rng(5)
    for _ in range(3):
        picture = rng.integers(0, 256, (320, 320, 3)).astype(np.uint8)
        expected = plain([planar(picture)])[0][0]
        np.testing.assert_array_equal(ours.infer(picture), expected)


@pytest.mark.parametrize(
    "shape", [(64, 96), (1080, 1920), (700, 300), (300, 700), (640, 640), (1, 9)]
)
def test_letterbox_into_a_buffer_with_old_content_is_the_letterbox(
    shape: tuple[int, int],
) -> None:
    rng = np.random.default_rng(7)
    frame = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    expected, box = letterbox_image(frame, 64, 96)
    image = rng.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    assert letterbox_into(image, frame) == box
    np.testing.assert_array_equal(image, expected)


def test_synchronous_runtime_has_requests_too(
    sealed: Package,
) -> None:
    inner = open_detector(sealed, FP32)
    request = DirectInference(inner)
    picture = part_picture((1, 1))
    letterbox_into(request.image, picture)
    calls = list[bool]()
    request.start(lambda: calls.append(request.is_done))
    assert calls == [True]
    np.testing.assert_array_equal(request.result(), inner.infer(picture))
    assert request.is_idle


def test_failure_is_raised_where_the_result_is_read() -> None:
    class Broken:
        input_size_px = (32, 32)

        def infer(self, image: np.ndarray) -> np.ndarray:
            raise PackageError(f"no result for {image.shape}")

    (request,) = open_requests(Broken(), 4)
    request.start(lambda: None)
    assert request.is_done
    with pytest.raises(PackageError, match="no result"):
        request.result()
    assert request.is_idle


def test_same_boxes_with_any_number_of_streams(sealed: Package) -> None:
    thresholds = sealed.manifest.score_thresholds()
    picture = part_picture((3, 4), (7, 1), size_px=640)
    found = [
        detect(open_detector(sealed, FP32, streams=n), picture, thresholds).boxes
        for n in (1, 2)
    ]
    assert len(found[0]) == 2
    np.testing.assert_array_equal(found[0], found[1])
