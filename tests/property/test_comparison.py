import json

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.statement.comparison import compare_statement
from unit.statement.searches import subject

unhurried = settings(deadline=None, max_examples=60)  # the first call imports scipy
values = st.floats(-10.0, 10.0).map(lambda x: round(x, 2))
runs = st.lists(st.one_of(st.none(), values), min_size=1, max_size=5)
groups = st.lists(runs, min_size=1, max_size=4)


def made(direction="maximize", energy_j=100.0, **given_groups):
    return compare_statement(
        {
            name: [subject(seed, run, direction=direction, energy_j=energy_j) for seed, run in enumerate(group)]
            for name, group in given_groups.items()
        },
        version="1",
    )


def negated(group):
    return [[None if value is None else -value for value in run] for run in group]


def near(a, b):
    return (a is None) == (b is None) and (a is None or abs(a - b) < 1e-9)


@unhurried
@given(groups, groups)
def test_swapping_groups_turns_every_difference(first, second):
    one, other = made(a=first, b=second), made(b=second, a=first)
    for x, y in zip(one["comparisons"], other["comparisons"], strict=True):
        assert near(x["difference"], None if y["difference"] is None else -y["difference"])
        assert (x["ci95"] is None) == (y["ci95"] is None)
        if x["ci95"] is not None:
            assert near(x["ci95"][0], -y["ci95"][1])
        assert (x["x"], x["better"]) == (y["x"], y["better"])
    assert one["verdict"]["grade"] == other["verdict"]["grade"]


@unhurried
@given(groups, st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_nothing(group, random):
    subjects = [subject(seed, run) for seed, run in enumerate(group)]
    shuffled = random.sample(subjects, len(subjects))
    one, other = (compare_statement({"a": g, "b": g}, version="1") for g in (subjects, shuffled))
    assert json.dumps(one) == json.dumps(other)


@unhurried
@given(groups, groups)
def test_minimising_is_maximising_the_negative(first, second):
    up, down = made(a=first, b=second), made("minimize", a=negated(first), b=negated(second))
    for x, y in zip(up["comparisons"], down["comparisons"], strict=True):
        assert near(x["difference"], y["difference"])
        assert x["better"] == y["better"]


@unhurried
@given(groups, groups)
def test_a_group_never_beats_itself_and_better_is_beyond_the_interval(first, second):
    for each in made(a=first, b=first)["comparisons"]:
        assert each["better"] is None
    for each in made(a=first, b=second)["comparisons"]:
        if each["better"] is not None:
            low, high = each["ci95"]
            assert low > 0.0 if each["better"] == "a" else high < 0.0
