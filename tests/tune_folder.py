"""A folder as Ray Tune leaves it, made by hand, for the tests of importers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

T0_S = 1_700_000_000.0


def trial(
    place: Path,
    number: int,
    results: list[dict[str, Any]],
    *,
    status: str = "TERMINATED",
    stop: dict[str, Any] | None = None,
    state_knows: int | None = None,
) -> list[str]:
    """The files of a trial, and what the state of the experiment says of it (of its first results only)."""
    name = f"f_abc_{number:05d}"
    begin_s = T0_S + 60.0 * number
    rows = [
        {**r, "training_iteration": i, "time_total_s": 10.0 * i, "trial_id": f"abc_{number:05d}", "done": False}
        for i, r in enumerate(results, start=1)
    ]
    (place / name).mkdir(parents=True)
    (place / name / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = rows[: len(rows) if state_knows is None else state_knows]
    about = {
        "trial_id": f"abc_{number:05d}",
        "status": status,
        "config": {"lr": 0.1 * number, "opt": {"<b>": "\u202e|*"}},
        "evaluated_params": {"lr": 0.1 * number, "opt/<b>": "\u202e|*"},
        "stopping_criterion": stop or {},
        "relative_logdir": name,
        "storage": {"_type": "CLOUDPICKLE_FALLBACK", "value": "80054e2e"},
    }
    never = {"_type": "CLOUDPICKLE_FALLBACK", "value": "80054e2e"}
    ran = {
        "start_time": begin_s if known else None,
        "last_result": known[-1] if known else {},
        "last_result_time": begin_s + 10.0 * len(known) + 1.0 if known else float("-inf"),
        "other": never,
    }
    return [json.dumps(about), json.dumps(ran)]


def experiment(place: Path, trials: list[list[str]], metric: str | None = "acc") -> str:
    """The state of an experiment; an older one lies beside it."""
    place.mkdir(parents=True, exist_ok=True)
    state = {"trial_data": trials, "runner_data": {"_metric": metric}, "stats": {}}
    (place / "experiment_state-2024-01-01_00-00-00.json").write_text("{")
    (place / "experiment_state-2024-01-02_00-00-00.json").write_text(json.dumps(state))
    (place / "tuner.pkl").write_bytes(b"\x80\x05never read")
    return str(place)


def steps(*values: float, **more: Any) -> list[dict[str, Any]]:
    """Results of a trial, one a value."""
    return [{"acc": value, "nested": {"test": value / 2}, **more} for value in values]


def usual(place: Path) -> str:
    """Trials that completed, were stopped early, failed, and run; one that never began."""
    return experiment(
        place,
        [
            trial(place, 1, steps(0.9), status="TERMINATED"),
            trial(place, 0, steps(0.1, 0.5, energy_consumed=0.001)),
            trial(place, 2, steps(0.3, 0.4), status="ERROR"),
            trial(place, 3, steps(0.3, float("nan"))),
            trial(place, 4, steps(0.2), status="RUNNING"),
            trial(place, 5, [], status="PENDING"),
        ],
    )
