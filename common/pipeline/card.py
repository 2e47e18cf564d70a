"""The model card of shipped networks: what they are, learned from, are worth, and are not for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import text
from common.report.compare import compare
from common.results import tables
from common.study.protocol import Prepared, Run

NOTICE = "Research code, no medical device: no decision on a person may rest on what they give."


def card(
    run: Run[Any],
    prepared: Prepared,
    seed: int,
    networks: Mapping[str, str],
    differences: Mapping[str, float],
) -> str:
    """Return the model card of one seed, as Markdown.

    Args:
        run: the replication, whose results are written.
        prepared: the data that the networks learned from.
        seed: theirs.
        networks: which training each came of, by name.
        differences: the largest ones that float16 makes, by the names of the outputs.

    Raises:
        InputError: there are no results, or they are damaged.
    """
    assert run.study.shipped is not None
    comparison = compare(run.study, run.out)
    stand_in = ", a stand-in for the data of the source" if prepared.stand_in else ""
    measured = {one.number.metric: one for one in comparison.numbers if one.ours}
    rows = tuple(
        (metric, tables.spread(one.ours), one.number.unit) for metric, one in measured.items()
    )
    quality = tables.Table("", ("metric", "measured", "unit"), rows)
    outputs = tuple((name, value) for name, value in differences.items())
    rounding = tables.Table("", ("output", "largest difference"), outputs)
    parts = [f"{name}: {_counts(part)}" for name, part in prepared.parts.items()]
    return "\n".join(
        [
            f"# {run.study.name}, {run.experiment.name}, seed {seed}\n",
            f"{text.markdown(run.experiment.title)} ({run.experiment.scale}). Networks: "
            f"{', '.join(networks)}, in float16. Source: "
            f"{text.markdown(comparison.source)}.\n",
            "## Data\n",
            f"{text.markdown(prepared.description)}{stand_in}. {text.markdown('; '.join(parts))}.",
            f"License of the data: {run.dataset.license}.\n",
            "## Use\n",
            f"{run.study.shipped().use} {NOTICE}\n",
            "## Measured quality\n",
            f"Mean and standard deviation over seeds {', '.join(map(str, comparison.seeds))}, "
            "on the data that the study keeps aside for it.\n",
            f"{tables.markdown(quality)}",
            "## Rounding\n",
            "Against the trained float32 networks, on validation data.\n",
            f"{tables.markdown(rounding)}",
        ]
    )


def _counts(part: Mapping[str, Any]) -> str:
    """Return what a part holds, without what lies deeper: counts, not lists of them."""
    flat = {name: value for name, value in part.items() if not isinstance(value, Mapping | list)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in flat.items())


def path_of(file: Path) -> Path:
    """Return where the card of a file of networks lies, for people to read."""
    return file.with_suffix(".md")
