"""Account names: where a microjoule can go.

Every name is built here and taken apart here, so that the scheme stands in one place::

    study/<study>/trial/<number>/<attempt>/<phase>
    study/<study>/baseline/<name>/<phase>            random-<draw> for each draw of the random arm
    study/<study>/evaluation/<subject>-<seed>/<phase>   -inference-<block> behind it for each block of inference
        with -2, -3, … behind the seed for further trainings on it: a retry, or another winner
    study/<study>/training/<run>/<phase>
    study/<study>/search/{sampler,tracking,orchestration}
    study/<study>/audit
    node/<node>/{idle,foreign,unexplained}

Studies that ran elsewhere have names of any kind: ``%`` and ``/`` in a name are written ``%25`` and ``%2F``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What a training is doing."""

    SETUP = "setup"
    TRAIN = "train"
    VALIDATE = "validate"
    CHECKPOINT = "checkpoint"
    TEST = "test"
    PREDICT = "predict"
    TEARDOWN = "teardown"


def _written(name: str) -> str:
    """A name as a part of an account name."""
    return name.replace("%", "%25").replace("/", "%2F") if "%" in name or "/" in name else name


def _read(part: str) -> str:
    """The name that a part of an account name stands for."""
    return part.replace("%2F", "/").replace("%25", "%") if "%" in part else part


def trial_account(study: str, number: int, attempt: int) -> str:
    """Account of one attempt of a trial, without its phase."""
    return f"study/{_written(study)}/trial/{number}/{attempt}"


def baseline_account(study: str, name: str) -> str:
    """Account of a baseline, without its phase."""
    return f"study/{_written(study)}/baseline/{_written(name)}"


def draw_subject(draw: int) -> str:
    """Subject of a draw of the random arm, whose accounts are those of a baseline."""
    return f"random-{draw}"


def is_draw(subject: str) -> bool:
    """Whether the subject of a baseline is a draw of the random arm."""
    return subject.startswith("random-") and subject.removeprefix("random-").isdecimal()


def evaluated(subject: str, seed: int) -> str:
    """Subject of the retraining of ``winner`` or ``default`` on a seed: each has an account of its own."""
    return f"{subject}-{seed}"


def inferred(retraining: str, block: int) -> str:
    """Subject, or account, of a block of inference after the retraining of that subject, or account."""
    return f"{retraining}-inference-{block}"


def evaluation_account(study: str, subject: str) -> str:
    """Account of a retraining, without its phase."""
    return f"study/{_written(study)}/evaluation/{subject}"


def training_account(study: str, run: str) -> str:
    """Account of a plain training, without its phase."""
    return f"study/{_written(study)}/training/{run}"


def search_account(study: str, part: str) -> str:
    """Account of the search's own work: ``sampler``, ``tracking`` or ``orchestration``."""
    return f"study/{_written(study)}/search/{part}"


def audit_account(study: str) -> str:
    """Account of the auditor itself."""
    return f"study/{_written(study)}/audit"


def node_account(node: str, part: str) -> str:
    """Account of what belongs to no study: ``idle``, ``foreign`` or ``unexplained``."""
    return f"node/{node}/{part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountName:
    """An account name taken apart.

    Attributes:
        owner: ``study`` or ``node``.
        name: The study's or node's name.
        kind: ``trial``, ``baseline``, ``evaluation``, ``training``, ``search``, ``audit``; for a node ``idle``,
            ``foreign`` or ``unexplained``.
        subject: Trial number, baseline's name, evaluated subject or part of the search; empty where there is none.
        attempt: Attempt of a trial, counted from 1; 0 for other accounts.
        phase: Phase of a training; empty where there is none.
    """

    owner: str
    name: str
    kind: str
    subject: str = ""
    attempt: int = 0
    phase: str = ""


def parse_account(account: str) -> AccountName:
    """Take an account name apart.

    Raises:
        ValueError: the name does not follow the scheme of this module.
    """
    owner, name, kind, *rest = parts if len(parts := account.split("/")) >= 3 else ("", "", "")
    if owner == "node" and kind in {"idle", "foreign", "unexplained"} and not rest:
        return AccountName(owner=owner, name=name, kind=kind)
    if owner == "study":
        name = _read(name)
        if kind == "audit" and not rest:
            return AccountName(owner=owner, name=name, kind=kind)
        if kind == "search" and len(rest) == 1:
            return AccountName(owner=owner, name=name, kind=kind, subject=rest[0])
        if kind == "trial" and len(rest) in {2, 3} and rest[0].isdecimal() and rest[1].isdecimal():
            return AccountName(
                owner=owner,
                name=name,
                kind=kind,
                subject=rest[0],
                attempt=int(rest[1]),
                phase=rest[2] if len(rest) == 3 else "",
            )
        if kind in {"baseline", "evaluation", "training"} and len(rest) in {1, 2}:
            return AccountName(
                owner=owner, name=name, kind=kind, subject=_read(rest[0]), phase=rest[1] if len(rest) == 2 else ""
            )
    raise ValueError(f"'{account}' is no account name: expected study/<study>/… or node/<node>/…")
