"""A search against random trials at equal energy, from one run."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.analysis.groups import Course, best_at, end_of

# Past half of its energy one random arm says too little about another one.
FAIR_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomArm:
    """Order of a search and its random arm at equal energy; how sure that is, one run can't tell.

    Attributes:
        energy: Energy that each of them had used, in the unit of the courses.
        best: Best of the search by then.
        random: Best of the random arm by then.
        delta: By how much the search is the better one; positive for better, also where lower is better. It
            says which was ahead in this run. An interval takes independent runs (``groups.compare_at``).
    """

    energy: float
    best: float
    random: float
    delta: float


def random_arm_difference(best_course: Course, random_course: Course, *, maximize: bool = True) -> RandomArm | None:
    """Best of a search less best of its random arm, at the largest energy at which that is fair.

    That is half of the arm's energy, or the end of the search where it used less than that: the best that an
    arm finds by its end is one draw, and its own trials in other orders are no other draws.

    Args:
        best_course: The search without its random arm, against its own cumulative energy.
        random_course: The random arm, against its own cumulative energy.
        maximize: Whether higher is better.

    Returns:
        ``None`` where one of both completed nothing by then.

    Source: Li and Talwalkar, "Random search and reproducibility for neural architecture search", UAI 2019.
    """
    search_end, arm_end = end_of(best_course), end_of(random_course)
    if search_end is None or arm_end is None:
        return None
    energy = min(search_end, FAIR_SHARE * arm_end)
    best, random = best_at(best_course, energy), best_at(random_course, energy)
    if best is None or random is None:
        return None
    return RandomArm(energy=energy, best=best, random=random, delta=best - random if maximize else random - best)
