"""Every microjoule of the books has exactly one purpose."""

from hypothesis import given
from hypothesis import strategies as st

from auditor.statement.usage import is_metered, usage_of
from unit.statement import records

names = st.one_of(
    st.builds(
        "study/{}/trial/{}/{}/{}".format,
        st.sampled_from(["demo", "other"]),
        st.integers(0, 5),
        st.integers(1, 3),
        st.sampled_from(["train", "test"]),
    ),
    st.builds(
        "study/demo/{}/{}/train".format,
        st.sampled_from(["baseline", "evaluation", "training", "alternative"]),
        st.sampled_from(["default", "winner", "svc"]),
    ),
    st.sampled_from(["study/demo/search/sampler", "study/demo/audit", "node/box/foreign", "?"]),
)


@given(st.dictionaries(names, st.integers(0, 2**62)))
def test_the_purposes_sum_to_the_charged_energy(accounts):
    record = records.record(books=records.books(accounts))
    usage = usage_of(record)
    whole = usage.search_uj + usage.baselines_uj + usage.evaluation_uj + usage.outside_uj
    assert whole == record.books.charged_uj
    assert sum(usage.by_state.values()) == sum(usage.by_trial.values()) <= usage.search_uj
    assert sum(usage.by_baseline.values()) == usage.baselines_uj
    assert usage.foreign_uj + usage.unexplained_uj <= usage.outside_uj
    assert is_metered(record) == any(accounts.values())
