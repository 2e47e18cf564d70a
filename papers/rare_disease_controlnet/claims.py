"""The claims of the source, and of others on the same question, as tests on the metrics of seeds.

Classifiers of a seed have the same real films and the same test films, and are compared inside of
it, at the main number of real films of the rare class. A claim of several parts is supported where
all of them are, and contradicted where one is.
"""

from __future__ import annotations

import math

import numpy as np

from common.report.claims import all_of, greater, joined, negative, positive, values
from common.report.verdicts import Verdict
from papers.rare_disease_controlnet.compared import (
    ARMS,
    Seeds,
    accepted_films,
    best_without,
    dose_scores,
    doses,
    films_at,
    gains,
    main_count,
)

USEFUL = 0.8  # AUROC from which a film's score is of use: it errs in one of five pairs
SMALL_LEAK = 0.55  # AUROC of membership up to which films say next to nothing of who was trained on
QUARTER = 0.25
FEWEST = 0.25  # accepted films for each real one with the finding: with fewer, little is added


def f1_rises_over_best(seeds: Seeds) -> Verdict:
    """With selected synthetic films the rare class's F1 is above the best arm's without them."""
    return _above_best(seeds, "selected")


def f1_rises_over_real(seeds: Seeds) -> Verdict:
    """... above that of real films alone: the usual comparison, and the weaker one."""
    return _above(seeds, "selected", "real")


def few_films_cost_f1(seeds: Seeds) -> Verdict:
    """More real films of the rare class raise its F1: else there is nothing to gain here."""
    return _above(seeds, "upper", "augmented")


def selection_helps(seeds: Seeds) -> Verdict:
    """Selected synthetic films serve better than as many as they were drawn."""
    return _above(seeds, "selected", "unselected")


def pretraining_helps(seeds: Seeds) -> Verdict:
    """Synthetic films first and real ones then serve better than the best arm without them."""
    return _above_best(seeds, "pretrained")


def synthetic_alone_is_worse(seeds: Seeds) -> Verdict:
    """Synthetic films alone serve worse than real films alone."""
    return _above(seeds, "real", "synthetic_only")


def dose_response_rises(seeds: Seeds) -> Verdict:
    """More synthetic films raise the F1: its slope over the logarithm of their number.

    A seed's numbers are of films that it has: where fewer were accepted than a dose asks for, the
    dose is what was accepted.
    """
    tried = doses(seeds)
    films = np.array([films_at(seeds, dose) for dose in tried]).reshape(len(tried), len(seeds))
    reached = np.array([dose_scores(seeds, dose) for dose in tried]).reshape(films.shape)
    slopes = [_slope(x, y) for x, y in zip(films.T, reached.T, strict=True)]
    return positive(slopes, "F1 of the rare class for every doubling of synthetic films")


def anatomy_kept(seeds: Seeds) -> Verdict:
    """More of the structure's edges are found again with the ControlNet than otherwise.

    Otherwise is without it, with it at strength 0, and in films drawn on other structures.
    """
    ours = values(seeds, "engine.edges.finding")
    others = {
        "uncontrolled": "without ControlNet",
        "strength_0": "at strength 0",
        "of_others": "in other films",
    }
    return all_of(
        *(
            greater(ours, values(seeds, f"engine.edges.{name}"), f"edges kept, above those {what}")
            for name, what in others.items()
        )
    )


def only_the_lesion_changes(seeds: Seeds) -> Verdict:
    """Where real films never show the finding, less than a quarter as much changes as there."""
    ratios = values(seeds, "engine.change.ratio")
    return negative([ratio - QUARTER for ratio in ratios], "change outside over inside, minus 1/4")


def finding_shown(seeds: Seeds) -> Verdict:
    """A film asked for with the rare finding shows it more often than one asked for without.

    By a classifier trained on real films; both are drawn on the same structures.
    """
    return greater(
        values(seeds, "engine.as_asked.rare"),
        values(seeds, "engine.as_asked.rare_unasked"),
        "share that shows the rare finding, above that of films asked for without",
    )


def side_shown(seeds: Seeds) -> Verdict:
    """The side that was asked for changes more than the other, in more than half of the films."""
    shares = values(seeds, "engine.as_asked.side")
    return positive([share - 0.5 for share in shares], "share with the side asked for, minus 1/2")


def single_fid_tells_real(seeds: Seeds) -> Verdict:
    """FID of one film against one other, as the source computes it, tells synthetic from real.

    A number that is to judge a film must be right about a film: it must put a synthetic film
    farther off than a real one in four of five pairs. Contradicted, it cannot: either it sees too
    little, or there is too little to see; a set's distance beside it says which.
    """
    found = values(seeds, "engine.quality.single.auroc")
    return positive([auroc - USEFUL for auroc in found], "AUROC of a single film's FID, minus 0.8")


def no_personal_data(seeds: Seeds) -> Verdict:
    """Synthetic films do not tell whose films the engine learned from.

    Contradicted where nearness to them tells training films from others (AUROC above one half), or
    more than 1% of them are nearer to a training film than 1% of the films of other patients are.
    Supported where neither is seen and the AUROC is below 0.55 with confidence: a bound on this one
    attack, not a proof.
    """
    members = values(seeds, "engine.memorization.membership_auroc")
    copies = values(seeds, "engine.memorization.below_first_percentile")
    leaks = (
        positive([auroc - 0.5 for auroc in members], "AUROC of membership, minus 1/2"),
        positive([share - 0.01 for share in copies], "share of near copies, minus 1%"),
    )
    if seen := [leak for leak in leaks if leak.word == "supported"]:
        return Verdict("contradicted", "; ".join(leak.detail for leak in seen))
    bounded = negative([auroc - SMALL_LEAK for auroc in members], "AUROC of membership, minus 0.55")
    unclear = bounded if bounded.word != "supported" else leaks[1]
    if unclear.word in ("no verdict", "not testable"):
        return unclear
    sure = bounded.word == "supported"
    return Verdict("supported" if sure else "inconclusive", joined((bounded, leaks[1])))


def _above(seeds: Seeds, arm: str, over: str, called: str = "") -> Verdict:
    """Compare two arms; not where one is 'selected' and a seed has hardly a film that was accepted.

    Its repeats of real films are augmented where no synthetic ones take their place, so that it is
    then the arm without synthetic films under another name.
    """
    real, accepted = main_count(seeds), min(accepted_films(seeds))
    if "selected" in (arm, over) and accepted < FEWEST * real:
        few = f"the fewest films accepted in a seed are {accepted:.0f}, beside {real} real ones"
        return Verdict("not testable", f"{few}: '{ARMS['selected']}' is '{ARMS['augmented']}' then")
    what = f"F1 of the rare class, '{ARMS[arm]}' minus '{ARMS[over]}'{called}:"
    return positive(gains(seeds, arm, over), what)


def _above_best(seeds: Seeds, arm: str) -> Verdict:
    return _above(seeds, arm, best_without(seeds), " (the best without synthetic films)")


def _slope(films: np.ndarray, reached: np.ndarray) -> float:
    """Return the least-squares slope for every doubling; NaN where one number of films is all."""
    if not np.isfinite([films, reached]).all() or len({*films}) < 2 or films.min() < 1:
        return math.nan
    at = np.log2(films) - np.log2(films).mean()
    return float(at @ reached / (at @ at))
