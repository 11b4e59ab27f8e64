"""Statements to render: a full one, one with nothing known, one with hostile names."""

from __future__ import annotations

from typing import Any

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "[red]not markup[/red]",
    "a|b`c`*d*_e_ [link](https://evil.example)",
    "two\nlines\r\n# heading",
    "right\u202eto left",
    "bell\x07 and \x1b[31mred",
    "{{ 7 * 7 }} {% raw %}",
    "line\u2028separator",
    "lone \ud800 surrogate",
)


def full_statement() -> dict[str, Any]:
    """A study in which everything was computed, with books that balance."""
    accounts = {
        "study/digits-cnn/trial/0/1/setup": 11_111_111,
        "study/digits-cnn/trial/0/1/train": 1_250_000_000,
        "study/digits-cnn/trial/0/1/validate": 189_888_889,
        "study/digits-cnn/trial/3/1/train": 20_000_000,
        "study/digits-cnn/trial/3/2/train": 295_911_744,
        "study/digits-cnn/baseline/default/train": 89_743_590,
        "study/digits-cnn/baseline/svc/train": 3_344_666,
        "study/digits-cnn/evaluation/winner/train": 150_000_000,
        "study/digits-cnn/search/sampler": 12_345_678,
        "study/digits-cnn/search/tracking": 50_000_000,
        "study/digits-cnn/search/orchestration": 360_000_000,
        "study/digits-cnn/audit": 9_000_000,
        "node/box1/idle": 1_000_000,
        "node/box1/foreign": 70_000_000,
        "node/box1/unexplained": 0,
    }
    metered_uj = sum(accounts.values())
    return {
        "schema": "auditor.statement/1",
        "generated": {"auditor": "0.1.0", "books_closed_at": "2001-01-01T10:01:40.000000Z"},
        "study": {
            "uuid": "6d0e6a1e-0000-4000-8000-000000000000",
            "name": "digits-cnn",
            "kind": "search",
            "space": "digits_cnn",
            "sampler": "tpe",
            "metric": "val_acc",
            "test_metric": "test_acc",
            "direction": "maximize",
            "imported": False,
        },
        "verdict": {
            "grade": "not shown",
            "worth": {"gain": 0.0, "cost": None, "currency": "EUR"},
            "sentence": "Not shown to be worth it: on test the winner is +0.004 over the default.",
            "reasons": ["the interval includes no gain at all"],
            "next": "Ship svc; about 18 seeds each would settle it.",
        },
        "measurement": {"grade": "limited", "reasons": ["cpu is modelled from load and rated power"]},
        "findings": [
            {
                "code": "not-computed",
                "severity": "info",
                "message": "pareto is not computed by this version.",
            },
            {
                "code": "no-price",
                "severity": "info",
                "message": "cost.energy is null: no price per kWh was given (cost.price_per_kwh).",
            },
            {
                "code": "meter-gap",
                "severity": "warning",
                "message": "box1 was not metered for 1.2 s.",
            },
        ],
        "energy": {
            "metered_uj": metered_uj,
            "charged_uj": metered_uj,
            "residual_uj": 0,
            "coverage": 0.9987,
            "accounts": accounts,
            "search_uj": 2_198_257_422,
            "baselines_uj": 93_088_256,
            "evaluation_uj": 150_000_000,
            "outside_uj": 71_000_000,
            "times_default": 24.5,
            "by_state": {
                "complete": 1_500_000_000,
                "pruned": 246_911_744,
                "failed": 0,
                "lost": 20_000_000,
                "running": 0,
            },
            "provenance": {"cpu": "modelled", "ram": "constant"},
            "components": [
                {
                    "node": "box1",
                    "component": "cpu",
                    "meter": "codecarbon",
                    "provenance": "modelled",
                    "meaning": "modelled from load and rated power",
                    "metered_uj": 452_345_678,
                    "share": 0.18,
                    "static_w": 1.2,
                    "static_source": "model",
                    "detail": "codecarbon cpu_load, TDP 12 W",
                },
                {
                    "node": "box1",
                    "component": "ram",
                    "meter": "codecarbon",
                    "provenance": "constant",
                    "meaning": "a constant assumed for this hardware",
                    "metered_uj": 2_060_000_000,
                    "share": 0.82,
                    "static_w": None,
                    "static_source": None,
                    "detail": "3 W for each 8 GB",
                },
            ],
            "range": {"low_j": 2210.5, "high_j": 3106.0, "basis": "cpu: idle to rated power"},
            "policy": "reserved",
            "policies": [
                {
                    "policy": policy,
                    "trials_uj": trials_uj,
                    "search_uj": search_uj,
                    "baselines_uj": 80_000_000,
                    "evaluation_uj": 90_000_000,
                    "outside_uj": 2_700_000_000 - search_uj - 170_000_000,
                }
                for policy, trials_uj, search_uj in (
                    ("reserved", 1_600_000_000, 1_900_000_000),
                    ("direct", 700_000_000, 800_000_000),
                )
            ],
            "boundary": {
                "included": ["trials: complete, pruned, failed and lost", "the auditor itself"],
                "excluded": ["network and storage elsewhere"],
                "pue_inside": False,
            },
            "unmetered_start_s": 2.1,
            "after_seal_s": 1.3,
            "window": [
                {
                    "node": "box1",
                    "start": "2001-01-01T10:00:00.000000Z",
                    "end": "2001-01-01T10:01:40.000000Z",
                }
            ],
        },
        "compute": {
            "wall_s": 100.0,
            "device_s": {"cpu": 195.2},
            "cpu_s": 180.1,
            "flops": 1_234_567_890_123,
            "flops_coverage": {"counted": 26, "of": 27, "uncounted_ops": ["aten.native_batch_norm"]},
        },
        "trials": {
            "total": 24,
            "complete": 18,
            "pruned": 5,
            "failed": 1,
            "lost": 0,
            "running": 0,
            "attempts": 25,
            "duplicates": 1,
        },
        "trainings": [],
        "gain": {
            "metric": "val_acc",
            "test_metric": "test_acc",
            "baseline": {"name": "default", "value": 0.971, "test_value": 0.977},
            "best": {"trial": 17, "value": 0.989, "test_value": 0.981, "params": {"channels": 32}},
            "best_alternative": {"name": "svc", "test_value": 0.986, "energy_j": 3.1},
            "alternatives_tried": [
                {"name": "svc", "value": 0.988, "test_value": 0.986, "energy_j": 3.1},
                {"name": "logistic_regression", "value": 0.96, "test_value": 0.955, "energy_j": 4.0},
            ],
            "delta": 0.018,
            "delta_test": 0.004,
            "ci95": [-0.010, 0.018],
            "test_sampling": {"difference": 0.004, "ci95": [-0.011, 0.02], "examples": 297},
            "seeds": 5,
            "p_better": 0.68,
            "detectable": 0.021,
            "optimism": 0.006,
            "optimism_basis": "fresh seeds",
            "validation_test_shift": None,
            "winner_values": [0.978, 0.974, 0.976, 0.975, 0.972],
            "winner_test_values": [0.98, 0.982, 0.981, 0.979, 0.983],
            "baseline_test_values": [0.975, 0.978, 0.977, 0.976, 0.979],
        },
        "incumbents": [
            {"trial": 0, "cumulative_j": 120.5, "value": 0.91},
            {"trial": 4, "cumulative_j": 400.0, "value": 0.96},
            {"trial": 17, "cumulative_j": 1500.2, "value": 0.989},
        ],
        "marginal": [
            {"from_trial": 0, "to_trial": 4, "joules": 279.5, "gain": 0.05},
            {"from_trial": 4, "to_trial": 17, "joules": 1100.2, "gain": 0.029},
        ],
        "tail_share": 0.3,
        "expected_max": [
            {"n": 1, "tang": 0.931, "dodge": 0.931, "low": 0.90, "high": 0.96, "energy_j": 90.0, "at_energy": 0.925},
            {"n": 2, "tang": 0.947, "dodge": 0.944, "low": 0.91, "high": 0.97, "energy_j": 180.0, "at_energy": 0.944},
            {"n": 4, "tang": 0.962, "dodge": 0.956, "low": 0.93, "high": None, "energy_j": 360.0, "at_energy": 0.962},
        ],
        "expected_max_basis": {"source": "the random arm", "draws": 4, "without_value": 1, "start": 0.973},
        "random_arm": {
            "energy_j": 180.0,
            "best": 0.971,
            "random": 0.955,
            "delta": 0.016,
            "ci95": None,
            "draws": 4,
            "total_j": 360.0,
            "relative_percent": 4.4,
            "relative_error_percent": 61.0,
            "course": {
                "search": [{"energy_j": 40.0, "value": 0.955}, {"energy_j": 120.0, "value": 0.971}],
                "arm": [{"energy_j": 90.0, "value": 0.93}, {"energy_j": 170.0, "value": 0.955}],
            },
        },
        "pareto": [
            {"trial": 0, "value": 0.981, "values": None, "energy_j": 1450.0},
            {"trial": 3, "value": 0.964, "values": None, "energy_j": 295.9},
        ],
        "hypervolume": None,
        "proxy": {
            "step": 1,
            "spearman": 0.62,
            "ci95": [0.21, 0.85],
            "survivors": 16,
            "pruned": 8,
            "false_prune": None,
        },
        "inference": [
            {
                "subject": "default",
                "energy_j": 0.00026,
                "ci95": [0.00025, 0.00027],
                "blocks": 4,
                "samples": 40_000,
                "batch_size": 300,
            },
            {
                "subject": "winner",
                "energy_j": 0.00007,
                "ci95": [0.000068, 0.000072],
                "blocks": 4,
                "samples": 160_000,
                "batch_size": 300,
            },
        ],
        "alternatives": None,
        "break_even": {
            "inference": {
                "n": 11_300_000.0,
                "low": 10_600_000.0,
                "high": 12_100_000.0,
                "status": "established",
                "equal_accuracy": True,
            },
            "trainings": {
                "n": None,
                "low": None,
                "high": None,
                "status": "not-established",
                "equal_accuracy": True,
                "base_j": 30.0,
                "new_j": 29.5,
            },
            "tasks": None,
            "reuse": 74.4,
            "energy_per_gain_j": 548_550.0,
            "cost_per_gain": None,
        },
        "carbon": {
            "kwh": 0.000697,
            "pue": 1.0,
            "factor": {
                "g_per_kwh": 56.0,
                "source": "CodeCarbon 3.3.2, global_energy_mix.json",
                "year": 2023,
                "kind": "average",
                "scope": "FRA",
            },
            "location_based_g": 0.039,
            "market_based_g": None,
            "embodied_g": None,
        },
        "cost": {
            "energy": None,
            "device_hours": None,
            "total": None,
            "currency": "EUR",
            "price_per_kwh": None,
            "price_per_device_hour": None,
        },
    }


def sparse_statement() -> dict[str, Any]:
    """A study that was interrupted before its first trial ended: every figure is null."""
    statement = _without_figures(full_statement())
    names = {"name": "cut-short", "space": "digits_cnn", "sampler": "tpe", "metric": "val_acc"}
    no_trial = {"total": 0, "complete": 0, "pruned": 0, "failed": 0, "lost": 0, "running": 0, "attempts": 0}
    return statement | {
        "study": statement["study"] | names,
        "verdict": {
            "grade": "cannot say",
            "worth": None,
            "sentence": "Cannot say: no trial was completed.",
            "reasons": [],
            "next": None,
        },
        "trials": no_trial,
        "gain": None,
        "findings": [
            {"code": "no-gain", "severity": "warning", "message": "gain is null: no trial was completed."},
            {
                "code": "no-location",
                "severity": "warning",
                "message": "carbon.location_based_g and carbon.factor are null: no country was given.",
            },
        ],
    }


def training_statement() -> dict[str, Any]:
    """A plain training of two runs, the second killed, the first gone on from elsewhere, with a phase of its own."""
    accounts = {
        "study/digits-cnn/training/0/setup": 100_000_000,
        "study/digits-cnn/training/0/train": 8_000_000_000,
        "study/digits-cnn/training/0/validate": 1_200_000_000,
        "study/digits-cnn/training/0/augment": 500_000_000,
        "study/digits-cnn/training/0": 100_000_000,
        "study/digits-cnn/training/1/train": 50_000_000,
        "study/digits-cnn/audit": 50_000_000,
        "node/box1/idle": 70_000_000,
    }
    statement = full_statement()
    nothing = dict.fromkeys(("space", "sampler", "metric", "test_metric", "direction"))
    statement["study"] |= nothing | {"kind": "training"}
    statement |= dict.fromkeys(
        ("expected_max", "expected_max_basis", "random_arm", "pareto", "proxy", "inference", "break_even")
    )
    statement["verdict"] |= {
        "grade": "cannot say",
        "sentence": "2 trainings, not a search: they used 10 kJ in 3 min 20 s; 80.5 % went to train.",
        "reasons": ["Nothing was searched."],
        "next": "To judge an architecture or its settings, compare it with others: auditor search.",
    }
    statement["findings"] = [
        {
            "code": "training-only",
            "severity": "info",
            "message": "gain, tail_share and energy.times_default are null, incumbents and marginal are empty: this is "
            "a plain training, nothing was searched.",
        },
        {"code": "no-price", "severity": "info", "message": "cost.energy and cost.total are null: no price."},
    ]
    statement["energy"] |= {
        "metered_uj": sum(accounts.values()),
        "charged_uj": sum(accounts.values()),
        "accounts": accounts,
        "search_uj": 10_000_000_000,
        "baselines_uj": 0,
        "evaluation_uj": 0,
        "outside_uj": 70_000_000,
        "times_default": None,
        "by_state": dict.fromkeys(statement["energy"]["by_state"], 0),
    }
    statement["trials"] = dict.fromkeys(statement["trials"], 0)
    statement["trainings"] = [
        {
            "run": "0",
            "state": "failed",
            "start": "2001-01-01T10:00:00.000000Z",
            "wall_s": 200.0,
            "energy_uj": 9_900_000_000,
            "phases": {
                "setup": 100_000_000,
                "train": 8_000_000_000,
                "validate": 1_200_000_000,
                "augment": 500_000_000,
                "other": 100_000_000,
            },
            "carried_uj": 15_000_000_000,
            "carried_from": ["runs/a", "runs/b"],
            "flops": 1_234_567_890_123,
            "error": "RuntimeError: out of memory",
        },
        {
            "run": "1",
            "state": "lost",
            "start": None,
            "wall_s": None,
            "energy_uj": 50_000_000,
            "phases": {"train": 50_000_000},
            "carried_uj": 0,
            "carried_from": [],
            "flops": None,
            "error": "",
        },
    ]
    statement |= {"gain": None, "incumbents": [], "marginal": [], "tail_share": None}
    return statement


def hostile_statement(name: str, statement: dict[str, Any] | None = None) -> dict[str, Any]:
    """The full statement, or another, with a hostile text for every name and sentence in it, keys included."""
    whole = full_statement() if statement is None else statement
    books = whole["energy"]["accounts"]
    keep = {"grade", "severity", "direction", "provenance", "kind"}
    statement = _replaced(whole, name, keep)
    statement["energy"]["accounts"] = {
        account.replace("digits-cnn", name).replace("svc", name): energy_uj for account, energy_uj in books.items()
    }
    statement["energy"]["provenance"] = {name: "modelled"}
    statement["compute"]["device_s"] = {name: 12.0}
    for run in statement["trainings"]:
        run["phases"] = {phase.replace("augment", name): uj for phase, uj in run["phases"].items()}
    return statement


def _without_figures(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_figures(part) for key, part in value.items()}
    return [] if isinstance(value, list) else None


def _replaced(value: Any, name: str, keep: set[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: part if key in keep and isinstance(part, str) else _replaced(part, name, keep)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_replaced(part, name, keep) for part in value]
    return name if isinstance(value, str) else value
