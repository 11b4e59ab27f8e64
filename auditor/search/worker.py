"""A worker: one warm process that runs many trainings."""

from __future__ import annotations

import gc
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auditor.domain.accounts import inferred, search_account
from auditor.domain.study import InferenceBlock
from auditor.metering.activity import Activity
from auditor.metering.folder import StudyFolder
from auditor.metering.runtime import share_runtime_dir
from auditor.search.jobs import Job, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker needs to know.

    Attributes:
        folder: The study folder.
        study: Name of the study.
        uuid: Its identity.
        space: Name or ``module:attribute`` of the space.
        max_epochs: Epochs of a training.
        cpus: CPU slots the worker holds.
        gpus: GPU slots the worker holds.
        prunes: Whether the answer to a report matters: with no pruner nobody waits for it.
        import_path: Folder the search was started in, where the user's modules are.
        runtime: Runtime folder of the driver's machine, and its boot id.
    """

    folder: Path
    study: str
    uuid: str
    space: str
    max_epochs: int
    cpus: float
    gpus: float
    prunes: bool
    import_path: str
    runtime: tuple[str, str]


class Worker:
    """Runs the trainings that a coordinator hands out; a Ray actor, kept warm."""

    def __init__(self, name: str, settings: WorkerSettings) -> None:
        """Register with the node agent, so that the imports are on the books too."""
        self._name = name
        self._settings = settings
        share_runtime_dir(*settings.runtime)
        self._activity = Activity(
            StudyFolder(settings.folder).journals,
            settings.uuid,
            search_account(settings.study, "orchestration"),
            cpu_slots=settings.cpus,
            gpu_slots=settings.gpus,
        )

    def run(self, coordinator: Any) -> None:
        """Pull trainings until the search is over."""
        import ray

        for variable in [v for v in os.environ if v.startswith("SLURM_")]:
            del os.environ[variable]  # Lightning would requeue the whole job
        if self._settings.import_path not in sys.path:
            sys.path.insert(0, self._settings.import_path)

        gc.disable()  # what is imported stays: collecting it again and again costs a third of the imports
        import torch

        from auditor.search.space import load_space
        from auditor.training.classical import CLASSICAL, run_classical
        from auditor.training.trial import quiet_lightning, run_training, warm_up

        quiet_lightning()
        torch.set_num_threads(max(1, int(self._settings.cpus)))
        space = load_space(self._settings.space)
        warm_up(space)
        gc.freeze()
        gc.enable()
        result = None
        while True:
            job: Job | Wait | None = ray.get(coordinator.exchange.remote(self._name, result))
            result = None
            if job is None:
                break
            if isinstance(job, Wait):
                time.sleep(job.seconds)
                continue
            if job.kind == "baseline" and job.name in CLASSICAL:
                result = run_classical(job.name, space, seed=job.seed, activity=self._activity, account=job.account)
            else:

                def report(step: int, value: float, job: Job = job) -> bool:
                    reference = coordinator.report.remote(job.trial, job.attempt, step, value)
                    return bool(ray.get(reference)) if self._settings.prunes else False

                result = run_training(
                    space,
                    job.params,
                    seed=job.seed,
                    max_epochs=self._settings.max_epochs,
                    activity=self._activity,
                    account=job.account,
                    gpus=1 if self._settings.gpus > 0 else 0,
                    report=report if job.kind == "trial" else None,
                    test=job.test,
                    infer=partial(self._infer, job) if job.inference_s > 0 else None,
                )
        self._activity.close()

    def _infer(self, job: Job, module: Any, loader: Any) -> tuple[InferenceBlock, ...]:
        from auditor.metering.live import EnergyNow
        from auditor.training.inference import measure_inference

        with self._activity.working_for(self._activity.audit_account):
            energy_j = EnergyNow(StudyFolder(self._settings.folder))
        return measure_inference(
            module,
            loader,
            activity=self._activity,
            account=lambda block: inferred(job.account, block),
            energy_j=energy_j,
            most_s=job.inference_s,
        )
