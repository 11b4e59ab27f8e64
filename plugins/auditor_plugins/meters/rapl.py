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


@dataclass(slots=True)
class _Zone:
    """One counter: what it showed last, and all it counted since it showed 0 for the meter."""

    folder: Path
    range_uj: int
    last_uj: int
    total_uj: int

    def read(self) -> int:
        """Microjoules, counting on where the counter begins again at 0.

        Raises:
            MeterError: it can't be read any more.
        """
        now_uj = _integer(self.folder / "energy_uj")
        self.total_uj += (now_uj - self.last_uj) % (self.range_uj + 1)
        self.last_uj = now_uj
        return self.total_uj


class RaplMeter:
    """Sums of RAPL counters that contain each other nowhere.

    ``cpu`` is all packages (cores and graphics are inside a package and not added), ``ram`` all memory controllers
    (beside the package, though powercap nests them below it), ``platform`` the rest of the machine where it has a
    ``psys`` counter, which contains the others.

    Args:
        root: The powercap folder; ``None``: that of ``AUDITOR_POWERCAP``, or the kernel's.
        sleep: How to wait.
    """

    name = "rapl"
    self_paced = False

    def __init__(self, root: Path | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._root = root or Path(os.environ.get(ENVIRONMENT) or "/sys/class/powercap")
        self._sleep = sleep
        self._zones: dict[str, list[_Zone]] = {}
        self._rest_uj = 0
        self._rest_base_uj = 0

    def start(self, tick: Callable[[], None], interval_s: float) -> Sequence[Component]:
        """Begin metering; never calls ``tick``. See :class:`auditor.ports.Meter`.

        Raises:
            MeterError: this machine has no RAPL counters, or they may not be read.
        """
        self._zones, self._rest_uj = {}, 0
        for folder in self._folders():
            kind = _kind((folder / "name").read_text().strip())
            if kind:
                self._zones.setdefault(kind, []).append(_open(folder))
        if "cpu" not in self._zones:
            raise MeterError(
                f"rapl: {self._root} has no package counter; virtual machines and most ARM processors have none, "
                "use 'codecarbon' there"
            )
        without = self._without_psys()
        parts = [
            self._component("cpu", "packages", without),
            *([self._component("ram", "memory controllers", "")] if "ram" in self._zones else []),
        ]
        if "psys" in self._zones:
            parts.append(
                Component(
                    name="platform",
                    provenance=Provenance.COUNTER,
                    detail=f"RAPL psys less {' and '.join(part.name for part in parts)}: the rest of the machine",
                )
            )
        return parts

    def read(self) -> Mapping[str, int]:
        """Cumulative microjoules by component.

        Raises:
            MeterError: a counter can't be read any more.
        """
        sums = {kind: sum(zone.read() for zone in zones) for kind, zones in self._zones.items()}
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
        """Zones, those that only repeat another by way of memory-mapped registers left out."""
        return sorted(
            path
            for path in self._root.glob("*-rapl:*")
            if not path.name.startswith("intel-rapl-mmio") and (path / "name").is_file()
        )

    def _without_psys(self) -> str:
        """Leave psys out where it shows less than what it should contain; say why."""
        if "psys" not in self._zones:
            return ""
        before = {kind: sum(zone.read() for zone in zones) for kind, zones in self._zones.items()}
        self._sleep(_PSYS_CHECK_S)
        grown = {kind: sum(zone.read() for zone in zones) - before[kind] for kind, zones in self._zones.items()}
        psys_uj = grown.pop("psys")
        if psys_uj < sum(grown.values()):
            del self._zones["psys"]
            return "; psys shows less than what it contains and was left out"
        totals = {kind: sum(zone.total_uj for zone in zones) for kind, zones in self._zones.items()}
        self._rest_base_uj = 2 * totals["psys"] - sum(totals.values())
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


def _open(folder: Path) -> _Zone:
    now_uj = _integer(folder / "energy_uj")
    return _Zone(folder, _integer(folder / "max_energy_range_uj"), now_uj, now_uj)


def _integer(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError:
        raise MeterError(
            f"rapl: {path} may only be read by root; allow it with: "
            f"sudo chmod a+r {path.parent.parent}/*-rapl:*/energy_uj"
        ) from None
    except (OSError, ValueError) as error:
        raise MeterError(f"rapl: {path} can't be read ({error})") from error
