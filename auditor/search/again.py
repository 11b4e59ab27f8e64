"""Publishing a finished study anew, with other factors, prices or another policy."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from auditor.reporting.publish import publish

if TYPE_CHECKING:
    from auditor.search.plan import Plan


def publish_again(plan: Plan) -> dict[str, Any]:
    """Publish a finished study with the policy, factors, prices and worth of a plan; ``study.yaml`` keeps them."""
    file = plan.folder.read_study()
    settings = plan.config.model_dump(mode="json")
    asked = {key: settings[key] for key in ("metering", "worth", "carbon", "cost")}
    plan.folder.write_study(replace(file, config={**file.config, **asked}, parameters=asdict(plan.parameters)))
    return publish(plan.folder, plan.parameters, plan.config.metering.policy)
