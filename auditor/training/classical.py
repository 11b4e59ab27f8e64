"""Classical models as baselines: what small data often needs instead of a search."""

from __future__ import annotations

import warnings
from typing import Any

from auditor.domain.accounts import Phase
from auditor.domain.errors import AuditorError, one_line
from auditor.domain.study import TrialState
from auditor.metering.activity import Activity
from auditor.ports import SearchSpace
from auditor.training.result import TrainingResult

CLASSICAL = ("logistic_regression", "svc")
"""Names of the classical baselines."""


def run_classical(name: str, space: SearchSpace, *, seed: int, activity: Activity, account: str) -> TrainingResult:
    """Fit a scikit-learn classifier on the space's arrays, standardised, with the library's default settings.

    Args:
        name: One of :data:`CLASSICAL`.
        space: Gives the arrays and the scorer.
        seed: Random state.
        activity: The marks of this process.
        account: Account of the baseline, without a phase.
    """
    with activity.working_for(f"{account}/{Phase.SETUP.value}"):
        try:
            from sklearn.metrics import get_scorer

            arrays = space.arrays()
            if arrays is None:
                raise AuditorError("the space gives no arrays for classical models")
            model = _make(name, seed)
            score = get_scorer(getattr(space, "scorer", "accuracy"))
            with activity.working_for(f"{account}/{Phase.TRAIN.value}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # convergence notes: the score says it
                model.fit(*arrays["train"])
            with activity.working_for(f"{account}/{Phase.VALIDATE.value}"):
                value = float(score(model, *arrays["validation"]))
            test_value = None
            if "test" in arrays:
                with activity.working_for(f"{account}/{Phase.TEST.value}"):
                    test_value = float(score(model, *arrays["test"]))
        except Exception as error:
            return TrainingResult(state=TrialState.FAILED, error=one_line(error))
    return TrainingResult(state=TrialState.COMPLETE, value=value, test_value=test_value)


def _make(name: str, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    estimators = {
        "logistic_regression": lambda: LogisticRegression(max_iter=1000, random_state=seed),
        "svc": lambda: SVC(random_state=seed),
    }
    return make_pipeline(StandardScaler(), estimators[name]())
