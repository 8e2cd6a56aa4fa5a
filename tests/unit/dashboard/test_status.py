"""The collector's status as JSON."""

import time

from dashboard.status import BrokerStatus, CollectorStatus, now_ms


def test_page_gets_the_broker_and_the_counters() -> None:
    broker = BrokerStatus("host:1883", is_up=False, since_ms=7, reason="gone")
    status = CollectorStatus(
        broker=broker,
        failure="disk full",
        writer_age_s=0.1,
        duplicates=1,
        dropped=2,
        rejected={"topic": 3},
        connections=4,
        refused=("topic",),
    )
    assert status.as_json() == {
        "broker": {
            "address": "host:1883",
            "is_up": False,
            "since_ms": 7,
            "reason": "gone",
            "mqtt": "",
            "connections": 4,
        },
        "history": {"failure": "disk full"},
        "alarm": "",
        "unjudged": "",
        "duplicates": 1,
        "dropped": 2,
        "rejected": {"topic": 3},
        "refused": ["topic"],
        "notify": [],
    }


def test_clock_is_in_milliseconds() -> None:
    assert abs(now_ms() - time.time() * 1000) < 1000
