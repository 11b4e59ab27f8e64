"""For authors of plugins: fakes, and suites a plugin must pass.

Subclass a contract in your own tests and give it a fixture::

    from auditor.testing import MeterContract

    class TestMyMeter(MeterContract):
        @pytest.fixture
        def meter(self):
            return MyMeter()

The contracts need pytest and are imported when they are first used; the fakes need nothing, synthetic nodes need
numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor.testing.clock import FakeClock
from auditor.testing.replay import ReplayMeter

if TYPE_CHECKING:
    from auditor.testing.importers import ImporterContract
    from auditor.testing.meters import MeterContract
    from auditor.testing.nodes import SyntheticNode, attribution_error
    from auditor.testing.nvml import FakeNvml
    from auditor.testing.spaces import SearchSpaceContract

__all__ = [
    "FakeClock",
    "FakeNvml",
    "ImporterContract",
    "MeterContract",
    "ReplayMeter",
    "SearchSpaceContract",
    "SyntheticNode",
    "attribution_error",
]


def __getattr__(name: str) -> Any:
    if name == "ImporterContract":
        from auditor.testing.importers import ImporterContract

        return ImporterContract
    if name == "MeterContract":
        from auditor.testing.meters import MeterContract

        return MeterContract
    if name == "FakeNvml":
        from auditor.testing.nvml import FakeNvml

        return FakeNvml
    if name == "SearchSpaceContract":
        from auditor.testing.spaces import SearchSpaceContract

        return SearchSpaceContract
    if name in {"SyntheticNode", "attribution_error"}:
        from auditor.testing import nodes

        return getattr(nodes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
