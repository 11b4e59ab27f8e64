"""How each figure is computed, and what to beware of: in plain words, by its path in the statement."""

from __future__ import annotations

METHODS = {
    "energy.search_uj": (
        "Each machine is metered once and every microjoule is charged to exactly one account: idle power by the "
        "policy named below, the rest by use. What is counted and what is not is listed further down."
    ),
    "energy.times_default": (
        "Energy of the search over the energy of training the default once. What it took to find that default, before "
        "this study, is not counted."
    ),
    "carbon.location_based_g": (
        "This energy × PUE × carbon intensity of the grid. Intensity and PUE are assumptions, not measurements; "
        "making the hardware is not in it."
    ),
    "cost.total": (
        "This energy × PUE × price of a kWh, and device-hours × price of a device-hour. Prices are given, not measured."
    ),
    "cost.device_hours": "Device-hours × the price given.",
    "cost.energy": "This energy × PUE × the price given.",
    "compute.wall_s": "From the first to the last reading that is on the books.",
    "compute.device_s": "Seconds for which the study reserved devices, used or not.",
    "compute.flops": (
        "Counted once for each architecture on a model without data (a multiplication and an addition are two), "
        "forwards and backwards, times the batches. Operators that the counter does not know are missing."
    ),
    "gain.delta_test": (
        "Mean of the winner less mean of the default on the test set (the other way round where lower is better), each "
        "trained anew on fresh seeds. It judges this winner; a claim about the search method takes several whole "
        "searches."
    ),
    "gain.ci95": (
        "Welch's interval over seeds (Bouthillier et al. 2021). It holds the noise of training, not that of the "
        "choice of the test set."
    ),
    "gain.test_sampling": (
        "Winner against default on the same test examples, each scored by its mean over seeds: paired bootstrap (BCa) "
        "over examples. It holds the noise of which examples are in the test set, apart from that of training."
    ),
    "gain.detectable": (
        "The gain that this many seeds would show in 80 of 100 such studies, from the spread over seeds."
    ),
    "gain.p_better": (
        "Of all pairs of a winner's and a default's training, those that the winner wins; ties count half."
    ),
    "gain.delta": (
        "Best validation value of the search less that of the default: the validation set chose the winner, so this "
        "is too good."
    ),
    "gain.optimism": (
        "The best of many noisy results is partly lucky: the winner's validation result less its mean over fresh "
        "seeds. Where there are none, approximately: its gap between validation and test less that of the other "
        "trials near the top."
    ),
    "tail_share": (
        "Energy after the last gain over all energy of the search. Known in hindsight only: nobody could have stopped "
        "exactly there."
    ),
    "expected_max": (
        "Mean best of n independent draws: without replacement (Tang et al. 2020) and with (Dodge et al. 2019). The "
        "band is of the median and holds for all n at once (Lourie et al. 2024); a bootstrap would be narrower and "
        "cover too rarely. Draws that gave nothing enter at the default's value."
    ),
    "random_arm": (
        "Best so far of the search less that of the random arm at the largest fair energy: half of the arm's (Li and "
        "Talwalkar 2019). Energy of trainings and sampler; what serves both alike is on neither side. One run says "
        "who was ahead, not by how much another run would be."
    ),
    "random_arm.relative_percent": (
        "100 × (winner − mean of the draws) / mean of the draws, on validation (Yang et al. 2020); positive where the "
        "winner is better. Draws that gave nothing are in none of it."
    ),
    "pareto": (
        "Trials that completed at full fidelity and that no other beats in both value and energy of their training. "
        "Trials that were cut short are cheap, but give no model, and don't enter."
    ),
    "hypervolume": (
        "Volume between the front and a reference point, the worst of each objective moved a tenth of the range "
        "further. Two volumes compare only with the same reference."
    ),
    "proxy": (
        "Spearman's rank correlation of the value at the step at which most were pruned with the final value, over "
        "trials that went on: survivors lie closer together than all trials, so it is lower than it would be over "
        "all."
    ),
    "inference": (
        "The model runs on one batch again and again, in blocks with accounts of their own, until the interval of the "
        "mean is within 5 % or time is up. Other batch sizes and other hardware give other figures."
    ),
    "break_even.inference": (
        "(search + training of the winner − training of the default) / (inference of the default − inference of the "
        "winner), with Fieller's interval for the error of the measured inference. It presumes equal accuracy; 'not "
        "established' is not 'never'."
    ),
    "break_even.trainings": (
        "Search / (training of the default − training of the winner), with Fieller's interval over seeds. It presumes "
        "equal accuracy; 'not established' is not 'never'."
    ),
    "break_even.reuse": (
        "Energy of the search over that of training the winner once: after so many trainings the search is half of "
        "all energy."
    ),
    "break_even.energy_per_gain_j": (
        "Energy of the search over the gain on test. A point is 0.01 of a metric between 0 and 1."
    ),
    "break_even.cost_per_gain": "Cost of the search over the gain on test.",
}


def method_of(path: str) -> str:
    """How the figure at a path is computed; empty where there is nothing to say beyond its label."""
    return METHODS.get(path, "")
