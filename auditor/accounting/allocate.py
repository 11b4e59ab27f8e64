"""Charging every metered microjoule of a node to exactly one account.

Per interval and component with metered energy E over dt: the static part S = min(E, static_w * dt) goes by slots
reserved (policy ``reserved``) or to idle (``direct``); the dynamic part D = E - S goes by usage: CPU time of process
trees, resident bytes, device time of a GPU; where the readings record none, by reservation. The activity's share is
split over its phases: what was reserved by time, since a reservation is held whatever the process does; dynamic CPU
energy by the process's own CPU time, or by time where it used none; of a GPU by time and fitted power. Everything is
integer microjoules by largest remainder, so the charges of an interval sum to it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from auditor.accounting.apportion import apportion
from auditor.accounting.phases import power_weights
from auditor.accounting.reservations import Reservations, reservations_of
from auditor.accounting.segments import Segments, account_at, cut
from auditor.accounting.trace import ComponentTrace, NodeTrace
from auditor.accounting.usage import UsageRows, usage_of
from auditor.domain.accounts import node_account

Int64 = NDArray[np.int64]

_NS_PER_US = 1_000


class Policy(StrEnum):
    """How static energy is shared."""

    RESERVED = "reserved"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Charges of one node: columns of equal length ``(n,)``.

    Attributes:
        interval: Index of the interval (from reading ``i`` to reading ``i + 1``).
        component: Index of the component.
        account: Index into ``accounts``.
        energy_uj: Microjoules, above 0.
        accounts: Account names.
        by_policy: Microjoules by account under each policy, ``(a,)``; the columns are those of the policy asked for.
        cpu_us: CPU microseconds that processes themselves used while they worked for each account, ``(a,)``.
        shared_by_lease_uj: Energy of GPUs that several held at once and whose driver told no usage, by component.
        phases_fitted_uj: GPU energy of intervals in which its user worked for several accounts, by component.
    """

    interval: Int64
    component: Int64
    account: Int64
    energy_uj: Int64
    accounts: tuple[str, ...]
    by_policy: Mapping[Policy, Int64]
    cpu_us: Int64
    shared_by_lease_uj: Mapping[str, int] = field(default_factory=dict)
    phases_fitted_uj: Mapping[str, int] = field(default_factory=dict)


def allocate(trace: NodeTrace, policy: Policy = Policy.RESERVED, segments: Segments | None = None) -> Charges:
    """Charge the energy of all intervals of a trace; the sum over an interval and component is its energy exactly.

    Args:
        trace: One node's unbroken readings, with its activities.
        policy: How static energy is shared in the columns; both policies are summed.
        segments: Its activities, cut by :func:`accounts_cut`; ``None``: they are cut here.

    Source: the allocation of METHODS; static power by reservation as in SCI (ISO/IEC 21031).
    """
    work = _Allocation(trace, segments or accounts_cut(trace))
    if len(trace.t_ns) > 1:
        for number, component in enumerate(trace.components):
            work.charge(number, component)
    return work.charges(policy)


def accounts_cut(trace: NodeTrace) -> Segments:
    """Segments of a trace whose account index has the accounts of the node too."""
    return cut(trace, tuple(node_account(trace.node, p) for p in ("idle", "foreign", "unexplained")))


class _Posting:
    """Collects charges; zero charges are dropped."""

    def __init__(self) -> None:
        self._rows: list[tuple[Int64, Int64, Int64, Int64]] = []

    def add(self, component: int, interval: Int64, account: Int64 | int, energy: Int64) -> None:
        keep = energy > 0
        accounts = np.broadcast_to(np.asarray(account, dtype=np.int64), energy.shape)
        self._rows.append(
            (interval[keep], np.full(int(keep.sum()), component, dtype=np.int64), accounts[keep], energy[keep])
        )

    def columns(self, *others: _Posting) -> list[Int64]:
        rows = [row for posting in (self, *others) for row in posting._rows]
        return [np.concatenate([r[c] for r in rows]) if rows else np.zeros(0, dtype=np.int64) for c in range(4)]


class _Allocation:
    """The charges of one trace while they are made; dynamic energy goes the same way under both policies."""

    def __init__(self, trace: NodeTrace, segments: Segments) -> None:
        self._trace = trace
        self._segments = segments
        self._index = {name: position for position, name in enumerate(segments.accounts)}
        self._idle, self._foreign, self._unexplained = (
            self._index[node_account(trace.node, p)] for p in ("idle", "foreign", "unexplained")
        )
        self._intervals = np.arange(max(0, len(trace.t_ns) - 1))
        self._duration_us = np.diff(trace.t_ns // _NS_PER_US)
        self._dynamic = _Posting()
        self._static = {policy: _Posting() for policy in Policy}
        self._shared_by_lease: dict[str, int] = {}
        self._phases_fitted: dict[str, int] = {}

    def charge(self, number: int, component: ComponentTrace) -> None:
        """Charge all intervals of a component."""
        energy = np.diff(component.energy_uj)
        if (energy < 0).any():
            raise ValueError(f"{component.name} on {self._trace.node}: cumulative energy decreases")
        if not component.attributable:
            self._dynamic.add(number, self._intervals, self._unexplained, energy)
            return
        usage = usage_of(self._trace, component)
        slots = reservations_of(self._trace, self._segments, component)
        if component.kind not in {"cpu", "gpu"} and usage is None:  # it goes by reservation, whatever it is
            static = energy
        else:
            static = np.minimum(energy, np.rint((component.static_w or 0.0) * self._duration_us).astype(np.int64))
        self._static[Policy.RESERVED].add(number, *self._by_reservation(static, slots))
        self._static[Policy.DIRECT].add(number, self._intervals, self._idle, static)
        dynamic = energy - static
        if component.kind == "cpu" and usage is not None:
            self._by_usage(number, component, dynamic, usage)
            return
        if usage is not None:
            told = usage.known & (usage.used() + usage.others > 0)
            self._by_usage(number, component, np.where(told, dynamic, 0), usage)
            dynamic = np.where(told, 0, dynamic)
        self._by_lease(number, component, dynamic, slots, usage)

    def charges(self, policy: Policy) -> Charges:
        """Everything charged so far."""
        columns = self._dynamic.columns(self._static[policy])
        accounts = self._segments.accounts
        cpu_us = np.zeros(len(accounts), dtype=np.int64)
        np.add.at(cpu_us, self._segments.account, self._segments.own_us)
        sums = {}
        for each, posting in self._static.items():
            _, _, account, energy = self._dynamic.columns(posting)
            sums[each] = np.zeros(len(accounts), dtype=np.int64)
            np.add.at(sums[each], account, energy)
        return Charges(
            interval=columns[0],
            component=columns[1],
            account=columns[2],
            energy_uj=columns[3],
            accounts=accounts,
            by_policy=sums,
            cpu_us=cpu_us,
            shared_by_lease_uj=self._shared_by_lease,
            phases_fitted_uj=self._phases_fitted,
        )

    def _by_reservation(
        self, energy: Int64, slots: Reservations, *, leases_first: bool = False
    ) -> tuple[Int64, Int64, Int64]:
        """Interval, account and share of each segment and then of others, split by slot-time.

        First by process and then over the accounts of each, so that every study on a machine comes to the same figure
        for a process, whoever's it is. With ``leases_first`` what nobody reserved counts only where nobody reserved
        anything.
        """
        holder, idle = slots.holder, slots.idle
        if leases_first:
            leased = slots.reserved > 0
            holder, idle = np.where(leased[:, None], 0, holder), np.where(leased, 0, idle)
        # someone must take it where no slot-time exists at all (two readings at one instant)
        nobody = (slots.reserved + holder.sum(axis=1) + idle == 0).astype(np.int64)
        cells, cell = self._cells()
        activities = len(self._trace.activities)
        reserved = np.zeros(len(cells), dtype=np.int64)
        np.add.at(reserved, cell, slots.segment)
        everywhere = np.ones(len(energy), dtype=np.int64)
        rest = len(slots.holders) + 1
        shares = apportion(
            energy,
            np.concatenate([cells // max(activities, 1), *([self._intervals] * rest)]),
            np.concatenate([reserved, *holder.T, idle + nobody]),
            np.concatenate([cells % max(activities, 1), *((activities + n) * everywhere for n in range(rest))]),
        )
        payers = [self._index[self._trace.activities[h].base_account] for h in slots.holders]
        segments = self._segments
        return (
            np.concatenate([segments.interval, *([self._intervals] * rest)]),
            np.concatenate([segments.account, *(p * everywhere for p in payers), self._idle * everywhere]),
            np.concatenate(
                [
                    apportion(shares[: len(cells)], cell, slots.segment, segments.account),
                    shares[len(cells) :],
                ]
            ),
        )

    def _by_lease(
        self, number: int, component: ComponentTrace, energy: Int64, slots: Reservations, usage: UsageRows | None
    ) -> None:
        """Dynamic energy whose users nobody tells: to who holds a lease, all of it where static power is known."""
        if component.kind != "gpu":
            self._dynamic.add(number, *self._by_reservation(energy, slots))
            return
        interval, account, shares = self._by_reservation(energy, slots, leases_first=component.static_w is not None)
        segments = len(slots.segment)
        cells, cell = self._cells()
        totals = np.zeros(len(cells), dtype=np.int64)
        np.add.at(totals, cell, shares[:segments])
        shares[:segments] = self._by_power(component, cell, totals)
        self._dynamic.add(number, interval, account, shares)
        held = slots.segment > 0
        pairs = np.unique(np.stack([self._segments.interval[held], self._segments.activity[held]], axis=1), axis=0)
        several = np.bincount(pairs[:, 0], minlength=len(energy)) > 1
        if usage is not None:  # known that nobody computed: the split of a lease is right then
            several &= ~usage.known
        if (shared := int(energy[several].sum())) > 0:
            self._shared_by_lease[component.name] = shared

    def _by_usage(self, number: int, component: ComponentTrace, energy: Int64, usage: UsageRows) -> None:
        """Split by usage; where nobody used anything it is unexplained.

        The agent, which serves several studies, counts among the others first: each study then bears its part of it.
        """
        intervals, activities = len(energy), len(self._trace.activities)
        unknown = (usage.used() + usage.others == 0).astype(np.int64)
        group = np.concatenate([usage.interval, self._intervals, self._intervals])
        weight = np.concatenate([usage.amount, usage.others, unknown])
        rank = np.concatenate([usage.activity, np.repeat([activities, activities + 1], intervals)])
        shares = apportion(energy, group, weight, rank)
        rows = len(usage.interval)
        rest = shares[rows : rows + intervals]
        agents = _part_of(rest, usage.agent, usage.whole)
        self._dynamic.add(number, self._intervals, self._foreign, rest - agents)
        self._dynamic.add(number, self._intervals, self._unexplained, shares[rows + intervals :])
        self._over_phases(number, component, usage, shares[:rows])
        for agent in self._trace.activities:
            if agent.key == self._trace.agent:
                self._dynamic.add(number, self._intervals, self._index[agent.base_account], agents)

    def _cells(self) -> tuple[Int64, Int64]:
        """What activities did in an interval: all such cells in order of interval and activity, and each segment's."""
        cells, cell = np.unique(
            self._segments.interval * len(self._trace.activities) + self._segments.activity, return_inverse=True
        )
        return cells, cell

    def _over_phases(self, number: int, component: ComponentTrace, usage: UsageRows, shares: Int64) -> None:
        """Split each activity's share of an interval over the accounts it worked for meanwhile."""
        segments, activities = self._segments, len(self._trace.activities)
        cells, cell = self._cells()
        own, time, totals = (np.zeros(len(cells), dtype=np.int64) for _ in range(3))
        np.add.at(own, cell, segments.own_us)
        np.add.at(time, cell, segments.duration_us)
        by_own = (own > 0) if component.kind == "cpu" else np.zeros(len(cells), dtype=bool)
        splittable = by_own | (time > 0)
        wanted = usage.interval * activities + usage.activity
        place = np.minimum(np.searchsorted(cells, wanted), max(0, len(cells) - 1))
        found = (cells[place] == wanted) & splittable[place] if len(cells) else np.zeros(len(wanted), dtype=bool)
        totals[place[found]] = shares[found]
        if component.kind == "gpu":
            split = self._by_power(component, cell, totals)
        else:
            weight = np.where(by_own[cell], segments.own_us, segments.duration_us)
            split = apportion(totals, cell, weight, segments.account)
        self._dynamic.add(number, segments.interval, segments.account, split)
        for row in np.flatnonzero(~found & (shares > 0)).tolist():  # used something outside its life
            at = int(usage.interval[row])
            activity = self._trace.activities[int(usage.activity[row])]
            before_ns = int(self._trace.t_ns[max(0, at - 1)])  # what is seen late may still be of its life
            over = activity.end_ns is not None and before_ns >= activity.end_ns
            account = account_at(activity, self._trace.t_ns[at + 1 : at + 2])[0]
            payer = self._foreign if over else self._index[account]
            self._dynamic.add(number, usage.interval[row : row + 1], payer, shares[row : row + 1])

    def _by_power(self, component: ComponentTrace, cell: Int64, totals: Int64) -> Int64:
        """Split what an activity used of a GPU in an interval by time and the power of its phases."""
        segments = self._segments
        several = np.bincount(cell[segments.duration_us > 0], minlength=len(totals)) > 1
        weight = segments.duration_us
        if (fitted := int(totals[several].sum())) > 0:
            self._phases_fitted[component.name] = self._phases_fitted.get(component.name, 0) + fitted
            power = power_weights(
                cell, segments.activity, segments.account, segments.duration_us, totals, segments.accounts
            )
            weighed, any_weight = weight * power, np.zeros(len(totals), dtype=np.int64)
            np.add.at(any_weight, cell, weighed)
            weight = np.where(any_weight[cell] > 0, weighed, weight)
        return apportion(totals, cell, weight, segments.account)


def _part_of(total: Int64, part: Int64, whole: Int64) -> Int64:
    """``total * part / whole`` rounded down, in Python integers where that could pass 2**63; 0 where is no whole."""
    if int(total.max(initial=0)) * int(part.max(initial=0)) > 2**63 - 1:
        return np.array(
            [t * p // max(w, 1) for t, p, w in zip(*map(np.ndarray.tolist, (total, part, whole)), strict=True)]
        )
    return total * part // np.maximum(whole, 1)
