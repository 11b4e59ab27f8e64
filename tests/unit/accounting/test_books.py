import pytest

from auditor.accounting.allocate import Policy
from auditor.accounting.books import close_books, is_search_account
from auditor.accounting.coverage import Session
from auditor.accounting.trace import NodeTrace
from auditor.domain.study import Severity
from unit.accounting.traces import FOREIGN, IDLE, J, S, activity, component, trace

T0, T1 = "study/s/trial/0/1/train", "study/s/trial/1/1/train"
MAIN, AUDIT, BASE = "study/s/search/orchestration", "study/s/audit", "study/s/baseline/default/train"


def session(start_s: float, end_s: float, *, begin_s: float | None = None) -> Session:
    begin = start_s if begin_s is None else begin_s
    return Session(start_ns=round(start_s * S), begin_ns=round(begin * S), end_ns=round(end_s * S))


def steady(t_s: list[float], *, node: str = "n", offset_s: float = 0.0, watts: float = 10.0) -> NodeTrace:
    """A node that draws constant power from when it is first read."""
    drawn = component("ram", [watts * (t - t_s[0]) for t in t_s], watts, low_w=watts / 2, high_w=2 * watts)
    worker = activity("p", [0.0] * len(t_s), account=T0, cpus=2, begin_s=t_s[0])
    return trace(t_s, drawn, worker, node=node, offset_s=offset_s)


def test_books_balance() -> None:
    books, _ = close_books([steady([0, 1, 2])])
    assert books.accounts[T0] == books.metered_uj == books.charged_uj == 20 * J
    assert books.residual_uj == 0


def test_nothing_read_gives_empty_books() -> None:
    books, ledger = close_books([])
    assert (books.accounts, books.metered_uj, books.coverage, books.cpu_s, books.wall_s) == ({}, 0, None, None, 0.0)
    assert books.cumulative_uj == ()
    assert len(ledger.energy_uj) == 0


def test_one_reading_meters_nothing_yet() -> None:
    books, _ = close_books([steady([5])], sessions=[session(0, 5)])
    assert books.metered_uj == 0
    assert books.coverage == 0.0


def test_the_policy_is_written_down() -> None:
    books, _ = close_books([steady([0, 1])], policy=Policy.DIRECT)
    assert books.policy == "direct"
    assert books.accounts[IDLE] == 10 * J


def test_accounts_of_several_nodes_are_added() -> None:
    books, _ = close_books([steady([0, 1], node="a"), steady([0, 2], node="b")])
    assert books.accounts[T0] == 30 * J
    assert [w.node for w in books.windows] == ["a", "b"]


def test_a_gap_is_a_finding_with_what_it_implies() -> None:
    books, _ = close_books([steady([0, 1, 2]), steady([6, 8])], sessions=[session(0, 8)])
    assert books.coverage == pytest.approx(4 / 8)
    (gap,) = books.findings
    assert (gap.code, gap.severity) == ("meter-gap", Severity.WARNING)
    assert "node n for 4 s" in gap.message
    assert "40 J" in gap.message
    assert books.metered_uj == 40 * J  # what the gap implies is not on the books


def test_without_sessions_the_gap_is_still_a_gap() -> None:
    books, _ = close_books([steady([0, 2]), steady([6, 8])])
    assert books.coverage == pytest.approx(4 / 8)
    assert [f.code for f in books.findings] == ["meter-gap"]
    assert books.unmetered_start_s is None


def test_a_takeover_at_once_leaves_no_gap() -> None:
    books, _ = close_books([steady([0, 2]), steady([2, 4])], sessions=[session(0, 4)])
    assert books.coverage == 1.0
    assert books.findings == ()


def test_dead_time_between_sessions_is_no_gap() -> None:
    books, _ = close_books([steady([0, 10]), steady([100, 110])], sessions=[session(0, 10), session(100, 110)])
    assert books.coverage == 1.0
    assert books.findings == ()


def test_a_meter_that_stops_before_the_session_ends_is_a_gap() -> None:
    books, _ = close_books([steady([0, 1, 2, 3, 4])], sessions=[session(0, 8)])
    assert books.coverage == pytest.approx(0.5)
    assert "for 4 s" in books.findings[0].message


def test_the_last_interval_may_miss() -> None:
    books, _ = close_books([steady([0, 9])], sessions=[session(0, 10)])
    assert books.coverage == 1.0
    assert books.findings == ()


def test_the_worst_node_is_reported() -> None:
    whole, broken = steady([0, 10], node="a"), [steady([0, 1], node="b"), steady([9, 10], node="b")]
    books, _ = close_books([whole, *broken], sessions=[session(0, 10)])
    assert books.coverage == pytest.approx(0.2)
    assert ["node b" in f.message for f in books.findings] == [True]


def test_unmetered_start_runs_from_the_process_start() -> None:
    books, _ = close_books([steady([5, 10])], sessions=[session(1.5, 10, begin_s=4)])
    assert books.unmetered_start_s == pytest.approx(3.5)
    assert books.coverage == 1.0


def test_unmetered_starts_of_a_resumed_study_add_up() -> None:
    books, _ = close_books([steady([2, 10]), steady([103, 110])], sessions=[session(0, 10), session(100, 110)])
    assert books.unmetered_start_s == pytest.approx(5.0)


def test_a_seal_cuts_at_the_last_reading_before_it() -> None:
    node = steady([0, 1, 2, 3], offset_s=1000)
    books, ledger = close_books([node], seal_ns=1002 * S, end_ns=round(1002.75 * S))
    assert books.metered_uj == books.charged_uj == 20 * J
    assert books.sealed
    assert books.after_seal_s == pytest.approx(0.75)
    assert ledger.end_ns.max() == 1002 * S
    assert books.windows[0].end_ns == 1002 * S


def test_a_seal_between_readings_leaves_the_interval_out() -> None:
    books, _ = close_books([steady([0, 1, 2])], seal_ns=round(1.5 * S))
    assert books.metered_uj == 10 * J


def test_a_seal_after_everything_cuts_nothing() -> None:
    books, _ = close_books([steady([0, 1, 2])], seal_ns=9 * S)
    assert books.metered_uj == 20 * J
    assert books.after_seal_s is None  # when the work ended is not known


def test_what_was_read_only_after_the_seal_is_left_out() -> None:
    books, _ = close_books([steady([0, 1]), steady([5, 6])], seal_ns=2 * S)
    assert len(books.windows) == 1
    assert books.metered_uj == 10 * J


def test_unsealed_books_say_so() -> None:
    books, _ = close_books([steady([0, 1])], end_ns=5 * S)
    assert not books.sealed
    assert books.after_seal_s is None


def test_components_add_up_over_traces_with_their_bounds() -> None:
    books, _ = close_books([steady([0, 1]), steady([5, 7])])
    (ram,) = books.components
    assert (ram.node, ram.component, ram.meter, ram.static_w) == ("n", "ram", "m", 10.0)
    assert (ram.low_uj, ram.metered_uj, ram.high_uj) == (15 * J, 30 * J, 60 * J)


def test_bounds_hold_what_was_metered() -> None:
    parts = component("cpu", [0, 100], low_w=20, high_w=50), component("ram", [0, 10], low_w=20, high_w=50)
    books, _ = close_books([trace([0, 1], *parts)])
    assert [(c.component, c.low_uj, c.high_uj) for c in books.components] == [
        ("cpu", 20 * J, 100 * J),
        ("ram", 10 * J, 50 * J),
    ]


def test_an_unknown_bound_of_one_trace_is_unknown_for_all() -> None:
    known = trace([0, 1], component("cpu", [0, 5], low_w=1, high_w=9))
    unknown = trace([2, 3], component("cpu", [0, 5], high_w=9))
    books, _ = close_books([known, unknown])
    assert (books.components[0].low_uj, books.components[0].high_uj) == (None, 18 * J)


def test_components_of_nodes_stay_apart() -> None:
    books, _ = close_books([steady([0, 1], node="b"), steady([0, 2], node="a")])
    assert [(c.node, c.metered_uj) for c in books.components] == [("a", 20 * J), ("b", 10 * J)]


def test_cumulative_counts_the_search_only() -> None:
    workers = [
        activity("p", [0, 1, 1], account=T0),
        activity("q", [0, 1, 2], account=BASE),
        activity("r", [0, 0, 1], account=AUDIT),
    ]
    books, _ = close_books([trace([0, 1, 2], component("cpu", [0, 20, 60]), *workers, offset_s=100)])
    assert books.cumulative_ns == (100 * S, 101 * S, 102 * S)
    assert books.cumulative_uj == (0, 10 * J, 30 * J)


def test_cumulative_merges_nodes_by_time() -> None:
    books, _ = close_books([steady([0, 2], node="a"), steady([1, 3], node="b")])
    assert books.cumulative_ns == (0, S, 2 * S, 3 * S)
    assert books.cumulative_uj == (0, 0, 20 * J, 40 * J)


@pytest.mark.parametrize(
    ("account", "counts"),
    [
        (T0, True),
        (MAIN, True),
        (AUDIT, True),
        ("study/s/training/0/train", True),
        (BASE, False),
        ("study/s/evaluation/winner/test", False),
        (IDLE, False),
    ],
)
def test_is_search_account(account: str, counts: bool) -> None:
    assert is_search_account(account) is counts


def test_device_seconds_add_up_over_traces() -> None:
    first = trace([0, 2], component("cpu", [0, 1]), activity("p", [0, 0], account=T0, cpus=1, gpus=1), gpus=1)
    second = trace([5, 6], component("cpu", [0, 1]), activity("p", [0, 0], account=T0, cpus=2))
    books, _ = close_books([first, second])
    assert books.device_s == {"cpu": 4.0, "gpu": 2.0}


def test_device_seconds_of_the_search_are_known_apart() -> None:
    worker = activity("p", [0, 0], account=MAIN, cpus=1, gpus=0.5, marks=[(1, 0, T0), (3, 0, BASE)])
    books, _ = close_books([trace([0, 8], component("cpu", [0, 1]), worker, gpus=1)])
    assert (books.device_s, books.search_device_s) == ({"cpu": 8.0, "gpu": 4.0}, {"cpu": 3.0, "gpu": 1.5})
    draw = activity("p", [0, 0], account="study/s/baseline/random-3/train", cpus=1, gpus=0.5, marks=[(2, 0, BASE)])
    books, _ = close_books([trace([0, 8], component("cpu", [0, 1]), draw, gpus=1)])
    assert (books.arm_device_s, books.priced_arm_s) == ({"cpu": 2.0, "gpu": 1.0}, 1.0)
    baseline = activity("p", [0, 0], account=BASE, cpus=1)
    assert close_books([trace([0, 8], component("cpu", [0, 1]), baseline)])[0].search_device_s == {"cpu": 0.0}


def test_cpu_seconds_count_whole_trees_once_metered() -> None:
    worker = activity("p", [3, 4, 7], own_s=[1, 1.5, 2], account=T0)
    books, _ = close_books([trace([0, 1, 2], component("cpu", [0, 1, 2]), worker)])
    assert books.cpu_s == pytest.approx(4.0)
    assert books.account_cpu_s[T0] == pytest.approx(1.0)


def test_cpu_and_device_seconds_of_others_are_not_the_studys() -> None:
    mine = activity("p", [0, 1], account=T0, cpus=1)
    other = activity("q", [0, 5], account=FOREIGN, cpus=1, gpus=1)
    books, _ = close_books([trace([0, 5], component("cpu", [0, 9]), mine, other, gpus=1)])
    assert (books.cpu_s, books.device_s) == (1.0, {"cpu": 5.0})


def test_others_give_back_what_they_held_when_they_are_read_no_more() -> None:
    mine = activity("d", [0, 0, 0], account=MAIN, rest=True)
    others = [activity("e", [0, 0], account=FOREIGN, rest=True), activity("q", [0, 0], account=FOREIGN, cpus=2)]
    long_gone = activity("z", [], account=FOREIGN, begin_s=-9, rest=True)
    node = trace([0, 1, 2], component("cpu", [0, 8, 16], 8), mine, *others, long_gone)
    books, _ = close_books([node])
    assert {a: uj for a, uj in books.accounts.items() if uj} == {FOREIGN: 8 * J, MAIN: 8 * J}


def test_cpu_seconds_with_unknown_usage() -> None:
    worker = activity("p", [None, 4, None], account=T0)
    books, _ = close_books([trace([0, 1, 2], component("cpu", [0, 1, 2]), worker)])
    assert books.cpu_s == pytest.approx(4.0)


def test_wall_time_runs_from_the_first_reading_to_the_last() -> None:
    books, _ = close_books([steady([3, 4], node="a"), steady([1, 2], node="b")])
    assert books.wall_s == pytest.approx(3.0)


def test_ledger_sums_equal_the_accounts() -> None:
    nodes = [steady([0, 1, 2], node="alpha"), steady([0, 3], node="beta", offset_s=7)]
    books, ledger = close_books(nodes)
    for account, energy in books.accounts.items():
        assert ledger.energy_uj[ledger.account == account].sum() == energy
    assert ledger.energy_uj.sum() == books.metered_uj


def test_a_ledger_row_says_where_and_when() -> None:
    _, ledger = close_books([steady([1, 2], node="alpha", offset_s=10), steady([1, 3], node="be")])
    rows = zip(
        ledger.node.tolist(),
        ledger.start_ns.tolist(),
        ledger.end_ns.tolist(),
        ledger.component.tolist(),
        ledger.account.tolist(),
        ledger.energy_uj.tolist(),
        strict=True,
    )
    assert list(rows) == [
        ("alpha", 11 * S, 12 * S, "ram", T0, 10 * J),
        ("be", 1 * S, 3 * S, "ram", T0, 20 * J),
    ]
