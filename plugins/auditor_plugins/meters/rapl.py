"""Intel and AMD processors by their own energy counters (RAPL), as Linux shows them under powercap."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.domain.errors import MeterError
from auditor.domain.provenance import Provenance
from auditor.ports import Component

ENVIRONMENT = "AUDITOR_POWERCAP"
"""Names another folder than ``/sys/class/powercap``."""

_PSYS_CHECK_S = 0.05
_MIRRORED_UJ = 1_000_000  # a package draws less than a joule between two reads of its counter one after the other
_SLEPT_NS = 1_000_000_000


@dataclass(slots=True)
class _Zone:
    """One counter: what it showed last, and all it counted since it showed 0 for the meter."""

    folder: Path
    name: str
    range_uj: int
    last_uj: int
    total_uj: int

    def read(self, *, lost_power: bool) -> int:
        """Microjoules, counting on where the counter begins again at 0: at its range, or after a loss of power.

        A counter below its last value after a suspension has lost its power or reached its range, which can't be told:
        it counts from 0, at least what was used.

        Raises:
            MeterError: it can't be read any more.
        """
        now_uj = _integer(self.folder / "energy_uj")
        begin_uj = 0 if lost_power and now_uj < self.last_uj else self.last_uj
        self.total_uj += (now_uj - begin_uj) % (self.range_uj + 1)
        self.last_uj = now_uj
        return self.total_uj

    def mirrors(self, other: _Zone) -> bool:
        """Whether it shows the counter of another die of its package: early AMD Zen has one counter a package."""
        package, _, die = self.name.partition("-die-")
        away_uj = abs(self.last_uj - other.last_uj)
        return bool(die) and package == other.name.partition("-die-")[0] and away_uj <= _MIRRORED_UJ


class RaplMeter:
    """Sums of RAPL counters that contain each other nowhere.

    ``cpu`` is all packages (cores and graphics are inside a package and not added), ``ram`` all memory controllers
    (beside the package, though powercap nests them below it), ``platform`` the rest of the machine where it has a
    ``psys`` counter, which contains the others. It must be read more often than a counter wraps (262 kJ on most
    machines: 15 minutes at 300 W).

    Args:
        root: The powercap folder; ``None``: that of ``AUDITOR_POWERCAP``, or the kernel's.
        sleep: How to wait, in seconds.
    """

    name = "rapl"
    self_paced = False

    def __init__(self, root: Path | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._root = root or Path(os.environ.get(ENVIRONMENT) or "/sys/class/powercap")
        self._sleep = sleep
        self._zones: dict[str, list[_Zone]] = {}
        self._slept_ns = 0
        self._rest_uj = 0
        self._rest_base_uj = 0

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin metering; never calls ``tick``. See :class:`auditor.ports.Meter`.

        Raises:
            MeterError: this machine has no RAPL counters, or they may not be read.
        """
        self._zones, self._rest_uj, self._slept_ns = {}, 0, _suspended_ns()
        mirrored = []
        for folder in self._folders():
            name = (folder / "name").read_text().strip()
            kind = _kind(name)
            if kind is None:
                continue
            zone, known = _open(folder, name), self._zones.setdefault(kind, [])
            if any(zone.mirrors(other) for other in known):
                mirrored.append(folder.name)
            else:
                known.append(zone)
        if "cpu" not in self._zones:
            raise MeterError(
                f"rapl: {self._root} has no package counter (virtual machines, most containers and ARM processors "
                "have none); run on the machine itself, or use 'codecarbon'"
            )
        remark = f"; {', '.join(mirrored)} left out: the same counter again" if mirrored else ""
        remark += self._without_psys()
        parts = [
            self._component("cpu", "packages", remark),
            *([self._component("ram", "memory controllers", "")] if "ram" in self._zones else []),
        ]
        if "psys" in self._zones:
            parts.append(
                Component(
                    name="platform",
                    provenance=Provenance.COUNTER,
                    detail=f"RAPL counter psys less {' and '.join(part.name for part in parts)}: the rest of the board",
                )
            )
        return parts

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules by component.

        Raises:
            MeterError: a counter can't be read any more.
        """
        sums = self._sums()
        psys_uj = sums.pop("psys", None)
        if psys_uj is not None:  # read one after the other: the difference may waver by little
            self._rest_uj = max(self._rest_uj, psys_uj - sum(sums.values()) - self._rest_base_uj)
            sums["platform"] = self._rest_uj
        return sums

    def sample(self) -> None:
        """Nothing to do: every reading is of its instant."""

    def stop(self) -> None:
        """Nothing to stop."""

    def _folders(self) -> list[Path]:
        """Zones, flat or nested; those of memory-mapped registers only where they don't just repeat others."""
        found = {path.name: path for path in self._root.rglob("*-rapl*:*") if (path / "name").is_file()}
        own = {name: path for name, path in found.items() if "-mmio" not in name}
        return [path for _, path in sorted((own or found).items())]

    def _sums(self) -> dict[str, int]:
        """Microjoules by kind of zone."""
        slept_ns = _suspended_ns()
        lost_power, self._slept_ns = slept_ns - self._slept_ns > _SLEPT_NS, slept_ns
        return {k: sum(zone.read(lost_power=lost_power) for zone in zones) for k, zones in self._zones.items()}

    def _without_psys(self) -> str:
        """Leave psys out where it shows less than what it should contain; say why."""
        if "psys" not in self._zones:
            return ""
        before = self._sums()
        self._sleep(_PSYS_CHECK_S)
        after = self._sums()
        psys_uj = after["psys"] - before["psys"]
        if psys_uj < sum(after[kind] - before[kind] for kind in after if kind != "psys"):
            del self._zones["psys"]
            return "; psys shows less than what it contains and was left out"
        self._rest_base_uj = 2 * after["psys"] - sum(after.values())
        return ""

    def _component(self, name: str, what: str, remark: str) -> Component:
        zones = self._zones[name]
        ranges = {zone.range_uj for zone in zones}
        ids = " ".join(zone.folder.name for zone in zones)
        one_range = len(ranges) == 1
        return Component(
            name=name,
            provenance=Provenance.COUNTER,
            detail=f"RAPL counters of {len(zones)} {what if len(zones) > 1 else what[:-1]} ({ids}){remark}",
            counter=f"rapl {ids}" if one_range else "",
            wrap_uj=ranges.pop() + 1 if one_range else None,
        )


def _kind(zone: str) -> str | None:
    """What a zone is counted as; ``None``: it is inside another."""
    if zone.startswith("package"):
        return "cpu"
    return {"dram": "ram", "psys": "psys"}.get(zone)


def _open(folder: Path, name: str) -> _Zone:
    now_uj = _integer(folder / "energy_uj")
    return _Zone(folder, name, _integer(folder / "max_energy_range_uj"), now_uj, now_uj)


def _integer(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError:
        raise MeterError(
            f"rapl: {path} may only be read by root; allow it with: "
            f"sudo chmod a+r {path.parent.parent}/*-rapl*:*/energy_uj"
        ) from None
    except (OSError, ValueError) as error:
        raise MeterError(f"rapl: {path} can't be read ({error})") from error


def _suspended_ns() -> int:
    """How long this machine was suspended since boot; its processors may lose power meanwhile."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
