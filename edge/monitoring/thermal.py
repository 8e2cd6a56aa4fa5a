"""Is the processor too hot? Sensors and clocks as the kernel shows them, and the rule.

A zone is too hot from its lowest trip point on where the kernel itself begins to slow
down (``passive`` or ``hot``). Intel processors also count how often they slowed down by
themselves. It is over only when both were calm for a while and the zone is some degrees
below its trip point, so that the daemon does not change its mind with every breath.

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

SLOWING_TRIPS = {"passive", "hot"}
COOLER_C = 5.0  # below the trip point it counts as cool again
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Zone:
    """One thermal zone.

    Attributes:
        name: Its type, for example ``x86_pkg_temp``.
        temperature_c: Now.
        trip_c: From here on the kernel slows down; infinite where it never does.
    """

    name: str
    temperature_c: float
    trip_c: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the kernel shows at one moment; empty on a machine without sensors.

    Attributes:
        zones: Thermal zones.
        throttles: How often the processor slowed down since it was switched on.
        frequency_hz: Of the slowest core, now; 0 = unknown.
        frequency_max_hz: What it could run at; 0 = unknown.
    """

    zones: tuple[Zone, ...]
    throttles: int
    frequency_hz: float
    frequency_max_hz: float

    def describe(self, throttles_before: int) -> str:
        """Return it for a person, on one line.

        Args:
            throttles_before: Count of the reading before.
        """
        hot = [z for z in self.zones if z.temperature_c >= z.trip_c]
        words = [f"{z.name} {z.temperature_c:.0f} of {z.trip_c:.0f} C" for z in hot]
        if self.throttles > throttles_before:
            words.append(f"slowed down {self.throttles - throttles_before} times")
        if self.frequency_max_hz:
            now, most = self.frequency_hz / 1e9, self.frequency_max_hz / 1e9
            words.append(f"{now:.1f} of {most:.1f} GHz")
        return ", ".join(words)


class ThermalRule:
    """When the processor counts as throttled. Pure: time comes in.

    Args:
        calm_ns: How long it must be calm before it is over.

    Attributes:
        reason: Figures of the moment when it began; empty = not throttled.
    """

    def __init__(self, calm_ns: int) -> None:
        self.reason = ""
        self._calm_ns = calm_ns
        self._throttles: int | None = None
        self._hot_ns = 0

    def look(self, reading: Reading, now_ns: int) -> bool:
        """Return whether the processor is throttled.

        Args:
            reading: What the kernel shows.
            now_ns: Monotonic clock.
        """
        before = reading.throttles if self._throttles is None else self._throttles
        self._throttles = reading.throttles
        margin_c = COOLER_C if self.reason else 0.0
        is_hot = any(z.temperature_c >= z.trip_c - margin_c for z in reading.zones)
        if is_hot or reading.throttles > before:
            self._hot_ns = now_ns
            self.reason = self.reason or reading.describe(before) or "too hot"
        elif self.reason and now_ns - self._hot_ns >= self._calm_ns:
            self.reason = ""
        return bool(self.reason)


class ThermalWatch:
    """Looks every few seconds, in the thread of whoever asks.

    Args:
        settings: Where and how often.

    Attributes:
        sheds_frames: Free-running cameras are to skip every second frame.
    """

    def __init__(self, settings: ThermalSettings) -> None:
        self.sheds_frames = False
        self._settings = settings
        self._rule = ThermalRule(round(settings.calm_s * 1e9))
        self._looked_ns: int | None = None

    @property
    def fault(self) -> str:
        """What is wrong, with figures; empty while nothing is."""
        return f"cpu throttled: {self._rule.reason}" if self._rule.reason else ""

    def look(self, now_ns: int) -> None:
        """Look, if it is time.

        Args:
            now_ns: Monotonic clock.
        """
        interval_ns = self._settings.poll_interval_s * 1e9
        if self._looked_ns is not None and now_ns - self._looked_ns < interval_ns:
            return
        self._looked_ns = now_ns
        was_throttled = bool(self._rule.reason)
        is_throttled = self._rule.look(read_sensors(self._settings.sysfs), now_ns)
        self.sheds_frames = is_throttled and self._settings.sheds_frames
        if is_throttled and not was_throttled:
            logger.warning("cpu_throttled reason=%r", self._rule.reason)
        elif was_throttled and not is_throttled:
            logger.info("cpu_cool")


def read_sensors(sysfs: Path) -> Reading:
    """Return what the kernel shows now.

    Args:
        sysfs: ``/sys``.
    """
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
    return Reading(zones, throttles, now_khz * 1e3, max_khz * 1e3)


def _zones(folder: Path) -> Iterator[Zone]:
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
        yield Zone(name, temperature / 1000, min(trips, default=float("inf")))


def _text(path: Path) -> str:
    """Return a line of sysfs; empty where there is none: not every sensor answers."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _number(path: Path) -> int | None:
    """Return a number of sysfs, none where there is none."""
    with suppress(ValueError):
        return int(_text(path))
    return None
