"""nas-auditor: what a search really cost, and whether the accuracy it bought was worth it.

Public names are imported when they are first used, so that ``import auditor`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditor.domain.errors import AuditorError, InputError
    from auditor.domain.study import StudyRecord
    from auditor.importers.folder import open_study
    from auditor.training.audit import Audit, audit
    from auditor.training.callback import AuditCallback
    from auditor.training.optuna import OptunaCallback
    from auditor.training.space import LightningSpace
    from auditor.training.trials import TrialBooks
    from auditor.training.workers import NodeBooks

_PUBLIC = {
    "Audit": ("auditor.training.audit", "Audit"),
    "AuditCallback": ("auditor.training.callback", "AuditCallback"),
    "AuditorError": ("auditor.domain.errors", "AuditorError"),
    "InputError": ("auditor.domain.errors", "InputError"),
    "LightningSpace": ("auditor.training.space", "LightningSpace"),
    "NodeBooks": ("auditor.training.workers", "NodeBooks"),
    "OptunaCallback": ("auditor.training.optuna", "OptunaCallback"),
    "StudyRecord": ("auditor.domain.study", "StudyRecord"),
    "TrialBooks": ("auditor.training.trials", "TrialBooks"),
    "audit": ("auditor.training.audit", "audit"),
    "open_study": ("auditor.importers.folder", "open_study"),
}

__all__ = [
    "Audit",
    "AuditCallback",
    "AuditorError",
    "InputError",
    "LightningSpace",
    "NodeBooks",
    "OptunaCallback",
    "StudyRecord",
    "TrialBooks",
    "audit",
    "open_study",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'auditor' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
