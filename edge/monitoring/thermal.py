"""Whether the processor is thermally throttled: sensors in sysfs, and the rule.

A zone is too hot from its lowest trip point at which the kernel slows the processor
down (``passive`` or ``hot``). Intel processors also count how often they slowed down by
themselves. The throttling ends only when both were calm for a while and the zone is
some degrees below its trip point, so that the state does not flap.

Source:
    Linux: Documentation/driver-api/thermal/sysfs-api.rst (millidegrees, trip points),
    ``thermal_throttle`` and ``cpufreq`` in Documentation/ABI/testing/sysfs-devices-
    system-cpu.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.config.monitoring import ThermalSettings
from models.counted import counted

SLOWING_TRIPS = {"passive", "hot"}  # at "active" only a fan starts
# Hysteresis: below the trip point by so much, a throttled zone counts as cool again.
COOLER_C = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThermalZone:
    """One thermal zone."""

    name: str  # its type, for example `x86_pkg_temp`
    temperature_c: float
    trip_c: float  # from here on the kernel slows down; infinite where it never does


@dataclass(frozen=True, slots=True)
class ThermalReading:
    """The sensors at one moment; without zones on a machine without sensors."""

    zones: tuple[ThermalZone, ...]
    throttles: int  # how often the processor slowed down since it was switched on
    frequency_hz: float  # current frequency of the slowest core; 0 = unknown
    frequency_max_hz: float  # highest frequency of that core; 0 = unknown

    def describe(self, throttles_before: int) -> str:
        """Return the reading for a person, on one line."""
        hot = [z for z in self.zones if z.temperature_c >= z.trip_c]
        parts = [f"{z.name} {z.temperature_c:.0f} of {z.trip_c:.0f} C" for z in hot]
        if self.throttles > throttles_before:
            parts.append(
                f"slowed down {counted(self.throttles - throttles_before, 'time')}"
            )
        if self.frequency_max_hz:
            now, most = self.frequency_hz / 1e9, self.frequency_max_hz / 1e9
            parts.append(f"{now:.1f} of {most:.1f} GHz")
        return ", ".join(parts)


class ThermalRule:
    """When the processor counts as throttled. Pure: time comes in.

    Args:
        calm_ns: How long it must be calm before the throttling ends.

    Attributes:
        reason: Reading at the start of the throttling; empty = not throttled.
    """

    def __init__(self, calm_ns: int) -> None:
        self.reason = ""
        self._calm_ns = calm_ns
        self._throttles: int | None = None
        self._hot_ns = 0

    def update(self, reading: ThermalReading, now_ns: int) -> bool:
        """Return whether the processor is throttled."""
        # The count at the first reading is of an earlier time: only a rise is heat.
        before = reading.throttles if self._throttles is None else self._throttles
        self._throttles = reading.throttles
        margin_c = COOLER_C if self.reason else 0.0
        is_hot = any(z.temperature_c >= z.trip_c - margin_c for z in reading.zones)
        if is_hot or reading.throttles > before:
            self._hot_ns = now_ns
            # The first reason stays: each new text would be published as a change.
            self.reason = self.reason or reading.describe(before) or "too hot"
        elif self.reason and now_ns - self._hot_ns >= self._calm_ns:
            self.reason = ""
        return bool(self.reason)


class ThermalMonitor:
    """Reads the sensors at an interval, in the thread of the caller.

    Attributes:
        sheds_frames: Whether free-running cameras skip every second frame.
        hottest_c: Highest temperature at the last check; None = no sensor.
    """

    def __init__(self, settings: ThermalSettings) -> None:
        self.sheds_frames = False
        self.hottest_c: float | None = None
        self._settings = settings
        self._rule = ThermalRule(round(settings.calm_s * 1e9))
        self._checked_ns: int | None = None

    @property
    def is_throttled(self) -> bool:
        """Whether the processor is throttled."""
        return bool(self._rule.reason)

    @property
    def fault(self) -> str:
        """Why the processor is throttled; empty while it is not."""
        return f"cpu throttled: {self._rule.reason}" if self._rule.reason else ""

    def check(self, now_ns: int) -> None:
        """Read the sensors if the interval is over."""
        interval_ns = self._settings.poll_interval_s * 1e9
        if self._checked_ns is not None and now_ns - self._checked_ns < interval_ns:
            return
        self._checked_ns = now_ns
        was_throttled = self.is_throttled
        reading = read_sensors(self._settings.sysfs)
        temperatures = (zone.temperature_c for zone in reading.zones)
        self.hottest_c = max(temperatures, default=None)
        is_throttled = self._rule.update(reading, now_ns)
        self.sheds_frames = is_throttled and self._settings.sheds_frames
        if is_throttled and not was_throttled:
            logger.warning("cpu_throttled reason=%r", self._rule.reason)
        elif was_throttled and not is_throttled:
            logger.info("cpu_cool")


def read_sensors(sysfs: Path) -> ThermalReading:
    """Return the current sensors below ``/sys``."""
    zones = tuple(_zones(sysfs / "class" / "thermal"))
    cores = sorted((sysfs / "devices" / "system" / "cpu").glob("cpu[0-9]*"))
    counts = [
        _number(core / "thermal_throttle" / "core_throttle_count") for core in cores
    ]
    clocks = [
        (now, most)
        for core in cores
        if (now := _number(core / "cpufreq" / "scaling_cur_freq")) is not None
        and (most := _number(core / "cpufreq" / "cpuinfo_max_freq"))
    ]
    now_khz, max_khz = min(clocks, default=(0, 0))
    throttles = sum(count for count in counts if count is not None)
    return ThermalReading(zones, throttles, now_khz * 1e3, max_khz * 1e3)


def _zones(folder: Path) -> Iterator[ThermalZone]:
    """Yield the zones whose temperature can be read."""
    for zone in sorted(folder.glob("thermal_zone*")):
        temperature = _number(zone / "temp")
        if temperature is None:
            continue
        trips = [
            trip / 1000
            for kind in zone.glob("trip_point_*_type")
            if _text(kind) in SLOWING_TRIPS
            and (trip := _number(zone / kind.name.replace("_type", "_temp")))
        ]
        name = _text(zone / "type") or zone.name
        yield ThermalZone(name, temperature / 1000, min(trips, default=float("inf")))


def _text(path: Path) -> str:
    """Return a line of sysfs; empty where it cannot be read: some sensors fail."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _number(path: Path) -> int | None:
    """Return a number of sysfs; None where it cannot be read."""
    with suppress(ValueError):
        return int(_text(path))
    return None
