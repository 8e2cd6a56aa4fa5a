"""Cost of the image quality checks, and their results on real videos, good and spoilt.

Cost: CPU time of one thread, frames of 1920 x 1080, for a measured frame (measuring,
rules, comparison with a baseline) and for the quick check of every frame.
Results: both real videos, looped as a camera would send them, must raise no alarm; then
each fault is applied to them, after a baseline was learned from good frames.
"""

import argparse
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring.machine import (
    REPOSITORY,
    RESULTS,
    configuration,
    describe_machine,
    write_result,
)

sys.path.insert(0, str(REPOSITORY))

from edge.cameras.health.appearance import Measurer, may_be_unusable
from edge.cameras.health.baseline import Background, Baseline, BaselineLearner
from edge.cameras.health.condition import QualityRules, names_of
from edge.cameras.settings import CameraHealthSettings
from edge.frame import Pixels

SHARED = Path(os.environ.get("GRAFTLINE_SHARED", REPOSITORY / ".." / "shared"))
VIDEOS = {
    "intel-bottle-detection.mp4": 29.8,
    "derived-intel-bolt-conveyor-loop.mp4": 16.67,
}
BAR_MS = 2.0
EVERY_N_FRAMES = CameraHealthSettings().every_n_frames
LEARN_FRAMES = CameraHealthSettings().learn_frames
SPOILT_FRAMES = 80
FULL_HD = (1920, 1080)
Spoil = Callable[[Pixels, np.random.Generator], Any]


def _covered(frame: Pixels, rng: np.random.Generator) -> Any:  # noqa: ANN401
    few = cv2.resize(frame, (4, 3), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(few, frame.shape[1::-1]) * 0.05 + 60
    return soft + rng.normal(0, 2, frame.shape)


def _torn(frame: Pixels, rng: np.random.Generator) -> Any:  # noqa: ANN401
    height, width = frame.shape[:2]
    row = int(rng.integers(height // 5, height * 4 // 5))
    push = int(rng.integers(width // 8, width // 2))
    return np.concatenate([frame[:row], np.roll(frame[row:], push, axis=1)])


def _half(color: tuple[int, int, int]) -> Spoil:
    def spoil(frame: Pixels, _: np.random.Generator) -> Any:  # noqa: ANN401
        spoilt = frame.copy()
        spoilt[len(frame) // 2 :] = color
        return spoilt

    return spoil


SPOILS: dict[str, Spoil] = {
    "black": lambda frame, rng: rng.normal(2, 1, frame.shape),
    "white": lambda frame, _: np.full_like(frame, 255),
    "over-exposed 6 x": lambda frame, _: frame * 6.0 + 60,
    "covered": _covered,
    "blurred, sigma 1.5 px": lambda frame, _: cv2.GaussianBlur(frame, (0, 0), 1.5),
    "blurred, sigma 3 px": lambda frame, _: cv2.GaussianBlur(frame, (0, 0), 3),
    "moved 2 %": lambda frame, _: np.roll(frame, frame.shape[1] // 50, axis=1),
    "moved 5 %": lambda frame, _: np.roll(frame, frame.shape[1] // 20, axis=1),
    "torn, pushed sideways": _torn,
    "green half": _half((0, 135, 0)),
    "grey half": _half((128, 128, 128)),
    "black half": _half((0, 0, 0)),
    "dark 0.5 x": lambda frame, _: frame * 0.5,
    "bright 1.5 x": lambda frame, _: frame * 1.5,
}


def frames_of(path: Path) -> Iterator[Pixels]:
    """Yield the frames of a video, once."""
    capture = cv2.VideoCapture(str(path))
    while True:
        is_read, frame = capture.read()
        if not is_read:
            capture.release()
            return
        yield np.asarray(frame, np.uint8)


def measure_cost(frames: list[Pixels], rounds: int) -> dict[str, float]:
    """Return milliseconds per measured frame and per quick check, in full HD.

    It is the CPU time of the thread: other programs slow it down only through memory
    and caches.
    """
    measurer, learner = Measurer(), BaselineLearner(len(frames))
    learned = [learner.add(measurer.measure(frame)) for frame in frames][-1]
    rules = QualityRules(CameraHealthSettings(), learned, is_triggered=False)
    measured_ns, checked_ns = [], []
    for number, frame in enumerate(itertools.chain.from_iterable([frames] * rounds)):
        started_ns = time.thread_time_ns()
        rules.evaluate(measurer.measure(frame), number * 200_000_000)
        between_ns = time.thread_time_ns()
        may_be_unusable(frame)
        checked_ns.append(time.thread_time_ns() - between_ns)
        measured_ns.append(between_ns - started_ns)
    measure_ms, check_ms = np.array(measured_ns) / 1e6, np.array(checked_ns) / 1e6
    return {
        "looks": len(measured_ns),
        "look_ms_p50": round(float(np.median(measure_ms)), 3),
        "look_ms_p99": round(float(np.percentile(measure_ms, 99)), 3),
        "glance_ms_p50": round(float(np.median(check_ms)), 3),
        "ms_a_frame_every_5th_looked_at": round(
            float(np.median(measure_ms) / EVERY_N_FRAMES + np.median(check_ms)), 3
        ),
    }


def run_good_video(
    path: Path, fps: float, loops: int
) -> tuple[dict[str, Any], Baseline]:
    """Loop a good video; return the results, and the baseline.

    Raises:
        RuntimeError: It is too short for a baseline.
    """
    measurer, learner = Measurer(), BaselineLearner(LEARN_FRAMES)
    rules = QualityRules(CameraHealthSettings(), None, is_triggered=False)
    baseline: Baseline | None = None
    rejected: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    longest = run = number = 0
    for _ in range(loops):
        for frame in frames_of(path):
            number += 1
            if number % EVERY_N_FRAMES and not may_be_unusable(frame):
                continue
            appearance = measurer.measure(frame)
            run = run + 1 if appearance.is_identical else 0
            longest = max(longest, run)
            unusable = rules.evaluate(appearance, int(number / fps * 1e9))
            rejected.update(names_of(unusable))
            alarms.update(names_of(rules.conditions))
            if baseline is None and not unusable:
                baseline = learner.add(appearance)
                rules.set_baseline(baseline)
    if baseline is None:
        raise RuntimeError(f"{path} is too short for a baseline")
    results = {
        "frames": number,
        "loops": loops,
        "fake_looks": dict(rejected),
        "looks_with_an_alarm": dict(alarms),
        "longest_run_of_identical_looks": longest,
        "baseline_sees_movement": Background(baseline).detects_movement,
    }
    return results, baseline


def run_spoilt_video(
    path: Path, fps: float, baseline: Baseline, spoil: Spoil
) -> dict[str, Any]:
    """Apply a fault to each frame of a video; return the results."""
    rng = np.random.default_rng(0)
    measurer = Measurer()
    rules = QualityRules(CameraHealthSettings(), baseline, is_triggered=False)
    rejected: Counter[str] = Counter()
    after_s: dict[str, float] = {}
    frames = itertools.islice(
        frames_of(path), 0, SPOILT_FRAMES * EVERY_N_FRAMES, EVERY_N_FRAMES
    )
    for number, frame in enumerate(frames):
        spoilt = np.clip(spoil(frame, rng), 0, 255).astype(np.uint8)
        now_s = number * EVERY_N_FRAMES / fps
        rejected.update(
            names_of(rules.evaluate(measurer.measure(spoilt), 1 + int(now_s * 1e9)))
        )
        for name in names_of(rules.conditions):
            after_s.setdefault(name, round(now_s, 1))
    share = {name: round(count / SPOILT_FRAMES, 2) for name, count in rejected.items()}
    return {"fake_share_of_looks": share, "alarm_after_s": after_s}


def main(arguments: list[str]) -> int:
    """Measure and write the result.

    Returns:
        0; 1 where a measurement takes too long, or a good video raised an alarm.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loops", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--result", type=Path, default=RESULTS / "camera_health.json")
    args = parser.parse_args(arguments)
    machine = describe_machine()
    cv2.setNumThreads(1)
    cost, videos = {}, {}
    for name, fps in VIDEOS.items():
        path = SHARED / "data" / "videos" / name
        few = itertools.islice(frames_of(path), 0, 300, 10)
        large = [np.asarray(cv2.resize(frame, FULL_HD), np.uint8) for frame in few]
        cost[name] = measure_cost(large, args.rounds)
        sound, baseline = run_good_video(path, fps, args.loops)
        spoilt = {
            what: run_spoilt_video(path, fps, baseline, spoil)
            for what, spoil in SPOILS.items()
        }
        videos[name] = {"sound": sound, "spoilt": spoilt}
        print(name, cost[name], sound, flush=True)
    result = {
        "machine": machine,
        "configuration": configuration(args),
        "bar_ms": BAR_MS,
        "cost_1080p_one_thread": cost,
        "videos": videos,
    }
    write_result(args.result, result)
    is_cheap = all(each["look_ms_p50"] <= BAR_MS for each in cost.values())
    is_quiet = not any(
        video["sound"]["fake_looks"] or video["sound"]["looks_with_an_alarm"]
        for video in videos.values()
    )
    return 0 if is_cheap and is_quiet else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
