"""The books balance for any interleaving of readings, marks, lives and deaths, and however the journals are read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.accounting.allocate import Policy, allocate
from auditor.accounting.apportion import apportion
from auditor.accounting.books import Ledger, close_books
from auditor.accounting.coverage import Session
from auditor.accounting.segments import cut
from auditor.accounting.trace import UNKNOWN, ActivityTrace, ComponentTrace, LaneTrace, NodeTrace
from auditor.domain.study import Books
from auditor.metering.closing import read_study
from auditor.metering.folder import StudyFile, StudyFolder
from auditor.metering.journal import JournalWriter
from auditor.metering.records import (
    Closed,
    ComponentRecord,
    Gone,
    Header,
    Mark,
    NodeRecord,
    Reading,
    Record,
    Seal,
    Seen,
)

MS = 1_000_000
PHASES = [f"study/s/{rest}" for rest in ("trial/0/1/train", "trial/0/1/validate", "trial/1/1/train", "search/sampler")]
BASES = [*PHASES, "node/n/foreign"]
POLICIES = st.sampled_from(list(Policy))

# Times on a coarse grid, so that readings and marks often fall together; odd nanoseconds as well.
times = st.one_of(st.integers(0, 12).map(lambda t: t * 500 * MS), st.integers(0, 6_000 * MS))
anywhere = st.one_of(times, st.integers(-3_000 * MS, 9_000 * MS))
steps_uj = st.one_of(st.sampled_from([0, 1, 2, 3]), st.integers(0, 100_000_000), st.integers(0, 2**40))
steps_ns = st.one_of(st.sampled_from([0, 1, 999, 1_000, 500 * MS]), st.integers(0, 9_000 * MS))
slots = st.sampled_from([0.0, 0.25, 1.0, 1.5, 2.0, 7.0])


def running(steps: Sequence[int], start: int = 0) -> np.ndarray:
    return np.cumsum(np.array([start, *steps], dtype=np.int64))


@st.composite
def activities(draw: st.DrawFn, key: str, count: int) -> ActivityTrace:
    begin = draw(anywhere)
    marks = sorted(draw(st.lists(anywhere, max_size=6)))
    seen = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    tree = running(draw(st.lists(steps_ns, min_size=count - 1, max_size=count - 1)), draw(steps_ns))
    own = running(draw(st.lists(steps_ns, min_size=count - 1, max_size=count - 1)))
    return ActivityTrace(
        key=key,
        begin_ns=begin,
        end_ns=draw(st.none() | st.integers(0, 5_000 * MS).map(lambda life: begin + life) | anywhere),
        base_account=draw(st.sampled_from(BASES)),
        cpu_slots=draw(slots),
        gpu_slots=draw(slots),
        gpus=draw(st.dictionaries(st.sampled_from(["gpu:GPU-1", "gpu:GPU-2"]), st.sampled_from([0.0, 0.5, 1.0]))),
        holds_rest=draw(st.booleans()),
        first=(first := draw(st.integers(0, count - 1))),
        mark_audit_ns=np.array(draw(st.lists(steps_ns, min_size=len(marks), max_size=len(marks))), dtype=np.int64),
        audit_account=draw(st.sampled_from(["", "study/s/audit"])),
        device_ns={"gpu:GPU-1": running(draw(st.lists(steps_ns, min_size=count - 1, max_size=count - 1)))[first:]},
        resident_bytes=np.array(draw(st.lists(st.integers(0, 2**36), min_size=count, max_size=count)))[first:],
        mark_ns=np.array(marks, dtype=np.int64),
        mark_cpu_ns=running(draw(st.lists(steps_ns, min_size=len(marks), max_size=len(marks))))[1:],
        mark_account=tuple(draw(st.sampled_from(PHASES)) for _ in marks),
        tree_ns=np.where(seen | draw(st.booleans()), tree, UNKNOWN)[first:],
        own_ns=np.where(seen, own, UNKNOWN)[first:],
    )


@st.composite
def nodes(draw: st.DrawFn, name: str = "n") -> NodeTrace:
    t_ns = np.array(sorted(draw(st.lists(times, min_size=1, max_size=7))), dtype=np.int64)
    count = len(t_ns)
    intervals = st.lists(steps_uj, min_size=count - 1, max_size=count - 1)
    watts = st.none() | st.sampled_from([0.0, 1.5, 20.0]) | st.floats(0, 500)
    names = draw(
        st.lists(st.sampled_from(["cpu", "ram", "platform", "gpu", "gpu:GPU-1", "gpu:GPU-2"]), unique=True, max_size=4)
    )
    told = st.lists(st.booleans(), min_size=count - 1, max_size=count - 1).map(lambda t: np.array(t, dtype=bool))
    busy = st.lists(steps_ns, min_size=count - 1, max_size=count - 1).map(running)
    return NodeTrace(
        node=name,
        t_ns=t_ns,
        cpu_slots=draw(st.sampled_from([0.5, 1.0, 2.0, 64.0])),
        gpu_slots=draw(st.sampled_from([0.0, 1.0, 4.0])),
        components=tuple(
            ComponentTrace(
                name=c,
                energy_uj=running(draw(intervals), draw(steps_uj)),
                static_w=draw(watts),
                attributable=c != "gpu:GPU-2" or draw(st.booleans()),
                others_ns=draw(busy) if c == "gpu:GPU-1" else None,
                used_known=draw(told) if c == "gpu:GPU-1" else None,
            )
            for c in names
        ),
        activities=tuple(draw(activities(f"p{i}", count)) for i in range(draw(st.integers(0, 4)))),
        busy_ns=draw(st.none() | busy),
        others_bytes=draw(st.none() | st.lists(st.integers(0, 2**38), min_size=count, max_size=count).map(np.array)),
        offset_ns=draw(st.sampled_from([0, 10**18 + 1])),
    )


@st.composite
def lanes(draw: st.DrawFn) -> LaneTrace:
    marks = sorted(draw(st.lists(anywhere, max_size=6)))
    return LaneTrace(
        mark_ns=np.array(marks, dtype=np.int64),
        mark_cpu_ns=running([draw(steps_ns) for _ in marks])[1:],
        mark_account=tuple(draw(st.sampled_from(["", "", *PHASES])) for _ in marks),
    )


@st.composite
def nodes_with_lanes(draw: st.DrawFn) -> NodeTrace:
    node = draw(nodes())
    threads = st.lists(lanes(), max_size=4).map(tuple)
    return replace(node, activities=tuple(a if a.foreign else replace(a, lanes=draw(threads)) for a in node.activities))


def same(one: tuple[Books, Ledger], other: tuple[Books, Ledger]) -> bool:
    columns = zip(*((r.node, r.start_ns, r.component, r.account, r.energy_uj) for _, r in (one, other)), strict=True)
    return one[0] == other[0] and all(np.array_equal(a, b) for a, b in columns)


def view(node: NodeTrace, whose: set[str], agent_part: int) -> NodeTrace:
    """What a study sees of a node: its processes, those of others without their marks, its part of the agent."""
    seen = tuple(
        a
        if a.key in whose
        else replace(
            a,
            base_account="node/n/foreign",
            audit_account="",
            mark_ns=a.mark_ns[:0],
            mark_cpu_ns=a.mark_cpu_ns[:0],
            mark_account=(),
            mark_audit_ns=None,
        )
        for a in node.activities
    )
    assert node.agent_ns is not None
    used = np.concatenate([[0], np.cumsum(np.diff(node.agent_ns) * agent_part // 8)])
    agent = ActivityTrace(key="agent", begin_ns=0, base_account="study/s/audit", tree_ns=used, own_ns=used)
    return replace(node, activities=(*seen, agent))


def claimed(node: NodeTrace, policy: Policy) -> np.ndarray:
    """Microjoules of a study by interval and component."""
    charges = allocate(node, policy)
    own = np.array([name.startswith("study/") for name in charges.accounts], dtype=bool)[charges.account]
    sums = np.zeros((max(0, len(node.t_ns) - 1), len(node.components)), dtype=np.int64)
    np.add.at(sums, (charges.interval[own], charges.component[own]), charges.energy_uj[own])
    return sums


@settings(max_examples=300, deadline=None)
@given(nodes(), POLICIES, st.data())
def test_studies_on_one_node_claim_together_what_one_study_of_all_would(
    node: NodeTrace, policy: Policy, data: st.DataObject
) -> None:
    """Exactly, microjoule by microjoule; of the agent's own work what its division leaves stays with nobody."""
    count = len(node.t_ns)
    used = running(data.draw(st.lists(steps_ns, min_size=count - 1, max_size=count - 1)))
    processes = tuple(
        replace(a, base_account="study/s/trial/0/1", holds_rest=False, audit_account="") for a in node.activities
    )
    node = replace(node, activities=processes, agent="agent", agent_ns=used)
    keys = [a.key for a in processes]
    together = claimed(view(node, set(keys), 8), policy)
    alone = [claimed(view(node, {key}, 8 // max(len(keys), 1)), policy) for key in keys]
    left = together - sum(alone, start=np.zeros_like(together))
    assert (left >= 0).all()
    if not used.any():  # of the agent nothing is divided
        assert not left.any()


@settings(max_examples=300, deadline=None)
@given(nodes() | nodes_with_lanes(), POLICIES)
def test_charges_of_every_interval_and_component_sum_to_its_energy(node: NodeTrace, policy: Policy) -> None:
    charges = allocate(node, policy)
    assert (charges.energy_uj > 0).all()
    charged = np.zeros((len(node.components), max(len(node.t_ns) - 1, 0)), dtype=np.int64)
    np.add.at(charged, (charges.component, charges.interval), charges.energy_uj)
    for component, row in zip(node.components, charged, strict=True):
        assert row.tolist() == np.diff(component.energy_uj).tolist()
    assert (charges.cpu_us >= 0).all()


@settings(max_examples=200, deadline=None)
@given(nodes("a"), nodes("b"), POLICIES, st.none() | anywhere)
def test_books_balance_and_the_ledger_agrees(a: NodeTrace, b: NodeTrace, policy: Policy, seal: int | None) -> None:
    a = replace(a, offset_ns=0)
    books, ledger = close_books([a, replace(b, offset_ns=0)], policy=policy, seal_ns=seal)
    assert books.residual_uj == 0
    assert sum(c.metered_uj for c in books.components) == books.metered_uj == ledger.energy_uj.sum()
    assert all(energy >= 0 for energy in books.accounts.values())
    for account, energy in books.accounts.items():
        assert ledger.energy_uj[ledger.account == account].sum() == energy
    steps = np.diff(books.cumulative_uj)
    assert (steps >= 0).all()
    if seal is not None:
        assert (ledger.end_ns <= seal).all()
    assert books.coverage is None or 0 <= books.coverage <= 1


@settings(max_examples=200, deadline=None)
@given(nodes("a"), nodes("b"), POLICIES, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(a: NodeTrace, b: NodeTrace, policy: Policy, random: Random) -> None:
    def shuffled(node: NodeTrace) -> NodeTrace:
        order = list(node.activities)
        random.shuffle(order)
        return replace(node, activities=tuple(order))

    books = close_books([a, b], policy=policy)
    assert same(close_books([shuffled(b), shuffled(a)], policy=policy), books)


@settings(max_examples=100, deadline=None)
@given(nodes(), POLICIES)
def test_closing_twice_gives_the_same(node: NodeTrace, policy: Policy) -> None:
    assert same(close_books([node], policy=policy), close_books([node], policy=policy))


@settings(max_examples=100, deadline=None)
@given(nodes(), POLICIES, st.integers(1, 7))
def test_what_was_settled_stays_when_readings_follow(node: NodeTrace, policy: Policy, count: int) -> None:
    """Books closed while the study runs are the beginning of the books closed later."""
    later = replace(  # a process alone is read at every reading, or else by its marks
        node, activities=tuple(replace(a, own_ns=np.maximum.accumulate(a.own_ns)) for a in node.activities)
    )
    known = later.until(count)
    early, late = allocate(known, policy), allocate(later, policy)
    kept = late.interval < len(known.t_ns) - 1
    found = [
        sorted(
            zip(
                c.interval[k].tolist(),
                c.component[k].tolist(),
                [c.accounts[i] for i in c.account[k].tolist()],
                c.energy_uj[k].tolist(),
                strict=True,
            )
        )
        for c, k in ((early, np.ones(len(early.interval), dtype=bool)), (late, kept))
    ]
    assert found[0] == found[1]


@settings(max_examples=200, deadline=None)
@given(nodes_with_lanes(), POLICIES, st.none() | anywhere)
def test_books_balance_whatever_lanes_do(node: NodeTrace, policy: Policy, seal: int | None) -> None:
    node = replace(node, offset_ns=0)
    books, ledger = close_books([node], policy=policy, seal_ns=seal)
    assert books.residual_uj == 0
    assert sum(c.metered_uj for c in books.components) == books.metered_uj == ledger.energy_uj.sum()
    assert "" not in books.accounts


@settings(max_examples=200, deadline=None)
@given(nodes_with_lanes())
def test_lanes_have_what_their_process_would_have_had(node: NodeTrace) -> None:
    plain = replace(node, activities=tuple(replace(a, lanes=()) for a in node.activities))
    by_cell = []
    for found in (cut(node), cut(plain)):
        assert (found.duration_us >= 0).all()
        assert (found.own_us >= 0).all()
        cells: dict[tuple[int, int], tuple[int, int]] = {}
        rows = zip(
            *(getattr(found, c).tolist() for c in ("activity", "interval", "duration_us", "own_us")), strict=True
        )
        for position, interval, duration_us, own_us in rows:
            before = cells.get((position, interval), (0, 0))
            cells[position, interval] = before[0] + duration_us, before[1] + own_us
        by_cell.append(cells)
    assert by_cell[0] == by_cell[1]


def durations(node: NodeTrace) -> dict[tuple[int, str], int]:
    found = cut(node)
    sums: dict[tuple[int, str], int] = {}
    rows = zip(found.interval.tolist(), found.account.tolist(), found.duration_us.tolist(), strict=True)
    for interval, account, duration_us in rows:
        key = interval, found.accounts[account]
        sums[key] = sums.get(key, 0) + duration_us
    return {key: duration_us for key, duration_us in sums.items() if duration_us}


@settings(max_examples=200, deadline=None)
@given(activities("p0", 6), lanes())
def test_one_lane_is_as_the_same_marks_of_its_process(process: ActivityTrace, lane: LaneTrace) -> None:
    t_ns = np.arange(6, dtype=np.int64) * 1_000 * MS
    none = np.zeros(0, dtype=np.int64)
    bare = replace(process, mark_ns=none, mark_cpu_ns=none, mark_account=(), mark_audit_ns=None)
    marked = replace(
        bare,
        mark_ns=lane.mark_ns,
        mark_cpu_ns=lane.mark_cpu_ns,
        mark_account=tuple(a or process.base_account for a in lane.mark_account),
    )
    node = NodeTrace(node="n", t_ns=t_ns, cpu_slots=1.0, components=())
    threaded = replace(node, activities=(replace(bare, lanes=(lane,)),))
    assert durations(threaded) == durations(replace(node, activities=(marked,)))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(0, 10**8), min_size=3, max_size=3), st.booleans())
def test_energy_of_two_lanes_is_as_their_cpu_time(ratio: int, steps: list[int], shared: bool) -> None:
    seconds = np.arange(4, dtype=np.int64) * 1_000 * MS
    names = (PHASES[0], PHASES[2])
    threads = tuple(
        LaneTrace(mark_ns=seconds[[0, -1]], mark_cpu_ns=np.array([0, 600 * MS * part]), mark_account=(name, ""))
        for name, part in zip(names, (ratio, 1), strict=True)
    )
    process = ActivityTrace(
        key="p", begin_ns=0, base_account="study/s/search/sampler", tree_ns=seconds, own_ns=seconds, lanes=threads
    )
    component = ComponentTrace(name="cpu" if not shared else "gpu", energy_uj=running(steps))
    process = replace(process, gpu_slots=1.0)
    node = NodeTrace(
        node="n", t_ns=seconds, cpu_slots=1.0, gpu_slots=1.0, components=(component,), activities=(process,)
    )
    charges = allocate(node)
    paid = {name: int(charges.energy_uj[charges.account == charges.accounts.index(name)].sum()) for name in names}
    assert sum(paid.values()) == sum(steps)
    part = 1 if shared else ratio  # of a GPU nobody knows what each thread used
    assert abs(paid[names[0]] - part * paid[names[1]]) <= 3 * (part + 1) + sum(steps) * 1e-5


members = st.lists(
    st.tuples(
        st.integers(0, 3), st.one_of(st.integers(0, 9), st.integers(0, 2**40), st.integers(0, 2**62)), st.integers(0, 4)
    ),
    min_size=1,
    max_size=12,
)


def weighed(rows: list[tuple[int, int, int]], totals: list[int]) -> tuple[np.ndarray, ...]:
    group, weight, rank = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    has_weight = [any(g == i and w > 0 for g, w, _ in rows) for i in range(4)]
    whole = np.array([t if has_weight[i] else 0 for i, t in enumerate(totals)], dtype=np.int64)
    return whole, group, weight, rank


four_totals = st.lists(st.one_of(st.integers(0, 99), st.integers(0, 2**50)), min_size=4, max_size=4)


@settings(max_examples=300, deadline=None)
@given(members, four_totals)
def test_apportioned_shares_sum_to_the_total_and_keep_within_one_of_the_quota(
    rows: list[tuple[int, int, int]], totals: list[int]
) -> None:
    whole, group, weight, rank = weighed(rows, totals)
    shares = apportion(whole, group, weight, rank)
    for i, total in enumerate(whole.tolist()):
        mine = group == i
        assert sum(shares[mine].tolist()) == total
        weights = sum(weight[mine].tolist())
        for share, w in zip(shares[mine].tolist(), weight[mine].tolist(), strict=True):
            assert share >= 0
            assert abs(share * weights - total * w) < max(weights, 1)


@settings(max_examples=200, deadline=None)
@given(members, four_totals, st.randoms(use_true_random=False))
def test_apportioning_does_not_depend_on_the_order_of_members(
    rows: list[tuple[int, int, int]], totals: list[int], random: Random
) -> None:
    rows = [(g, w, position) for position, (g, w, _) in enumerate(rows)]  # ranks that decide every tie
    shares = dict(zip([r for _, _, r in rows], apportion(*weighed(rows, totals)).tolist(), strict=True))
    random.shuffle(rows)
    assert dict(zip([r for _, _, r in rows], apportion(*weighed(rows, totals)).tolist(), strict=True)) == shares


@settings(max_examples=200, deadline=None)
@given(members, four_totals)
def test_more_weight_never_gets_less(rows: list[tuple[int, int, int]], totals: list[int]) -> None:
    whole, group, weight, rank = weighed(rows, totals)
    shares = apportion(whole, group, weight, rank).tolist()
    for i in range(len(rows)):
        for j in range(len(rows)):
            if group[i] == group[j] and weight[i] > weight[j]:
                assert shares[i] >= shares[j]


# Journals. The node's clock stands at UP_NS when the study begins; records follow one another as processes write them.

UP_NS = 5_000_000 * MS
WALL_NS = 1_700_000_000_000 * MS


def header(role: str, pid: int, at_ns: int, **more: object) -> Header:
    fields: dict[str, object] = {
        "role": role,
        "study": "u",
        "node": "node-a",
        "boot": "boot",
        "pidns": "pid:[1]",
        "pid": pid,
        "start": 7,
        "wall_ns": WALL_NS + at_ns,
        "mono_ns": UP_NS + at_ns,
        "started_ns": UP_NS + at_ns - 10 * MS,
        "cpu_ns": 0,
        **more,
    }
    return Header(**fields)


Journals = dict[str, list[Record]]


@st.composite
def journals(draw: st.DrawFn) -> Journals:
    """Journals of one node: an agent (and perhaps the one that took over from it), a driver and some workers."""
    files: Journals = {}
    pids = list(range(100, 100 + draw(st.integers(1, 4))))
    lives: dict[int, tuple[int, int | None]] = {}
    for pid in pids:
        begin = draw(st.integers(0, 2_000 * MS))
        marks = sorted(draw(st.lists(st.integers(begin, 6_000 * MS), max_size=5)))
        cpu = running([draw(steps_ns) for _ in marks])[1:].tolist()
        driver = pid == 100
        base = "study/u/search/orchestration" if driver else draw(st.sampled_from(PHASES)).replace("/s/", "/u/")
        records: list[Record] = [
            header("marks", pid, begin, account=base, cpu_slots=draw(slots), driver=driver, holds_rest=driver)
        ]
        records += [
            Mark(t=UP_NS + t, c=c, a=draw(st.sampled_from(PHASES)).replace("/s/", "/u/"))
            for t, c in zip(marks, cpu, strict=True)
        ]
        end = draw(st.none() | st.integers(marks[-1] if marks else begin, 7_000 * MS))
        if driver and draw(st.booleans()):
            records.append(Seal(t=UP_NS + draw(st.integers(marks[-1] if marks else begin, 7_000 * MS))))
        elif end is not None:
            records.append(Closed(t=UP_NS + end))
        lives[pid] = (begin, end)
        files[f"marks-node-a-{pid}-7"] = records
    moments = sorted(draw(st.lists(st.integers(0, 6_000 * MS), min_size=1, max_size=8)))
    handover = draw(st.integers(0, len(moments)))
    for agent, (pid, ours) in enumerate([(50, moments[:handover]), (51, moments[handover:])]):
        if ours:
            files[f"readings-node-a-{pid}-7"] = draw(readings(pid, ours, files, lives, agent))
    return files


@st.composite
def readings(
    draw: st.DrawFn, pid: int, moments: list[int], files: Journals, lives: dict[int, tuple[int, int | None]], agent: int
) -> list[Record]:
    records: list[Record] = [
        header("readings", pid, moments[0]),
        NodeRecord(cpu_slots=2.0, gpu_slots=0.0),
        ComponentRecord(name="cpu", meter="m", provenance="modelled", static_w=draw(st.none() | st.just(1.5))),
        ComponentRecord(name="ram", meter="m", provenance="constant", static_w=20.0, low_w=5.0, high_w=30.0),
    ]
    seen: set[int] = set()
    gone: set[int] = set()
    energy = dict.fromkeys(("cpu", "ram"), 0)
    used = dict.fromkeys(lives, (0, 0))
    busy = 0
    for now in moments:
        usage = {}
        for p, (begin, _) in lives.items():
            if begin <= now and p not in gone:
                if p not in seen:
                    seen.add(p)
                    first = files[f"marks-node-a-{p}-7"][0]
                    assert isinstance(first, Header)
                    records.append(
                        Seen(
                            key=first.key,
                            study="other" if p == 103 else "u",
                            account=first.account,
                            begin_ns=first.mono_ns,
                            cpu_slots=first.cpu_slots,
                            holds_rest=first.holds_rest,
                        )
                    )
                step = draw(steps_ns)
                used[p] = (used[p][0] + step, used[p][1] + draw(st.sampled_from([0, step // 2, step])))
                usage[f"{p}-7"] = used[p]
        energy = {name: e + draw(steps_uj) for name, e in energy.items()}
        busy += draw(steps_ns)
        records.append(Reading(t=UP_NS + now, e=energy, u=usage, b=busy))
        for p, (_, end) in lives.items():
            if end is not None and end <= now and p in seen - gone:
                gone.add(p)
                records.append(Gone(key=f"{p}-7", t=UP_NS + now))
    return records


def write(folder: Path, files: Journals) -> StudyFolder:
    study = StudyFolder(folder)
    about = {"name": "s", "space": "x", "sampler": "tpe", "metric": "m", "direction": "maximize"}
    study.create(StudyFile(uuid="u", study=about, config={}, parameters={}, versions={}, hardware={}))
    for name, (first, *rest) in files.items():
        assert isinstance(first, Header)
        with JournalWriter(study.journals / f"{name}.jsonl", first) as writer:
            for record in rest:
                writer.append(record)
    return study


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(journals(), POLICIES, st.randoms(use_true_random=False))
def test_journals_give_balanced_books_whatever_their_names(files: Journals, policy: Policy, random: Random) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        plain, renamed = Path(scratch) / "plain", Path(scratch) / "renamed"
        write(plain, files)
        names = [f"{number:02d}" for number in range(len(files))]
        random.shuffle(names)
        write(renamed, dict(zip(names, files.values(), strict=True)))
        record, ledger = read_study(plain, policy)
        assert record.books.residual_uj == 0
        assert all(energy >= 0 for energy in record.books.accounts.values())
        other, other_ledger = read_study(renamed, policy)
        assert same((record.books, ledger), (other.books, other_ledger))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(journals(), POLICIES, st.data())
def test_a_torn_last_line_never_raises_and_keeps_what_was_settled(
    files: Journals, policy: Policy, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    with tempfile.TemporaryDirectory() as scratch:
        whole = write(Path(scratch), files)
        path = whole.journals / f"{name}.jsonl"
        _, before = read_study(whole.path, policy)
        content = path.read_bytes()
        last = content.splitlines(keepends=True)[-1]
        path.write_bytes(content[: -data.draw(st.integers(1, len(last)))])
        record, after = read_study(whole.path, policy)
        assert record.books.residual_uj == 0
        torn = files[name][-1]
        since = getattr(torn, "t", 0) + WALL_NS - UP_NS if not isinstance(torn, Header) else 0
        if isinstance(torn, Seal):  # an unsealed study goes on to the last reading
            since = int(before.end_ns.max(initial=0))
        assert settled(before, since) == settled(after, since)


def settled(ledger: Ledger, until_ns: int) -> list[tuple[object, ...]]:
    """Entries of intervals that ended before some time."""
    columns = (ledger.start_ns, ledger.end_ns, ledger.component, ledger.account, ledger.energy_uj)
    return sorted(row for row in zip(*(c.tolist() for c in columns), strict=True) if row[1] < until_ns)


@settings(max_examples=100, deadline=None)
@given(nodes("a"), st.lists(st.tuples(anywhere, anywhere), max_size=3))
def test_coverage_is_a_share_whatever_the_sessions(node: NodeTrace, lives: list[tuple[int, int]]) -> None:
    sessions = [Session(start_ns=min(s), begin_ns=min(s), end_ns=max(s)) for s in sorted(lives)]
    books, _ = close_books([replace(node, offset_ns=0)], sessions=sessions)
    assert books.coverage is not None
    assert 0 <= books.coverage <= 1
    assert books.unmetered_start_s is None or books.unmetered_start_s >= 0
