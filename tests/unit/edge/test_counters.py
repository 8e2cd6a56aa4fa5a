import numpy as np
import pytest

from edge.counters import CameraCounters, LatencyHistogram

MS = 1_000_000


def test_without_latencies_percentiles_are_zero() -> None:
    assert LatencyHistogram().percentile_ms(0.99) == 0


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_percentile_is_right_to_one_percent(share: float) -> None:
    rng = np.random.default_rng(1)
    latencies_ns = (rng.lognormal(3, 1, 5000) * MS).astype(int)
    histogram = LatencyHistogram()
    for latency_ns in latencies_ns:
        histogram.record(int(latency_ns))
    exact_ms = np.quantile(latencies_ns, share, method="inverted_cdf") / MS
    assert histogram.percentile_ms(share) == pytest.approx(exact_ms, rel=0.01)


def test_one_latency_is_every_percentile() -> None:
    histogram = LatencyHistogram()
    histogram.record(20 * MS)
    assert histogram.percentile_ms(0.5) == histogram.percentile_ms(0.99)
    assert histogram.percentile_ms(0.5) == pytest.approx(20, rel=0.01)


def test_latency_outside_the_range_counts_as_the_limit() -> None:
    histogram = LatencyHistogram()
    for latency_ns in (-5, 0, 10**18):
        histogram.record(latency_ns)
    assert len(histogram) == 3
    assert histogram.percentile_ms(0.5) == pytest.approx(0.001, rel=0.01)
    assert histogram.percentile_ms(1) == pytest.approx(1e6, rel=0.01)


def test_fps_is_between_first_and_last_decision() -> None:
    counters = CameraCounters()
    for number in range(11):
        counters.record_decision(0, 10**9 + number * 100 * MS)
    assert counters.fps == pytest.approx(10)


def test_single_frame_has_no_fps() -> None:
    counters = CameraCounters()
    counters.record_decision(0, 5)
    assert counters.fps == 0


def test_recent_latencies_are_reset_and_those_since_start_stay() -> None:
    counters = CameraCounters()
    counters.record_decision(0, 5 * MS)
    assert len(counters.reset_recent_latency()) == 1
    counters.record_decision(0, 5 * MS)
    counters.record_decision(0, 5 * MS)
    assert len(counters.reset_recent_latency()) == 2
    assert len(counters.latency) == 3


def test_latencies_below_a_limit_are_counted() -> None:
    latency = LatencyHistogram()
    for milliseconds in (1, 5, 20, 20, 400):
        latency.record(milliseconds * 1_000_000)
    limits = [500_000, 2_000_000, 10_000_000, 30_000_000, 10**12, 10**15]
    assert latency.counts_up_to(limits) == [0, 1, 2, 4, 5, 5]
    assert latency.sum_s() == pytest.approx(0.446, rel=0.01)
    assert LatencyHistogram().sum_s() == 0
