"""Numbers as people read them, and what follows from a report, or does not, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from papers.rare_disease_controlnet.desk.reports.equivalence import MARGIN
from papers.rare_disease_controlnet.desk.reports.estimate import Estimate
from papers.rare_disease_controlnet.desk.reports.findings import Findings
from papers.rare_disease_controlnet.desk.reports.power import (
    CHANCE,
    half_width,
    to_see,
    to_show_equivalence,
)

NONE = "–"
Tone = Literal["good", "bad", "warn", "plain"]
POINTS = f"{MARGIN * 100:.0f}"


@dataclass(frozen=True)
class Statement:
    """A conclusion: what is so in a few words, and the numbers behind it."""

    title: str
    text: str
    tone: Tone  # "warn": cannot be concluded


def percent(one: Estimate) -> str:
    """Return a share in percent with its interval."""
    if one.value is None:
        return NONE
    if one.low is None or one.high is None:
        return f"{one.value:.0%}"
    return f"{one.value:.0%} ({one.low * 100:.0f}–{one.high * 100:.0f})"


def number(one: Estimate | None) -> str:
    """Return a statistic with its interval, of two decimals."""
    if one is None or one.value is None:
        return NONE
    if one.low is None or one.high is None:
        return signed(one.value)
    return f"{signed(one.value)} ({signed(one.low)} to {signed(one.high)})"


def plain(value: float | None, form: str = ".2f") -> str:
    """Return a number without an interval."""
    return NONE if value is None else format(value, form)


def counted(n: int, what: str) -> str:
    """Return how many there are of something, such as "1 film" or "2 films"."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def conclusions(found: Findings) -> tuple[Statement, ...]:
    """Return what can be concluded, the question of origin first."""
    if not found.readers:
        return (Statement("Nothing was read", "The set was closed before anybody judged a film; "
                          "there is nothing to report.", "warn"),)  # fmt: skip
    return (_origin(found), *_exceptions(found), _quality(found), _approval(found), _agreed(found))


def cautions(found: Findings) -> tuple[str, ...]:
    """Return what a report must not be taken for, and what is missing in it."""
    said = [_size(found)] if found.readers else []
    if len(found.readers) == 1:
        said.append("One reader: what is found is true of this reader, and of no other.")
    elif 1 < len(found.readers) < 5:
        said.append(f"{counted(len(found.readers), 'reader')}: intervals allow for other readers "
                    "like these, and are wide for that; 5 or more make them narrower.")  # fmt: skip
    if unfinished := [one.name for one in found.readers if one.origins < one.films]:
        said.append(f"Without an answer on the origin of some films: {', '.join(unfinished)}.")
    absent = len(found.source.seats) - len(found.readers)
    short = sum(one.films < found.source.real + found.source.synthetic for one in found.readers)
    if absent or short:
        said.append(f"{counted(absent + short, 'reader')} of {len(found.source.seats)} did not "
                    "judge all films; statistics are of those that were judged.")  # fmt: skip
    if found.source.real != found.source.synthetic:
        said.append(f"{found.source.real} films are real and {found.source.synthetic} synthetic. "
                    "Where these differ, guessing is not right half of the time; "
                    "averages over readers weigh both kinds alike.")  # fmt: skip
    said.append("That readers can't tell films apart does not show that synthetic films are as "
                "diverse as real ones, or that none of them is a copy.")  # fmt: skip
    return tuple(said)


def _origin(found: Findings) -> Statement:
    """Return whether readers can tell; "indistinguishable" by the test of equivalence alone."""
    accuracy, area = found.accuracy, found.area
    numbers = (
        f"Right in {percent(accuracy)} of films, where guessing gives 50%; "
        f"area under the ROC curve {number(area)}, where guessing gives 0.50."
    )
    if accuracy.value is None or area.value is None:
        return Statement("Origins were not asked", "No reader said of both real and synthetic "
                         "films where they are from.", "warn")  # fmt: skip
    apart = accuracy.above(CHANCE) or area.above(CHANCE)
    reversed_ = accuracy.below(CHANCE) or area.below(CHANCE)
    if found.equivalent:
        more = (
            " Still, they are not guessing: the difference is real, and small."
            if apart or reversed_
            else ""
        )
        return Statement(
            f"Indistinguishable within ±{POINTS} points",
            f"{numbers} A test of equivalence shows that readers are less than {POINTS} points "
            f"away from guessing (α = 0.05).{more}",
            "good",
        )
    if apart and not reversed_:
        return Statement("Readers tell synthetic films from real ones", numbers, "bad")
    if reversed_ and not apart:
        return Statement("Readers take synthetic films for the real ones", f"{numbers} They see a "
                         "difference, and read it the wrong way round.", "bad")  # fmt: skip
    return Statement(
        "It cannot be concluded whether readers can tell",
        f"{numbers} Guessing is not excluded, but equivalence within ±{POINTS} points is not "
        "shown: there are too few films or readers to conclude. That no difference was found does "
        "not mean that there is none.",
        "warn",
    )


def _exceptions(found: Findings) -> tuple[Statement, ...]:
    """Return that some readers can tell, where readers on average cannot, or it is not clear."""
    able = [one.name for one in found.readers if one.area.above(CHANCE)]
    if len(found.readers) < 2 or not able or found.area.above(CHANCE):
        return ()
    return (
        Statement(
            "Some readers can tell",
            f"By themselves, {', '.join(able)} told films apart better than by guessing "
            f"({counted(len(able), 'reader')} of {len(found.readers)}; one in forty would by "
            "chance).",
            "warn",
        ),
    )


def _quality(found: Findings) -> Statement:
    quality = found.quality
    numbers = f"A real film has the better score with probability {number(quality)}; 0.50 is even."
    if quality.value is None:
        return Statement("Quality: one kind of film only", "Scores of real and synthetic films "
                         "can't be compared.", "warn")  # fmt: skip
    if quality.above(CHANCE):
        return Statement("Synthetic films score lower than real ones", numbers, "bad")
    if quality.below(CHANCE):
        return Statement("Synthetic films score higher than real ones", numbers, "plain")
    return Statement("No difference in score was shown", f"{numbers} This is no proof of equal "
                     "quality.", "plain")  # fmt: skip


def _approval(found: Findings) -> Statement:
    return Statement(
        f"{plain(found.approved_synthetic.value, '.0%')} of synthetic films were approved",
        f"Taken as legitimate: synthetic films {percent(found.approved_synthetic)}, "
        f"real films {percent(found.approved_real)}.",
        "plain",
    )


def _agreed(found: Findings) -> Statement:
    verdict = found.concords[0]
    if len(found.readers) < 2 or verdict.fleiss is None:
        return Statement("Agreement: one reader only", "Two readers or more are needed.", "warn")
    agreed = f"Two readers gave a film the same verdict in {plain(verdict.raw, '.0%')} of cases"
    if verdict.fleiss.value is None:
        return Statement("Agreement beyond chance is not defined",
                         f"{agreed}; nearly all verdicts are the same.", "plain")  # fmt: skip
    return Statement(
        f"Readers agree on verdicts with κ = {signed(verdict.fleiss.value)}",
        f"{agreed}; Fleiss' κ, agreement beyond chance, is {number(verdict.fleiss)}.",
        "plain",
    )


def _size(found: Findings) -> str:
    """Return whether there were enough films for each kind of answer."""
    fewest = min(one.origins for one in found.readers)
    needed = to_show_equivalence(MARGIN)
    enough = "reached" if fewest >= needed else "not reached"
    reach = f", which gives ±{half_width(fewest) * 100:.0f} points about 50%" if fewest else ""
    return (
        f"Sample size {enough}: each reader judged the origin of at least "
        f"{counted(fewest, 'film')}{reach}. To show equivalence within ±{POINTS} points takes "
        f"{needed} a reader; to see an accuracy of 60%, 65% or 70%: {to_see(0.6)}, {to_see(0.65)} "
        f"or {to_see(0.7)} (power 80%, half of the films real)."
    )


def signed(value: float) -> str:
    """Return a number of two decimals, with a true minus sign, and no negative zero."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")
