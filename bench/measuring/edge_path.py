"""The frame path in this process: throughput beside OpenVINO alone, cost, and age."""

import gc
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.cameras.frame_buffer import FrameBuffer, FrameBufferReader, FrameBufferWriter
from edge.config.camera import CameraSettings
from edge.delivery.recorder import Decision
from edge.frame import CameraFrame, Stamp
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.camera_set import build_channel
from edge.inspection.model import LoadedModel, load_model
from edge.inspection.pipeline import Pipeline
from models.boxes import FloatArray
from models.inference import DirectInference, Inference
from models.preprocess import Frame, letterbox_image
from models.slot_files import SlotFolder

PAIRS = 5
SLOW_S = 0.2  # 5 frames/s
CAMERA_FPS = 30


class CountingRecorder:
    """Takes decisions as the recorder's queue does, and only counts them."""

    def __init__(self) -> None:
        self.decisions = 0

    def record(self, _: Decision) -> None:
        """Count a decision."""
        self.decisions += 1


class MemoryCamera:
    """A camera whose next frame is always ready.

    Args:
        is_triggered: Whether every frame is a part.
    """

    name, restarts, wakeup_fd = "memory", 0, None

    def __init__(self, frames: list[Frame], *, is_triggered: bool) -> None:
        self.is_triggered = is_triggered
        self._frames, self._taken = frames, 0

    def take_frame(self) -> CameraFrame:
        """Return the next frame, captured now."""
        number, self._taken = self._taken, self._taken + 1
        part = f"part-{number}" if self.is_triggered else None
        stamp = Stamp(number, time.monotonic_ns(), time.time_ns(), part)
        return CameraFrame(self._frames[number % len(self._frames)], stamp)

    def is_whole(self) -> bool:
        """Return True: nothing overwrites it."""
        return True

    def release(self) -> None:
        """Take the frame back."""


class SlotCamera(MemoryCamera):
    """A camera that reads from a real slot."""

    def __init__(self, slot: FrameBuffer) -> None:
        super().__init__([], is_triggered=False)
        self.wakeup_fd = slot.published_fd
        self._reader = FrameBufferReader(slot)
        self.take_frame = self._reader.take_frame
        self.is_whole = self._reader.is_whole
        self.release = self._reader.release


class KnownAnswers:
    """A detector that returns recorded answers at once."""

    def __init__(self, size_px: tuple[int, int], answers: list[FloatArray]) -> None:
        self.input_size_px = size_px
        self._answers, self._next = answers, 0

    def infer(self, _: Frame) -> FloatArray:
        """Return the next answer."""
        self._next = (self._next + 1) % len(self._answers)
        return self._answers[self._next]


class SlowRequest:
    """A request whose answer takes at least ``SLOW_S``."""

    def __init__(self, inner: Inference) -> None:
        self._inner = inner
        self._timer: threading.Timer | None = None

    @property
    def image(self) -> Frame:
        """The input."""
        return self._inner.image

    @property
    def is_idle(self) -> bool:
        """Whether it can be started."""
        return self._inner.is_idle

    @property
    def is_done(self) -> bool:
        """Whether the answer is ready and the time is over."""
        is_over = self._timer is not None and self._timer.finished.is_set()
        return is_over and self._inner.is_done

    def start(self, when_done: Callable[[], None]) -> None:
        """Start."""
        self._timer = threading.Timer(SLOW_S, when_done)
        self._inner.start(when_done)
        self._timer.start()

    def result(self) -> FloatArray:
        """Return the answer."""
        return self._inner.result()


def _pipeline(
    model: LoadedModel, *cameras: MemoryCamera
) -> tuple[Pipeline, list[CameraChannel], CountingRecorder]:
    recorder = CountingRecorder()
    settings = CameraSettings(name="memory", source="rtsp://memory/1")
    channels = [build_channel(settings, camera) for camera in cameras]
    return Pipeline(model, channels, recorder), channels, recorder


def _alone_fps(model: LoadedModel, seconds: float) -> float:
    """Return frames per second of the same requests when nothing else is done."""
    started_s, done = time.perf_counter(), 0
    for request in model.requests:
        request.start(_nothing)
    while time.perf_counter() - started_s < seconds:
        for request in model.requests:
            request.result()
            request.start(_nothing)
            done += 1
    for request in model.requests:
        request.result()
        done += 1
    return done / (time.perf_counter() - started_s)


def _path_fps(
    model: LoadedModel, frames: list[Frame], seconds: float, *, is_triggered: bool
) -> float:
    """Return frames per second of the pipeline, from frames in memory to decisions."""
    camera = MemoryCamera(frames, is_triggered=is_triggered)
    pipeline, (channel,), _ = _pipeline(model, camera)
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < seconds:
        if pipeline.run_once() == 0:
            pipeline.wait(0.1)
    pipeline.drain(5)
    return channel.counters.inspected / (time.perf_counter() - started_s)


def measure_throughput(slot: Path, photos: Path, seconds: float) -> dict[str, Any]:
    """Compare frames in memory to decision with OpenVINO alone, pair by pair."""
    frames = [np.asarray(cv2.imread(str(p)), np.uint8) for p in _first(photos, 64)]
    result: dict[str, Any] = {}
    for name, streams_max in (("parts", 64), ("free_run", 1)):
        model = load_model(SlotFolder(slot), 0, streams_max)
        pairs = []
        for _ in range(PAIRS):
            alone = _alone_fps(model, seconds)
            ours = _path_fps(model, frames, seconds, is_triggered=name == "parts")
            pairs.append({"openvino_fps": alone, "pipeline_fps": ours})
        ratios = [pair["pipeline_fps"] / pair["openvino_fps"] for pair in pairs]
        result[name] = {
            "streams": len(model.requests),
            "pairs": pairs,
            "ratio": statistics.median(ratios),
        }
    return result


def measure_overhead(slot: Path, photos: Path, seconds: float) -> dict[str, Any]:
    """Measure everything that is not inference, of a 1080p frame in a real slot.

    The graph's answers are recorded ones and take no time.
    """
    model = load_model(SlotFolder(slot), 0)
    frames = _belt(_first(photos, 4))
    images = [letterbox_image(f, *model.detector.input_size_px)[0] for f in frames]
    answers = [model.detector.infer(image) for image in images]
    known = KnownAnswers(model.detector.input_size_px, answers)
    model.requests = (DirectInference(known),)
    memory = FrameBuffer.create()
    writer, camera = FrameBufferWriter(memory), SlotCamera(memory)
    pipeline, (channel,), recorder = _pipeline(model, camera)
    spent_ms, cpu_ms, started_s = list[float](), list[float](), time.monotonic()
    gc.collect()
    while time.monotonic() - started_s < seconds:
        number = len(spent_ms)
        stamp = Stamp(number, time.monotonic_ns(), time.time_ns())
        writer.publish(frames[number % len(frames)], stamp)
        started_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        pipeline.run_once()
        spent_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
        cpu_ms.append((time.thread_time_ns() - cpu_ns) / 1e6)
    candidates = [
        int((a[4:].max(0) >= model.score_thresholds.min()).sum()) for a in answers
    ]
    return {
        "frames": channel.counters.inspected,
        "decisions_handed_over": recorder.decisions,
        "boxes_before_nms_mean": statistics.mean(candidates),
        "ms_p50": float(np.percentile(spent_ms, 50)),
        "ms_p99": float(np.percentile(spent_ms, 99)),
        "processor_ms_p50": float(np.percentile(cpu_ms, 50)),
        "processor_ms_p99": float(np.percentile(cpu_ms, 99)),
    }


def _belt(photos: list[Path]) -> list[Frame]:
    """Return 1080p frames in which each photo moves as on a belt."""
    stills = [cv2.resize(cv2.imread(str(path)), (1920, 1080)) for path in photos]
    return [
        np.asarray(np.roll(still, step * 16, axis=1), np.uint8)
        for still in stills
        for step in range(12)
    ]


def measure_age(slot: Path, seconds: float) -> dict[str, Any]:
    """Measure the age of frames at their decision, camera 30 fps and model 5 fps."""
    model = load_model(SlotFolder(slot), 0)
    model.requests = tuple(map(SlowRequest, model.requests))
    memory = FrameBuffer.create()
    writer = multiprocessing.get_context("spawn").Process(
        target=_write_frames, args=(memory, seconds), name="camera", daemon=True
    )
    writer.start()
    pipeline, (channel,), _ = _pipeline(model, SlotCamera(memory))
    rss, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        if pipeline.run_once() == 0:
            pipeline.wait(0.1)
        elif channel.counters.inspected % 10 == 0:
            rss.append(_rss_bytes())
    pipeline.drain(5)
    writer.join(10)
    p99 = channel.counters.latency.percentile_ms(0.99)
    return {
        "frames_inspected": channel.counters.inspected,
        "inference_ms": SLOW_S * 1000,
        "age_ms_p50": channel.counters.latency.percentile_ms(0.5),
        "age_ms_p99": p99,
        "age_p99_in_inference_times": p99 / (SLOW_S * 1000),
        "rss_growth_bytes": rss[-1] - rss[len(rss) // 4] if rss else 0,
    }


def _write_frames(slot: FrameBuffer, seconds: float) -> None:
    """Publish 1080p frames at the camera's pace; runs in a process of its own."""
    writer = FrameBufferWriter(slot)
    frame = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    started_s = time.monotonic()
    for number in range(int(seconds * CAMERA_FPS)):
        time.sleep(max(0.0, started_s + number / CAMERA_FPS - time.monotonic()))
        writer.publish(frame, Stamp(number, time.monotonic_ns(), time.time_ns()))


def _first(photos: Path, count: int) -> list[Path]:
    return sorted(photos.glob("*.jpg"))[:count]


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _nothing() -> None:
    """Ignore that an answer is ready."""
