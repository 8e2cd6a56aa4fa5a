"""Figures of one camera: counters and a bounded histogram of latencies."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.messages import VerdictKind

LOWEST_NS = 1_000  # 1 us
HIGHEST_NS = 1_000_000_000_000  # 1000 s
STEP = 1.01  # width of a bucket: percentiles are right to 1 %
_LOG_STEP = float(np.log(STEP))
_BUCKETS = int(np.ceil(np.log(HIGHEST_NS / LOWEST_NS) / _LOG_STEP)) + 1


class LatencyHistogram:
    """Latencies in buckets of equal ratio: fixed memory, however long it runs.

    Source:
        The idea of G. Tene's HdrHistogram: a bounded relative error at every scale.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)

    def record(self, latency_ns: int) -> None:
        """Count one latency.

        Args:
            latency_ns: At least 0; what is outside 1 us..1000 s counts as the limit.
        """
        inside = min(max(latency_ns, LOWEST_NS), HIGHEST_NS)
        self._counts[int(np.log(inside / LOWEST_NS) / _LOG_STEP)] += 1

    def percentile_ms(self, share: float) -> float:
        """Return the latency that a share of all does not exceed; 0 without any.

        Args:
            share: In 0..1, for example 0.99.
        """
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        rank = max(1, int(np.ceil(share * total)))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        return float(LOWEST_NS * STEP ** (bucket + 0.5) / 1e6)  # middle of the bucket

    def counts_up_to(self, limits_ns: Sequence[int]) -> list[int]:
        """Return how many latencies lie below each limit, right to a bucket.

        Args:
            limits_ns: Ascending.
        """
        ends = np.log(np.asarray(limits_ns) / LOWEST_NS) / _LOG_STEP
        sums = np.concatenate(([0], np.cumsum(self._counts)))
        return [int(sums[end]) for end in ends.astype(int).clip(0, _BUCKETS)]

    def sum_s(self) -> float:
        """Return the sum of all latencies in seconds, right to half a bucket."""
        middles = LOWEST_NS * STEP ** (np.arange(_BUCKETS) + 0.5)
        return float(self._counts @ middles / 1e9)

    def __len__(self) -> int:
        """Return the number of latencies."""
        return int(self._counts.sum())


@dataclass(slots=True)
class CameraCounters:
    """What happened at one camera since the daemon's start.

    Each field is written by one thread only, and read by others as a snapshot.

    Attributes:
        inspected: Frames with a decision.
        unreadable: Frames that could not be read, or cannot show the part.
        torn: Frames that were overwritten while they were looked at.
        shed: Frames that were skipped to save work.
        alerts: Alerts on disk.
        suppressed: Alerts that a cool-down held back.
        verdicts: Verdicts decided, by kind.
        latency: Capture to decision, since start.
        latency_of_late: The same since the last statistics.
        first_ns: Monotonic clock of the first decision.
        last_ns: Monotonic clock of the last decision.
    """

    inspected: int = 0
    unreadable: int = 0
    torn: int = 0
    shed: int = 0
    alerts: int = 0
    suppressed: int = 0
    verdicts: Counter[VerdictKind] = field(default_factory=Counter)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    latency_of_late: LatencyHistogram = field(default_factory=LatencyHistogram)
    first_ns: int = 0
    last_ns: int = 0

    def inspected_one(self, captured_ns: int, decided_ns: int) -> None:
        """Count a decision.

        Args:
            captured_ns: Monotonic clock of the capture.
            decided_ns: Monotonic clock of the decision.
        """
        self.latency.record(decided_ns - captured_ns)
        self.latency_of_late.record(decided_ns - captured_ns)
        self.first_ns = self.first_ns or decided_ns
        self.last_ns = decided_ns
        self.inspected += 1

    @property
    def fps(self) -> float:
        """Frames inspected per second, between the first and the last decision."""
        if self.inspected < 2 or self.last_ns <= self.first_ns:
            return 0.0
        return (self.inspected - 1) * 1e9 / (self.last_ns - self.first_ns)

    def of_late(self) -> LatencyHistogram:
        """Return the latencies since the last call."""
        latencies, self.latency_of_late = self.latency_of_late, LatencyHistogram()
        return latencies
