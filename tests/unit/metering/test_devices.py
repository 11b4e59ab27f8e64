"""Device time goes to the tree that a process is in when it uses the device."""

from __future__ import annotations

from dataclasses import dataclass, field

from auditor.metering.devices import DeviceTime

GPU = "gpu:A"


@dataclass
class Trees:
    """Who belongs to which tree, as the test says; ``None``: lives, and is of no tree."""

    of: dict[int, str | None] = field(default_factory=dict)

    def owner(self, pid: int) -> str | None:
        return self.of.get(pid)

    def lives(self, pid: int) -> bool:
        return pid in self.of


def test_processes_of_a_tree_are_summed_and_strangers_go_under_the_empty_key() -> None:
    devices = DeviceTime(Trees({1: "a", 2: "a", 3: "b", 4: None}))
    assert devices.read({GPU: {1: 5, 2: 7, 3: 11, 4: 13}}) == {GPU: {"": 13, "a": 12, "b": 11}}
    assert devices.read({GPU: {1: 6, 2: 7, 3: 11, 4: 14}}) == {GPU: {"": 14, "a": 13, "b": 11}}


def test_what_a_process_used_before_it_was_registered_is_not_its_trees() -> None:
    trees = Trees({1: None})
    devices = DeviceTime(trees)
    devices.read({GPU: {1: 100}})
    trees.of[1] = "a"
    assert devices.read({GPU: {1: 130}}) == {GPU: {"": 100, "a": 30}}


def test_what_a_process_uses_after_it_was_let_go_is_nobodys() -> None:
    trees = Trees({1: "a"})
    devices = DeviceTime(trees)
    devices.read({GPU: {1: 100}})
    trees.of[1] = None
    assert devices.read({GPU: {1: 130}}) == {GPU: {"": 30, "a": 100}}


def test_what_a_driver_says_late_of_an_ended_process_is_still_its_trees() -> None:
    trees = Trees({1: "a", 2: None})
    devices = DeviceTime(trees)
    devices.read({GPU: {1: 100}})
    del trees.of[1]
    assert devices.read({GPU: {1: 110, 2: 5}}) == {GPU: {"": 5, "a": 110}}


def test_a_driver_that_names_processes_of_elsewhere_tells_nothing() -> None:
    trees = Trees({1: "a"})
    devices = DeviceTime(trees)
    assert devices.read({GPU: {71: 100}, "gpu:B": {}}) == {"gpu:B": {"": 0}}
    assert devices.read({GPU: {71: 120, 1: 30}}) == {GPU: {"": 120, "a": 30}}


def test_a_component_whose_driver_says_nothing_for_a_while_goes_on_where_it_was() -> None:
    devices = DeviceTime(Trees({1: "a"}))
    devices.read({GPU: {1: 100}})
    assert devices.read({}) == {}
    assert devices.read({GPU: {1: 150}}) == {GPU: {"": 0, "a": 150}}
