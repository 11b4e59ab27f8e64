"""What starts fast imports little; import-linter sees imports inside functions too, so this runs interpreters."""

import subprocess
import sys

import pytest

import auditor

HEAVY = ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy", "codecarbon", "sklearn")
PUBLIC = [
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
HELP = """
from auditor.cli.app import main
try:
    main(["--help"])
except SystemExit as error:
    assert error.code == 0, error.code
"""


def imported_by(code: str) -> frozenset[str]:
    """Top-level modules that a new interpreter has after some code."""
    script = f"import sys\n{code}\nprint()\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    ["import auditor", HELP, "from auditor import AuditorError, InputError, StudyRecord", "import auditor.plugins"],
    ids=["package", "help", "names", "plugins"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert imported_by(code).isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["search", "report", "compare", "replay", "verify", "doctor", "plugins", "import"])
def test_help_of_commands_neither(command: str) -> None:
    assert imported_by(HELP.replace('["--help"]', f'["{command}", "--help"]')).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("auditor.search.config", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy")),
        ("auditor.search.plan", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning")),
        ("auditor.search.driver", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning")),
        ("auditor.search.coordinator", ("torch", "ray", "mlflow", "pytorch_lightning")),
        ("auditor.search.worker", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy")),
        ("auditor.tracking.handle", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy")),
        ("auditor.tracking.projector", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning")),
        ("auditor.metering.agent", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy")),
        ("auditor.training.audit", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "sklearn")),
        (
            "auditor.training.callback",
            ("ray", "mlflow", "optuna", "sklearn", "codecarbon", "pyarrow", "jinja2", "plotly"),
        ),
        ("auditor_spaces.digits", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy", "sklearn")),
        ("auditor.testing", ("torch", "ray", "mlflow", "optuna", "pytorch_lightning", "numpy", "pytest")),
    ],
)
def test_each_process_imports_what_it_needs(module: str, without: tuple[str, ...]) -> None:
    assert imported_by(f"import {module}").isdisjoint(without)


class TestPublicNames:
    def test_they_are_these(self) -> None:
        assert sorted(auditor.__all__) == PUBLIC

    @pytest.mark.parametrize("name", PUBLIC)
    def test_they_are_there(self, name: str) -> None:
        assert getattr(auditor, name).__doc__
        assert name in dir(auditor)

    def test_others_are_not(self) -> None:
        with pytest.raises(AttributeError, match="module 'auditor' has no attribute 'nothing'"):
            _ = auditor.nothing
