"""Statistics of one camera: counters and a bounded histogram of latencies."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.messages import VerdictKind

LOWEST_NS = 1_000  # 1 us
HIGHEST_NS = 1_000_000_000_000  # 1000 s
BUCKET_RATIO = 1.01  # upper to lower limit: percentiles are accurate to 1 %
_LOG_RATIO = float(np.log(BUCKET_RATIO))
_BUCKETS = int(np.ceil(np.log(HIGHEST_NS / LOWEST_NS) / _LOG_RATIO)) + 1


class LatencyHistogram:
    """Latencies in buckets of equal ratio: its memory does not grow.

    Source:
        G. Tene's HdrHistogram: a bounded relative error at every scale.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, np.int64)

    def record(self, latency_ns: int) -> None:
        """Count one latency; one outside the range counts as the nearest limit."""
        inside = min(max(latency_ns, LOWEST_NS), HIGHEST_NS)
        self._counts[int(np.log(inside / LOWEST_NS) / _LOG_RATIO)] += 1

    def percentile_ms(self, share: float) -> float:
        """Return the latency that a share, 0..1, of all does not exceed; 0 if empty."""
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        rank = max(1, int(np.ceil(share * total)))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle_ns = LOWEST_NS * BUCKET_RATIO ** (bucket + 0.5)
        return float(middle_ns / 1e6)

    def counts_up_to(self, limits_ns: Sequence[int]) -> list[int]:
        """Return how many latencies are below each ascending limit, to one bucket."""
        ends = np.log(np.asarray(limits_ns) / LOWEST_NS) / _LOG_RATIO
        sums = np.concatenate(([0], np.cumsum(self._counts)))
        return [int(sums[end]) for end in ends.astype(int).clip(0, _BUCKETS)]

    def sum_s(self) -> float:
        """Return the sum of all latencies in seconds, accurate to half a bucket."""
        middles = LOWEST_NS * BUCKET_RATIO ** (np.arange(_BUCKETS) + 0.5)
        return float(self._counts @ middles / 1e9)

    def __len__(self) -> int:
        return int(self._counts.sum())


@dataclass(slots=True)
class CameraCounters:
    """Counts for one camera since the daemon started.

    Each field is written by one thread only, and read by others as a snapshot.
    """

    inspected: int = 0  # frames with a decision
    # frames without pixels, or rejected by the image quality monitor
    unreadable: int = 0
    torn: int = 0  # frames that the camera overwrote while they were inspected
    shed: int = 0  # frames skipped to reduce the load
    alerts: int = 0  # alerts committed to the outbox
    suppressed: int = 0  # alerts not sent because of a cool-down
    verdicts: Counter[VerdictKind] = field(default_factory=Counter)
    # capture to decision
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    # the same since the last `reset_recent_latency`
    recent_latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    first_ns: int = 0  # monotonic clock of the first decision; 0 = no decision
    last_ns: int = 0  # monotonic clock of the last decision; 0 = no decision

    def record_decision(self, captured_ns: int, decided_ns: int) -> None:
        """Count a decision; both times are of the monotonic clock."""
        self.latency.record(decided_ns - captured_ns)
        self.recent_latency.record(decided_ns - captured_ns)
        self.first_ns = self.first_ns or decided_ns
        self.last_ns = decided_ns
        self.inspected += 1

    @property
    def fps(self) -> float:
        """Frames inspected per second, between the first and the last decision."""
        if self.inspected < 2 or self.last_ns <= self.first_ns:
            return 0.0
        return (self.inspected - 1) * 1e9 / (self.last_ns - self.first_ns)

    def reset_recent_latency(self) -> LatencyHistogram:
        """Return the latencies since the last call, and start over."""
        recent, self.recent_latency = self.recent_latency, LatencyHistogram()
        return recent
