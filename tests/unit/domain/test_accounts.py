from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.domain.accounts import (
    AccountName,
    Phase,
    audit_account,
    baseline_account,
    evaluation_account,
    node_account,
    parse_account,
    search_account,
    trial_account,
)

names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.integers(0, 10**6)
phases = st.sampled_from(["", *Phase])


def phased(account: str, phase: str) -> str:
    return f"{account}/{phase}" if phase else account


@given(names, numbers, numbers, phases)
def test_trials_come_back(study: str, number: int, attempt: int, phase: str) -> None:
    found = parse_account(phased(trial_account(study, number, attempt), phase))
    assert found == AccountName(
        owner="study", name=study, kind="trial", subject=str(number), attempt=attempt, phase=phase
    )


@given(names, names, phases)
def test_trainings_come_back(study: str, subject: str, phase: str) -> None:
    for make, kind in ((baseline_account, "baseline"), (evaluation_account, "evaluation")):
        found = parse_account(phased(make(study, subject), phase))
        assert found == AccountName(owner="study", name=study, kind=kind, subject=subject, phase=phase)


@given(names, st.sampled_from(["sampler", "tracking", "orchestration"]))
def test_parts_of_the_search_come_back(study: str, part: str) -> None:
    found = parse_account(search_account(study, part))
    assert found == AccountName(owner="study", name=study, kind="search", subject=part)
    assert parse_account(audit_account(study)) == AccountName(owner="study", name=study, kind="audit")


@given(names, st.sampled_from(["idle", "foreign", "unexplained"]))
def test_nodes_come_back(node: str, part: str) -> None:
    assert parse_account(node_account(node, part)) == AccountName(owner="node", name=node, kind=part)


@given(st.text(max_size=30))
def test_any_text_is_an_account_or_refused(text: str) -> None:
    with suppress(ValueError):
        found = parse_account(text)
        assert text.startswith(f"{found.owner}/{found.name}/{found.kind}")


@pytest.mark.parametrize(
    "account",
    [
        "",
        "study",
        "study/s",
        "node/n/busy",
        "node/n/idle/more",
        "study/s/trial/0",
        "study/s/trial/a/1",
        "study/s/trial/0/-1",
        "study/s/trial/0/1/train/more",
        "study/s/audit/x",
        "study/s/search",
        "study/s/search/sampler/x",
        "study/s/baseline",
        "study/s/guess/x",
        "planet/earth/idle",
    ],
)
def test_what_is_no_account_is_refused(account: str) -> None:
    with pytest.raises(ValueError, match="is no account name: expected"):
        parse_account(account)
