"""What the code of a module shares with the rest of its program, kept as it is while a copy of the module runs.

A copy has its own weights, lists and generators, but the globals of the files it is written in, the attributes of its
classes, and what its functions close over are those of the original.
"""

from __future__ import annotations

import copy
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

_CONTAINERS = (list, dict, set, deque)
_MOST_ITEMS = 100_000
_INSTALLED = ("site-packages", "dist-packages")


@contextmanager
def shared_state_kept(module: torch.nn.Module) -> Iterator[None]:
    """Put back what a block changes in the user's own files and classes that a module is made of.

    These are counters, lists, dictionaries, sets and random generators, and whatever was replaced by a tensor on the
    meta device. Anything else stays changed (a flag that something was set up once), and so does what libraries keep.
    """
    undo = [back for namespace in _namespaces(module) for back in _undo(namespace)]
    try:
        yield
    finally:
        for back in undo:
            back()


def closed_over(function: types.FunctionType, memo: dict[int, Any]) -> types.FunctionType:
    """A function that closes over copies where the original closes over what was copied, or over containers.

    Args:
        function: The function; where it closes over nothing it is returned itself.
        memo: Copies by the identity of their originals, as of ``copy.deepcopy``.
    """
    if not function.__closure__:
        return function
    cells = []
    for cell in function.__closure__:
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            content = None
        known = id(content) in memo or isinstance(content, _CONTAINERS)
        cells.append(types.CellType(copy.deepcopy(content, memo)) if known else cell)
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells)
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _namespaces(module: torch.nn.Module) -> list[Any]:
    """The classes of the user's own that a module is made of, and the files these are written in."""
    classes = {kind for part in module.modules() for kind in type(part).__mro__}
    own = [kind for kind in classes if _is_own(sys.modules.get(kind.__module__))]
    return [*own, *{id(file): file for kind in own if (file := sys.modules.get(kind.__module__))}.values()]


def _is_own(file: types.ModuleType | None) -> bool:
    if file is None or file.__name__.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return False
    path = getattr(file, "__file__", None) or ""
    return not any(part in path for part in _INSTALLED)


def _undo(namespace: Any) -> Iterator[Callable[[], None]]:
    """Steps that put back what a namespace holds now."""
    values = dict(vars(namespace))
    yield partial(_rebind, namespace, values)
    for value in values.values():
        back = _kept(value)
        if back is not None:
            yield back


def _kept(value: Any) -> Callable[[], None] | None:
    """What puts back the content of a value; ``None``: its content is left alone."""
    match value:
        case list() | dict() | set() | deque() if type(value) in _CONTAINERS and len(value) <= _MOST_ITEMS:
            return partial(_refill, value, copy.copy(value))
        case random.Random():
            return partial(value.setstate, value.getstate())
        case np.random.Generator():
            return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
        case np.random.RandomState():
            return partial(value.set_state, value.get_state())
        case torch.Generator():
            return partial(_set_state, value, value.get_state())
        case _:
            return None


def _set_state(generator: torch.Generator, state: torch.Tensor) -> None:
    generator.set_state(state)


def _rebind(namespace: Any, values: Mapping[str, Any]) -> None:
    for name, now in dict(vars(namespace)).items():
        before = values.get(name)
        if now is before:
            continue
        on_meta = isinstance(now, torch.Tensor) and now.is_meta
        if name in values and (on_meta or type(before) in {int, float}):
            setattr(namespace, name, before)
        elif on_meta:
            delattr(namespace, name)


def _refill(value: Any, items: Any) -> None:
    """Give a container its items back, where they are not the same objects any more."""
    if len(value) == len(items) and all(map(_is, _flat(value), _flat(items))):
        return
    value.clear()
    (value.extend if isinstance(value, list | deque) else value.update)(items)


def _flat(container: Any) -> Iterator[Any]:
    for item in container.items() if isinstance(container, dict) else container:
        yield from item if isinstance(container, dict) else (item,)


def _is(one: Any, other: Any) -> bool:
    return one is other
