"""The kernel's sensors in a folder: a processor that can be heated."""

from pathlib import Path


class SimSysfs:
    """A ``/sys`` with one zone, two cores and their clocks.

    Args:
        root: Folder to make.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.zone = root / "class" / "thermal" / "thermal_zone0"
        self.zone.mkdir(parents=True)
        self._write(self.zone / "type", "x86_pkg_temp")
        for number, (kind, trip) in enumerate((("critical", 105), ("passive", 95))):
            self._write(self.zone / f"trip_point_{number}_type", kind)
            self._write(self.zone / f"trip_point_{number}_temp", trip * 1000)
        for core in ("cpu0", "cpu1"):
            for part in ("cpufreq", "thermal_throttle"):
                (self._core(core) / part).mkdir(parents=True)
            self._write(self._core(core) / "cpufreq" / "cpuinfo_max_freq", 3_400_000)
        self.heat(45, clock_khz=3_200_000)
        self.throttle(0)

    def heat(self, temperature_c: float, *, clock_khz: int = 1_200_000) -> None:
        """Set the temperature and the clock of the cores."""
        self._write(self.zone / "temp", round(temperature_c * 1000))
        for core in ("cpu0", "cpu1"):
            self._write(self._core(core) / "cpufreq" / "scaling_cur_freq", clock_khz)

    def throttle(self, count: int) -> None:
        """Set how often the first core slowed down."""
        folder = self._core("cpu0") / "thermal_throttle"
        self._write(folder / "core_throttle_count", count)

    def _core(self, name: str) -> Path:
        return self.root / "devices" / "system" / "cpu" / name

    def _write(self, path: Path, value: object) -> None:
        path.write_text(f"{value}\n", encoding="ascii")
