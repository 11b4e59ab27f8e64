"""What the gain section lacks, why, and what would give it."""

from __future__ import annotations

from auditor.domain.study import Finding, Run, StudyRecord, TrialState
from auditor.statement.advice import SEEDS_ADVISED, Advice, advice_on
from auditor.statement.course import ranked_trials
from auditor.statement.gain import Gain, completed_baselines
from auditor.statement.objections import info, warning
from auditor.statement.values import counted, finite

_ERROR_CHARACTERS = 160


def gain_findings(record: StudyRecord, gain: Gain) -> list[Finding]:
    """Findings on the comparison of winner and default."""
    advice = advice_on(record)
    return [
        *_trials(record, gain),
        *_default(record, gain, advice),
        *_tests(record, gain, advice),
        *_seeds(gain, advice),
        *_alternatives(gain, advice),
        *_failures(record, "evaluation"),
        *_failures(record, "baseline"),
    ]


def _trials(record: StudyRecord, gain: Gain) -> list[Finding]:
    found = []
    if gain.best is None:
        why = (
            f"the study has {len(record.directions)} objectives, so no single trial is the best"
            if record.directions
            else f"none of {counted(len(record.trials), 'trial')} completed with a value"
        )
        found.append(
            warning(
                "no-complete-trial",
                f"gain.best.trial, gain.best.value, gain.best.params and gain.delta are null: {why}.",
            )
        )
    odd = [
        trial.number
        for trial in record.trials
        if trial.state is TrialState.COMPLETE and finite(trial.value) is None and not record.directions
    ]
    if odd:
        listed = ", ".join(map(str, odd[:10]))
        found.append(
            warning(
                "non-finite-value",
                f"{counted(len(odd), 'complete trial')} can't be ranked for want of a finite "
                f"{record.metric or 'value'}: {listed}.",
            )
        )
    ranked = {trial.number for trial in ranked_trials(record)}
    short = [
        trial.number
        for trial in record.trials
        if trial.state is TrialState.COMPLETE and finite(trial.value) is not None and trial.number not in ranked
    ]
    if short:
        listed = ", ".join(map(str, short[:10])) + (", …" if len(short) > 10 else "")
        found.append(
            info(
                "low-fidelity",
                f"{counted(len(short), 'complete trial')} can't be the best, trained for less than others: {listed}.",
            )
        )
    outdated = [
        run
        for run in record.runs
        if run.kind == "evaluation"
        and run.name == "winner"
        and gain.best is not None
        and run.trial not in (None, gain.best.number)
    ]
    if outdated and gain.best is not None:
        found.append(
            warning(
                "winner-outdated",
                f"{counted(len(outdated), 'evaluation')} of an earlier winner (trial {outdated[0].trial}) "
                f"left out: the best trial is {gain.best.number}; evaluate it on fresh seeds.",
            )
        )
    return found


def _default(record: StudyRecord, gain: Gain, advice: Advice) -> list[Finding]:
    found = []
    if gain.default_value is None:
        why = (
            f"the baseline default has no finite {record.metric or 'value'}"
            if completed_baselines(record, "default")
            else advice.default
        )
        found.append(warning("no-baseline", f"gain.baseline.value and gain.delta are null: {why}."))
    return found


def _tests(record: StudyRecord, gain: Gain, advice: Advice) -> list[Finding]:
    sides = (("gain.best.test_value", gain.winner_tests), ("gain.baseline.test_value", gain.default_tests))
    without = [key for key, values in sides if not values]
    if not without:
        return []
    why = advice.test_metric if record.test_metric is None else advice.tests
    return [warning("no-test-figure", f"{', '.join(without)} and gain.delta_test are null: {why}.")]


def _seeds(gain: Gain, advice: Advice) -> list[Finding]:
    found = []
    if gain.interval is None:
        found.append(
            warning(
                "too-few-seeds",
                "gain.ci95, gain.p_better and gain.detectable are null: "
                f"{counted(gain.seeds, advice.sample)} on a side, "
                f"where 2 are needed and {SEEDS_ADVISED} advised{advice.seeds}.",
            )
        )
    elif gain.detectable is None:
        found.append(
            warning(
                "no-seed-variance",
                f"gain.detectable is null: {counted(gain.seeds, 'seed')} each gave the same figure, so the "
                "interval has no width and hides chance; check that the seed reaches the training.",
            )
        )
    if gain.optimism is None:
        found.append(
            info(
                "no-fresh-validation",
                "gain.optimism and gain.optimism_basis are null: they need the winner's validation figure on 2 or more "
                "fresh seeds, or test figures of the winner and 3 other trials.",
            )
        )
    elif gain.optimism_basis == "approximate":
        found.append(
            info(
                "optimism-approximate",
                "gain.optimism is approximate: the winner's gap between validation and test less that of the other "
                "trials near the top; fresh seeds of the winner would show it.",
            )
        )
    if gain.sampling is None:
        found.append(info("no-example-scores", f"gain.test_sampling is null: {advice.examples}."))
    if gain.shift is None:
        found.append(
            info(
                "no-validation-test-shift",
                "gain.validation_test_shift is null: it needs test figures of 3 trials other than the winner.",
            )
        )
    return found


def _alternatives(gain: Gain, advice: Advice) -> list[Finding]:
    found = []
    if gain.best_alternative is None:
        found.append(
            info(
                "no-alternative",
                "gain.best_alternative is null: no baseline beside the default has a test figure; "
                f"{advice.alternative}.",
            )
        )
    for alternative in gain.alternatives:
        lacking = [
            key
            for key, value in (
                ("value", alternative.value),
                ("test_value", alternative.test_value),
                ("energy_j", alternative.energy_j),
            )
            if value is None
        ]
        if lacking:
            are = "is" if len(lacking) == 1 else "are"
            where = "gain.best_alternative" if alternative == gain.best_alternative else "gain.alternatives_tried"
            found.append(
                info(
                    "alternative-incomplete",
                    f"{' and '.join(lacking)} of baseline {alternative.name} {are} null in {where}: "
                    f"{advice.alternative_figures}.",
                )
            )
    return found


def _failures(record: StudyRecord, kind: str) -> list[Finding]:
    bad = [run for run in record.runs if run.kind == kind and _is_bad(run)]
    if not bad:
        return []
    of = sum(run.kind == kind for run in record.runs)
    reason = next((run.error.strip().splitlines()[0] for run in bad if run.error.strip()), "")
    cause = f": {reason[:_ERROR_CHARACTERS]}" if reason else ""
    names = ", ".join(dict.fromkeys(run.name for run in bad))
    return [
        warning(
            f"{kind}-failed",
            f"{len(bad)} of {counted(of, kind)} failed or gave no finite figure ({names}){cause}.",
        )
    ]


def _is_bad(run: Run) -> bool:
    given = [value for value in (run.value, run.test_value) if value is not None]
    not_finite = run.state is TrialState.COMPLETE and any(finite(value) is None for value in given)
    return not_finite or run.state in {TrialState.FAILED, TrialState.LOST}
