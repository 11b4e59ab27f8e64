"""``OptunaCallback``: the one line that puts an existing Optuna study on the books."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from auditor.domain.study import TrialState
from auditor.metering.folder import StudyFolder
from auditor.training.trials import TrialBooks

ENERGY = "auditor:energy_j"
"""User attribute of a trial: joules."""

BASIS = "auditor:energy_basis"
"""User attribute of a trial: how the joules are known, ``metered``, ``estimated`` or ``unknown``."""

FOLDER = "auditor:folder"
"""User attribute of a study: its study folder, so that a study that goes on goes on there."""

_STATES = {
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_UNNAMED = re.compile(r"no-name-[0-9a-f-]{36}")


class OptunaCallback:
    """Books every trial of a study: ``study.optimize(objective, callbacks=[OptunaCallback(study)])``.

    The objective may be anything, with ``n_jobs`` above 1 too. Each trial gets its energy in joules as user attribute
    ``auditor:energy_j``, which the Optuna dashboard shows, and what the sampler takes has an account of its own. Where
    an objective trains with Lightning, ``AuditCallback`` in its Trainer marks the phases of the trial. The books close
    with :meth:`close`, when nothing refers to the callback any more, when no trial has begun for some seconds, or with
    the program; a trial that begins later goes on with them.

    A study never fails for it: what goes wrong in the auditor is logged once and becomes a finding.

    Args:
        study: The study that is optimised.
        name: Name of the study folder's study. Default: the name of the study, or ``optuna`` where it has none.
        folder: Study folder. Default: where the study was booked before, if that is still there, or else the first of
            ``auditor-runs/<name>``, ``auditor-runs/<name>-2``, … that is not there yet.
        meters: Names of the meters (``auditor plugins`` lists them), where no node agent runs yet.
        interval_s: Seconds between readings, likewise.
        gpus: Indices of the GPUs that the trials use, as CUDA counts those that are visible. Default: all that
            ``CUDA_VISIBLE_DEVICES`` names; none where it is not set.

    Raises:
        InputError: the name or the folder can't be used.
    """

    def __init__(
        self,
        study: Study,
        *,
        name: str | None = None,
        folder: str | Path | None = None,
        meters: Sequence[str] = ("auto",),
        interval_s: float = 1.0,
        gpus: Sequence[int] | None = None,
    ) -> None:
        single = len(study.directions) == 1
        direction = {StudyDirection.MAXIMIZE: "maximize", StudyDirection.MINIMIZE: "minimize"}
        names = study.metric_names
        sampler = study.sampler.inner if isinstance(study.sampler, BookedSampler) else study.sampler
        given = name or _name_of(study)
        self._books = books = TrialBooks(
            given,
            metric=(names[0] if names else "value") if single else "",
            direction=direction.get(study.directions[0], "") if single else "",
            sampler=type(sampler).__name__,
            folder=folder or _folder_of(study, given),
            meters=meters,
            interval_s=interval_s,
            gpus=gpus,
        )
        with books.guarded("opening the books"):
            books.start()
        books.wait_for_meter()
        with books.guarded("the sampler"):
            study.sampler = BookedSampler(sampler, books)
        with books.guarded("the study's attribute"):
            if books.folder is not None:
                study.set_user_attr(FOLDER, str(books.folder.path))
        self._finish: Callable[[], Any] = weakref.finalize(self, _finish, study, books)

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Called by Optuna after each trial; all is booked by then, unless the study got another sampler meanwhile."""
        if not isinstance(study.sampler, BookedSampler):
            self._books.fault("booking trials", "the study was given another sampler; its trials are not on the books")

    @property
    def study_folder(self) -> Path | None:
        """Where the books lie; ``None`` where they could not be opened."""
        return None if self._books.folder is None else self._books.folder.path

    def close(self) -> None:
        """Close the books now; may be called twice."""
        self._finish()


class BookedSampler(BaseSampler):
    """A sampler that also tells some books when trials begin and end, and what it takes itself.

    Everything else is the sampler's own: its attributes are reached through this, and pickling it pickles the sampler.

    Args:
        inner: The sampler.
        books: The books.
    """

    def __init__(self, inner: BaseSampler, books: TrialBooks) -> None:
        self.inner = inner
        self._books = books

    def __getattr__(self, name: str) -> Any:
        if name in {"inner", "_books"}:  # while it is being made
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[BaseSampler]]:
        return _itself, (self.inner,)

    def __str__(self) -> str:
        return str(self.inner)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Any:
        """As the sampler does."""
        with self._books.sampling():
            return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Any) -> Any:
        """As the sampler does."""
        with self._books.sampling():
            return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """As the sampler does."""
        with self._books.sampling():
            return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """The trial begins."""
        self._books.begin_trial(trial.number)
        with self._books.sampling():
            self.inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: OptunaState, values: Sequence[float] | None) -> None:
        """The trial ended, and can still be given attributes."""
        books = self._books
        with books.guarded("the energy of a trial"):
            energy = books.trial_energy(trial.number)
            for key, told in ((ENERGY, energy.energy_j), (BASIS, energy.basis)):
                study._storage.set_trial_user_attr(trial._trial_id, key, told)
        try:
            with books.sampling():
                self.inner.after_trial(study, trial, state, values)
        finally:
            books.end_trial(
                trial.number,
                _STATES.get(state, TrialState.FAILED),
                value=values[0] if values is not None and len(values) == 1 else None,
                params=trial.params,
                error=str(trial.system_attrs.get("fail_reason", "")) if state is OptunaState.FAIL else "",
            )
            books.stop_when_idle()

    def reseed_rng(self) -> None:
        """As the sampler does."""
        self.inner.reseed_rng()


def _itself(sampler: BaseSampler) -> BaseSampler:
    return sampler


def _finish(study: Study, books: TrialBooks) -> None:
    """Give the study its own sampler back, and close its books."""
    if isinstance(study.sampler, BookedSampler) and study.sampler._books is books:
        study.sampler = study.sampler.inner
    books.stop()


def _name_of(study: Study) -> str:
    if _UNNAMED.fullmatch(study.study_name):
        return "optuna"
    return _UNFIT.sub("-", study.study_name).strip("-._") or "optuna"


def _folder_of(study: Study, name: str) -> str | None:
    """Where the study was booked before, if it is still there."""
    kept = study.user_attrs.get(FOLDER)
    if not isinstance(kept, str):
        return None
    folder = StudyFolder(Path(kept))
    return kept if folder.exists() and folder.read_study().study.get("name") == name else None
