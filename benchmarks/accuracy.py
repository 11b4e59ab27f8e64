"""How far are charges from the truth? Synthetic nodes whose true energy by process and phase is known.

python benchmarks/accuracy.py [--plot docs/accuracy.svg] [--seeds 10]

Prints Markdown tables; every figure is of dynamic energy alone, since static energy goes by reservation, a convention
that can't be wrong and would only dilute the errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from auditor.accounting.allocate import Policy
from auditor.testing import SyntheticNode, attribution_error

INTERVALS_S = (0.5, 1.0, 2.0, 5.0)
PHASES_S = (0.05, 0.2, 1.0, 5.0, 20.0)
AS_ASSUMED = SyntheticNode()
ASSUMPTIONS = {
    "none": AS_ASSUMED,
    "usage read up to 0.2 s after energy": replace(AS_ASSUMED, lag_s=0.2),
    "usage read up to 0.5 s after energy": replace(AS_ASSUMED, lag_s=0.5),
    "usage read up to 1 s after energy": replace(AS_ASSUMED, lag_s=1.0),
    "validation draws 20 % more watts": replace(AS_ASSUMED, phase_watts=(1.0, 1.2)),
    "cubic CPU model (CodeCarbon)": replace(AS_ASSUMED, cubic=True),
    "meter noise 5 % an interval": replace(AS_ASSUMED, noise=0.05),
    "CPU time in ticks of 10 ms": replace(AS_ASSUMED, tick_s=0.01),
    "half of training in child processes": replace(AS_ASSUMED, children=0.5),
    "validation holds twice the memory": replace(AS_ASSUMED, phase_bytes=(1.0, 2.0)),
}
GPU = replace(AS_ASSUMED, gpus=2)
GPU_COMPONENT = "gpu:1"  # one trial has it alone: no sharing, only phases


def main() -> None:
    """Print the tables and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, default=Path(__file__).parents[1] / "docs" / "accuracy.svg")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)

    print("Error per phase by length of interval and phase, every assumption kept:\n")
    print(grid(AS_ASSUMED, seeds))
    print("\nThe same of a GPU, whose energy is split over phases by time and fitted power:\n")
    print(grid(GPU, seeds, GPU_COMPONENT))
    print("\nThe same with meter noise of 5 % an interval:\n")
    print(grid(replace(GPU, noise=0.05), seeds, GPU_COMPONENT))
    print("\nBy violated assumption, intervals of 1 s; per process / per phase / worst account:\n")
    print(by_assumption(ASSUMPTIONS, seeds))
    draw(arguments.plot, seeds)


def errors(node: SyntheticNode, seeds: Sequence[int], component: str | None = None) -> tuple[float, float, float]:
    """Error per process and per account, mean over seeds; that of the worst account of all seeds."""
    found = [attribution_error(replace(node, seed=s), policy=Policy.DIRECT, component=component) for s in seeds]
    return (
        float(np.mean([f.process for f in found])),
        float(np.mean([f.account for f in found])),
        max(f.worst for f in found),
    )


def grid(node: SyntheticNode, seeds: Sequence[int], component: str | None = None) -> str:
    """Markdown table of the error per account, intervals down and phases across."""
    rows = [["interval", *(f"phases of {phase_s:g} s" for phase_s in PHASES_S)]]
    for interval_s in INTERVALS_S:
        nodes = [replace(node, interval_s=interval_s, phase_s=phase_s) for phase_s in PHASES_S]
        rows.append([f"{interval_s:g} s", *(percent(errors(n, seeds, component)[1]) for n in nodes)])
    return markdown(rows)


def by_assumption(nodes: Mapping[str, SyntheticNode], seeds: Sequence[int]) -> str:
    """Markdown table of all errors, violated assumptions down and phases across."""
    phases_s = (0.05, 1.0, 5.0, 20.0)
    rows = [["violated", *(f"phases of {phase_s:g} s" for phase_s in phases_s)]]
    for name, node in nodes.items():
        cells = [errors(replace(node, phase_s=phase_s), seeds) for phase_s in phases_s]
        rows.append([name, *(" / ".join(percent(error) for error in cell) for cell in cells)])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def percent(share: float) -> str:
    """A share in per cent, with 2 significant digits."""
    if share < 5e-5:
        return "< 0.01 %"
    return f"{share:.0%}".replace("%", " %") if share >= 0.0995 else f"{100 * share:.2g} %"


def draw(path: Path, seeds: Sequence[int]) -> None:
    """Plot the error per account against the length of phases; the same figures give the same bytes."""
    lines = {
        "no assumption violated": (ASSUMPTIONS["none"], None),
        "usage up to 0.2 s late": (ASSUMPTIONS["usage read up to 0.2 s after energy"], None),
        "usage up to 1 s late": (ASSUMPTIONS["usage read up to 1 s after energy"], None),
        "validation +20 % watts": (ASSUMPTIONS["validation draws 20 % more watts"], None),
        "cubic CPU model": (ASSUMPTIONS["cubic CPU model (CodeCarbon)"], None),
        "noise 5 %": (ASSUMPTIONS["meter noise 5 % an interval"], None),
        "GPU, fitted power": (GPU, GPU_COMPONENT),
    }
    with plt.rc_context({"svg.hashsalt": "nas-auditor", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
        for (name, (node, component)), marker in zip(lines.items(), "osv^DPX", strict=True):
            values = [errors(replace(node, phase_s=phase_s), seeds, component)[1] for phase_s in PHASES_S]
            axes.plot(PHASES_S, [max(100 * v, 0.001) for v in values], marker=marker, markersize=4, label=name)
        axes.axhline(2.0, color="black", linestyle="--", linewidth=0.8, label="promised: at most 2 %")
        axes.set(xscale="log", yscale="log", xlabel="length of phases in s (intervals of 1 s)")
        axes.set_ylabel("error per phase in % of dynamic energy")
        axes.set_yticks([0.001, 0.01, 0.1, 1, 10, 100], ["≤ 0.001", "0.01", "0.1", "1", "10", "100"])
        axes.set_xticks(PHASES_S, [f"{phase_s:g}" for phase_s in PHASES_S])
        axes.minorticks_off()
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
