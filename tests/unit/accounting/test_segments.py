from collections.abc import Sequence

from auditor.accounting.segments import account_at, cut
from auditor.accounting.trace import ActivityTrace
from unit.accounting.traces import activity, component, ns, trace

CPU = component("cpu", [0, 0, 0])


def pieces(t_s: Sequence[float], *activities: ActivityTrace) -> list[tuple[int, int, str, int, int]]:
    """(activity, interval, account, milliseconds, milliseconds of own CPU time)."""
    found = cut(trace(t_s, CPU, *activities))
    rows = zip(
        found.activity.tolist(),
        found.interval.tolist(),
        [found.accounts[a] for a in found.account.tolist()],
        (found.duration_us // 1000).tolist(),
        (found.own_us // 1000).tolist(),
        strict=True,
    )
    return list(rows)


def test_an_activity_without_marks_is_cut_at_readings() -> None:
    assert pieces([0, 1, 2], activity("a", [0, 0.5, 0.75])) == [(0, 0, "a", 1000, 500), (0, 1, "a", 1000, 250)]


def test_marks_cut_within_an_interval() -> None:
    worker = activity("a", [0, 0.5, 1.0], marks=[(0.25, 0.2, "b"), (1.5, 0.6, "c")])
    assert pieces([0, 1, 2], worker) == [
        (0, 0, "a", 250, 200),
        (0, 0, "b", 750, 300),
        (0, 1, "b", 500, 100),
        (0, 1, "c", 500, 400),
    ]


def test_begin_and_end_bound_the_pieces() -> None:
    worker = activity("a", [0, 0.5, 0.5], begin_s=0.5, end_s=1.25)
    assert [piece[:4] for piece in pieces([0, 1, 2], worker)] == [(0, 0, "a", 500), (0, 1, "a", 250)]


def test_a_mark_at_a_reading_cuts_once() -> None:
    worker = activity("a", [0, 0.5, 1.0], marks=[(1.0, 0.5, "b")])
    assert pieces([0, 1, 2], worker) == [(0, 0, "a", 1000, 500), (0, 1, "b", 1000, 500)]


def test_of_marks_at_one_time_the_last_holds() -> None:
    worker = activity("a", [0, 0.5, 1.0], marks=[(1.0, 0.5, "b"), (1.0, 0.5, "c")])
    assert [piece[2] for piece in pieces([0, 1, 2], worker)] == ["a", "c"]


def test_marks_before_the_first_reading_say_what_it_works_for() -> None:
    worker = activity("a", [1, 1.5, 2], begin_s=-5, marks=[(-3.0, 0.2, "b"), (-1.0, 0.4, "c")])
    assert pieces([0, 1, 2], worker) == [(0, 0, "c", 1000, 500), (0, 1, "c", 1000, 500)]


def test_marks_after_the_last_reading_count_for_nothing() -> None:
    worker = activity("a", [0, 0.5, 1.0], marks=[(5.0, 3.0, "b")])
    assert [piece[2] for piece in pieces([0, 1, 2], worker)] == ["a", "a"]


def test_own_time_between_readings_is_exact_at_marks() -> None:
    # The process alone used 0.1 s before the mark and 0.9 s after it, whatever its children did.
    worker = activity("a", [0, 2.0, 2.0], own_s=[0, 1.0, 1.0], marks=[(0.5, 0.1, "b")])
    assert pieces([0, 1, 2], worker)[:2] == [(0, 0, "a", 500, 100), (0, 0, "b", 500, 900)]


def test_own_time_not_seen_at_a_reading_is_taken_from_the_marks() -> None:
    worker = activity("a", [0, 1.0, 1.0], own_s=[0, None, None], marks=[(0.5, 0.4, "b"), (0.9, 0.6, "a")], end_s=1)
    assert pieces([0, 1, 2], worker) == [(0, 0, "a", 500, 400), (0, 0, "b", 400, 200), (0, 0, "a", 100, 0)]


def test_an_activity_that_ended_before_the_readings_leaves_no_piece() -> None:
    gone = activity("a", [1, 1, 1], begin_s=-5, end_s=-1)
    unborn = activity("b", [0, 0, 0], begin_s=7)
    assert pieces([0, 1, 2], gone, unborn) == []


def test_one_reading_has_no_interval() -> None:
    found = cut(trace([1.0], component("cpu", [0]), activity("a", [0.0])))
    assert len(found.activity) == 0


def test_long_uptimes_keep_their_microseconds() -> None:
    days = 86_400.0 * 90
    worker = activity("a", [days, days + 0.25, days + 0.5], begin_s=days, marks=[(days + 0.5, days + 0.125, "b")])
    found = cut(trace([days, days + 1, days + 2], CPU, worker))
    assert found.own_us.tolist() == [125_000, 125_000, 250_000]


def test_account_at() -> None:
    worker = activity("base", [0, 0, 0], marks=[(1.0, 0.0, "b"), (2.0, 0.0, "c")])
    assert account_at(worker, ns([0.5, 1.0, 1.5, 2.0, 9.0])) == ["base", "b", "b", "c", "c"]
