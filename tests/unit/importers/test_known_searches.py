"""A search whose cost was published twice: as it was first estimated, and as it really ran.

Strubell et al., "Energy and policy considerations for deep learning in NLP", ACL 2019; Patterson et al., "Carbon
emissions and large neural network training", arXiv:2104.10350 (2021).
"""

from __future__ import annotations

from typing import Any

import pytest

from auditor.domain.imported import ImportedStudy, ImportedTrial, Power, Told
from auditor.domain.parameters import CarbonFactor, Parameters
from auditor.domain.study import TrialState
from auditor.importers.record import record_of
from auditor.statement.build import build_statement

HOUR_S = 3600.0
G_PER_LB = 453.59237


def searched(hours: float, watts: float, *, pue: float, g_per_kwh: float) -> dict[str, Any]:
    """The statement of a search of one trial that ran for so long at so much power."""
    trial = ImportedTrial(number=0, state=TrialState.COMPLETE, value=0.5, duration_s=hours * HOUR_S)
    study = ImportedStudy(name="evolved", metric="acc", direction="maximize", trials=(trial,), source="published")
    power = Power(low_w=watts, typical_w=watts, high_w=watts, detail="as published")
    parameters = Parameters(pue=pue, factor=CarbonFactor(g_per_kwh=g_per_kwh, source="published"))
    return build_statement(record_of(study, Told(power=power), "u"), parameters, version="1")


def test_as_it_was_estimated() -> None:
    found = searched(274_120, 1515.43, pue=1.58, g_per_kwh=0.954 * G_PER_LB)
    assert found["carbon"]["kwh"] * 1.58 == pytest.approx(656_347, abs=1)
    assert found["carbon"]["location_based_g"] / G_PER_LB == pytest.approx(626_155, abs=1)


def test_as_it_really_ran() -> None:
    found = searched(6.8 * 24 * 200, 208, pue=1.10, g_per_kwh=431)
    tonnes = found["carbon"]["location_based_g"] / 1e6
    assert found["carbon"]["kwh"] * 1.10 == pytest.approx(7468, abs=1)
    assert tonnes == pytest.approx(3.2, abs=0.05)
    assert 284 / tonnes == pytest.approx(88, abs=1)
