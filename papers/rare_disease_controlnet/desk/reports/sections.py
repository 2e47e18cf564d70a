"""The sections of a report, each from what was found."""

from __future__ import annotations

from papers.rare_disease_controlnet.desk.reports.concord import Concord
from papers.rare_disease_controlnet.desk.reports.equivalence import MARGIN
from papers.rare_disease_controlnet.desk.reports.findings import Findings, OfReader
from papers.rare_disease_controlnet.desk.reports.parts import Figure, Section, Table
from papers.rare_disease_controlnet.desk.reports.power import (
    half_width,
    to_see,
    to_show_equivalence,
)
from papers.rare_disease_controlnet.desk.reports.words import (
    NONE,
    POINTS,
    counted,
    number,
    percent,
    plain,
    signed,
)

COMMENTS = 60  # shown at most; the CSV file has all of them
QUESTIONS = {
    "verdict": "Verdict (legitimate or artefacted)",
    "score": "Score (1 to 5)",
    "origin": "Origin (real, undecided or synthetic)",
}


def sections(found: Findings) -> tuple[Section, ...]:
    """Return all sections that there is something for."""
    made = [one(found) for one in (_detection, _quality, _agreement, _parameters, _size)]
    comments = _comments(found)
    return (*made, comments) if comments else tuple(made)


def _detection(found: Findings) -> Section:
    curves = [f"{one.name} {number(one.area)}" for one in found.readers]
    real, synthetic = (", ".join(map(str, counts)) for counts in found.origins)
    return Section(
        "Can readers tell where films are from?",
        "Readers said of every film how sure they are that it is real or synthetic. An answer in "
        "the middle counts as half right.",
        (
            Figure(
                "roc",
                "ROC curve of each reader. On the dashed line, readers guess.",
                f"ROC curves. Area by reader: {'; '.join(curves)}.",
            ),
            Figure(
                "origins",
                "What readers said of where films are from.",
                "Readings by answer, from surely real to surely synthetic. "
                f"Real films: {real}; synthetic films: {synthetic}.",
            ),
        ),
        (
            Table(
                "By reader. In brackets: 95% intervals. Sensitivity is of synthetic films, "
                f"specificity of real ones; p is of equivalence within ±{POINTS} points.",
                ("Reader", "Experience", "Films", "Accuracy", "Sensitivity", "Specificity",
                 "Undecided", "AUC", "p"),
                (*(_told(one) for one in found.readers), _told_on_average(found)),
                2,
            ),
            *_contrasts(found),
        ),
    )  # fmt: skip


def _told(one: OfReader) -> tuple[str, ...]:
    told = one.detection
    return (
        one.name,
        one.experience or NONE,
        str(one.origins),
        percent(told.accuracy),
        percent(told.sensitivity),
        percent(told.specificity),
        str(told.undecided),
        number(one.area),
        NONE if one.equivalence is None else _p(one.equivalence),
    )


def _told_on_average(found: Findings) -> tuple[str, ...]:
    shown = {True: "shown", False: "not shown", None: NONE}[found.equivalent]
    return ("Average", NONE, NONE, percent(found.accuracy), NONE, NONE, NONE, number(found.area),
            shown)  # fmt: skip


def _contrasts(found: Findings) -> tuple[Table, ...]:
    if not found.contrasts:
        return ()
    rows = tuple((f"{one.first} less {one.second}", number(one.area)) for one in found.contrasts)
    return (Table("Difference by experience, of groups of at least 2 readers.",
                  ("Experience", "Difference of AUC"), rows),)  # fmt: skip


def _quality(found: Findings) -> Section:
    real, synthetic = (", ".join(map(str, counts)) for counts in found.scores)
    approved = [f"{one.label}, {one.kind}: {percent(one.approved)}" for one in found.labels]
    return Section(
        "How good are the films?",
        "Readers judged every film before they were asked where it is from.",
        (
            Figure(
                "scores",
                "Scores from 1, unusable, to 5, like a good clinical film.",
                f"Readings with scores 1 to 5. Real films: {real}; synthetic films: {synthetic}.",
            ),
            Figure(
                "approval",
                "Films taken as legitimate, by label, with 95% intervals.",
                f"Share of films taken as legitimate. {'; '.join(approved)}.",
            ),
        ),
        (
            Table(
                "By label.",
                ("Label", "Kind", "Films", "Readings", "Approved", "Mean score"),
                tuple(
                    (one.label, one.kind, str(one.films), str(one.readings),
                     percent(one.approved), plain(one.score))
                    for one in found.labels
                ),
                2,
            ),
            Table(
                "By reader. AUC of the score: how often a real film has the better one.",
                ("Reader", "Films", "Real approved", "Synthetic approved", "AUC of the score",
                 "Seconds a film", "Changes"),
                tuple(
                    (one.name, str(one.films), percent(one.approved_real),
                     percent(one.approved_synthetic), number(one.quality),
                     plain(one.seconds, ".0f"), str(one.changes))
                    for one in found.readers
                ),
            ),
        ),
    )  # fmt: skip


def _agreement(found: Findings) -> Section:
    with_repeats = tuple(one for one in found.readers if one.repeats.films)
    tables = [
        Table(
            "Between readers. κ is 1 for full agreement and 0 for that of chance; it is low where "
            "nearly all answers are the same, so how common they are stands beside it.",
            ("Question", "How common", "Raw agreement", "Fleiss' κ", "Mean of Cohen's κ"),
            tuple(_agreed(one) for one in found.concords),
            2,
        )
    ]
    if with_repeats:
        tables.append(
            Table(
                "Readers with themselves, on films that they were shown twice. Fewer than 30 films "
                "are too few for more than an impression.",
                ("Reader", "Films", "Same verdict", "κ of verdicts", "Weighted κ of scores"),
                tuple(
                    (
                        one.name,
                        str(one.repeats.films),
                        plain(one.repeats.raw, ".0%"),
                        number(one.repeats.verdict),
                        number(one.repeats.score),
                    )
                    for one in with_repeats
                ),
            )
        )
    pairs = [f"{QUESTIONS[one.question]}: mean {plain(one.mean)}" for one in found.concords]
    several = len(found.readers) > 1
    return Section(
        "Do readers agree?",
        "" if several else "Agreement between readers needs 2 readers or more.",
        (
            Figure("kappa", "Cohen's κ of each pair of readers; of scores, weighted by the "
                   "squared distance.", f"Cohen's κ by pairs of readers. {'; '.join(pairs)}."),
        ) if several else (),
        tuple(tables if several else tables[1:]),
    )  # fmt: skip


def _agreed(one: Concord) -> tuple[str, ...]:
    common = ", ".join(f"{name}: {share:.0%}" for name, share in one.common if share)
    mean = NONE if one.mean is None else signed(one.mean)
    return (QUESTIONS[one.question], common or NONE, plain(one.raw, ".0%"), number(one.fleiss),
            f"{mean} (weighted)" if one.weighted and mean != NONE else mean)  # fmt: skip


def _parameters(found: Findings) -> Section:
    rows = tuple(
        (
            one.name,
            ", ".join(f"{value:g}" for value in one.values[:8]) or NONE,
            str(one.correlation.n),
            number(one.correlation) if len(one.values) > 1 else "the same for all",
        )
        for one in found.parameters
    )
    return Section(
        "Do generation parameters matter?",
        "Spearman's correlation with a film's mean score: above 0, more of it goes with better "
        "scores. Films were not drawn at random over parameters unless the set was made so.",
        tables=(Table("By parameter.", ("Parameter", "Values", "Films", "Correlation"), rows, 2),),
    )


def _size(found: Findings) -> Section:
    fewest = min(one.origins for one in found.readers)
    needs = [
        *((f"see an accuracy of {one:.0%}", to_see(one)) for one in (0.6, 0.65, 0.7)),
        *((f"show equivalence within ±{one * 100:.0f} points", to_show_equivalence(one))
          for one in (MARGIN, 0.1, 0.05)),
    ]  # fmt: skip
    rows = tuple(
        (f"To {what}", str(films), "reached" if fewest >= films else "not reached")
        for what, films in needs
    )
    return Section(
        "Were there enough films?",
        f"The reader with the fewest judged the origin of {counted(fewest, 'film')}"
        + (f": an accuracy about 50% is known to ±{half_width(fewest) * 100:.0f} points." if fewest
           else "."),
        tables=(
            Table("Films that a reader must judge, half of them real, for a power of 80%.",
                  ("Aim", "Films", "Here"), rows),
        ),
    )  # fmt: skip


def _comments(found: Findings) -> Section | None:
    said = [row for row in found.source.rows if row.comment.strip()]
    if not said:
        return None
    rows = tuple(
        (row.name, row.label, row.kind, str(row.score), row.comment) for row in said[:COMMENTS]
    )
    more = len(said) - len(rows)
    return Section(
        "What readers wrote",
        f"{counted(more, 'more comment')} in the CSV file." if more else "",
        tables=(Table("Comments.", ("Reader", "Label", "Kind", "Score", "Comment"), rows, 5),),
    )


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
