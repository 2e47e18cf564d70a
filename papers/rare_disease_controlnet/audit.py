"""What is measured of the engine: whether films are what was asked for, new, and like real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from common.latent_diffusion.pipeline import Pipeline
from common.metrics.classification import auroc
from common.metrics.described import Inception
from common.metrics.edges import edge_recall
from common.metrics.frechet import features_distance
from common.metrics.memorization import nearest_neighbors
from papers.rare_disease_controlnet.classifier.trained import Classify
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.data import Part
from papers.rare_disease_controlnet.engine.drawing import Films, Request, draw, edges_of
from papers.rare_disease_controlnet.film import Side
from papers.rare_disease_controlnet.synthesis import Synthetic

_PRIOR = 0.05  # share of real films whose finding covers a pixel that a finding may be expected at
_SEED = 6  # of random draws: see `classifier.arms` and `synthesis` for others


@dataclass(frozen=True)
class Drawn:
    """Films drawn on the same structures with the same seeds, by what was asked of them."""

    requests: tuple[Request, ...]
    films: dict[str, Films]  # "finding", "normal", "uncontrolled", "strength_0"

    @property
    def structures(self) -> Films:
        """The structures."""
        return np.stack([one.structure for one in self.requests if one.structure is not None])


def draw_pairs(engine: Pipeline, config: Config, test: Part, known: Part, seed: int) -> Drawn:
    """Return films of the rare finding on normal test films, and the same otherwise.

    Otherwise is without a finding, without the ControlNet, and with it at strength 0. Sides and
    extents are those of `known` films with the finding.
    """
    rare = known.findings.index(config.data.rare)
    random = np.random.default_rng([seed, _SEED])
    normal = np.flatnonzero(test.labels.max(1) == 0)
    count = min(config.evaluate.anatomy_films, len(normal))
    structures = random.permutation(normal)[:count]
    models = random.choice(np.flatnonzero(known.labels[:, rare]), count)
    seeds = np.random.SeedSequence([seed, _SEED]).generate_state(count)
    requests = tuple(
        Request(
            (config.data.rare,),
            known.sides[model],
            float(known.extents[model]),
            int(number),
            test.images[structure, ..., 0],
        )
        for structure, model, number in zip(structures, models, seeds, strict=True)
    )
    unheeded = replace(config, synthesis=replace(config.synthesis, control=0.0))
    healthy = [replace(one, findings=(), side="", extent=float("nan")) for one in requests]
    free = [replace(one, structure=None) for one in requests]
    return Drawn(
        requests,
        {
            "finding": draw(engine, config, requests),
            "normal": draw(engine, config, healthy),
            "uncontrolled": draw(engine, config, free),
            "strength_0": draw(engine, unheeded, requests),
        },
    )


def anatomy(config: Config, drawn: Drawn) -> dict[str, float]:
    """Return how many of the structures' edges are found again, by what was asked for.

    `of_others` is the share in films that were drawn on another structure: chance.
    """
    options = config.synthesis
    expected = edges_of(drawn.structures, options) > 0
    found = {name: edges_of(films, options) > 0 for name, films in drawn.films.items()}
    found["of_others"] = np.roll(found["finding"], 1, axis=0)
    return {name: float(np.nanmean(edge_recall(edges, expected))) for name, edges in found.items()}


def only_the_finding(drawn: Drawn, known: Part, rare: int) -> dict[str, float]:
    """Return where a film with the finding differs from the same one without: mean of 255.

    `inside` is where real films of that side show the finding, `outside` all else, of which
    `ratio` is the share. Nothing where nobody knows where findings lie.
    """
    if known.masks is None:
        return {}
    change = np.abs(drawn.films["finding"].astype(float) - drawn.films["normal"])
    regions = np.stack([_prior(known, rare, one.side) for one in drawn.requests])
    inside = (change * regions).sum((1, 2)) / regions.sum((1, 2))
    outside = (change * ~regions).sum((1, 2)) / (~regions).sum((1, 2))
    return {
        "inside": float(inside.mean()),
        "outside": float(outside.mean()),
        "ratio": float(outside.mean() / inside.mean()) if inside.any() else float("nan"),
    }


def _prior(known: Part, rare: int, side: Side | str) -> Bool[np.ndarray, "height width"]:
    """Return where real films show the finding on that side."""
    assert known.masks is not None
    same = [i for i in np.flatnonzero(known.labels[:, rare]) if known.sides[i] == side]
    return known.masks[same].mean(0) >= _PRIOR


def as_asked(
    drawn: Drawn, made: Synthetic, judge: Classify, findings: tuple[str, ...], single: bool
) -> dict[str, Any]:
    """Return how often films show what was asked for, by a classifier trained on real films.

    `finding` is by class the share of synthetic films whose likeliest class, or with several
    findings whose probability above one half, is the one that was asked for. `rare` is that of the
    films that were drawn on test films, `rare_unasked` the share that shows the rare finding in the
    same films without. `side` is the share of films that differ from these more on the side asked
    for; the patient's left is on the right of the image.
    """
    probability = judge(made.images)
    target = np.where(made.labels.any(1), 1 + made.labels.argmax(1), 0)
    right = probability.argmax(1) == target
    if not single:
        right = probability[np.arange(len(target)), target] > 0.5
    shares = {
        name: float(right[target == index].mean())
        for index, name in enumerate(("normal", *findings))
        if (target == index).any()
    }
    rare = 1 + findings.index(drawn.requests[0].findings[0])
    shown = {
        called: _shows(judge(drawn.films[name][..., None]), rare, single)
        for called, name in (("rare", "finding"), ("rare_unasked", "normal"))
    }
    change = np.abs(drawn.films["finding"].astype(float) - drawn.films["normal"])
    half = change.shape[2] // 2
    more_left = change[:, :, half:].sum((1, 2)) > change[:, :, :half].sum((1, 2))
    sided = [
        left == (one.side == "left")
        for left, one in zip(more_left, drawn.requests, strict=True)
        if one.side in ("left", "right")
    ]
    return {"finding": shares, **shown, **({"side": float(np.mean(sided))} if sided else {})}


def _shows(probability: Float[np.ndarray, "films classes"], column: int, single: bool) -> float:
    """Return the share of films that show the class of a column."""
    if single:
        return float(np.mean(probability.argmax(1) == column))
    return float(np.mean(probability[:, column] > 0.5))


def quality(made: Synthetic, test: Part, inception: Inception, judge: Classify) -> dict[str, Any]:
    """Return Fréchet and kernel distances of synthetic films to real test films, equal numbers.

    By Inception's features and by those of a classifier of films. `single` is the distance of one
    film to one film, as the source computes it: its mean for real and for synthetic films, and how
    well it tells them apart, 0.5 being not at all.
    """
    count = min(len(made.images), len(test))
    ours, theirs = made.images[:count], test.images[:count]
    described = [inception(np.repeat(films, 3, axis=-1)) for films in (ours, theirs)]
    own = [judge.features(films) for films in (ours, theirs)]
    return {
        **inception.compared(*described),
        "frechet_classifier": features_distance(*own),
        "single": _single(described[0].features, described[1].features),
    }


def _single(ours: Float[np.ndarray, "n f"], theirs: Float[np.ndarray, "n f"]) -> dict[str, float]:
    """Return the distances of single films to single real films: one has no covariance."""
    real = np.square(theirs[1:] - theirs[:-1]).sum(1)
    synthetic = np.square(ours[1:] - theirs[:-1]).sum(1)
    scores = np.concatenate([real, synthetic])
    return {
        "real": float(real.mean()),
        "synthetic": float(synthetic.mean()),
        "auroc": auroc(scores, np.repeat([False, True], [len(real), len(synthetic)])),
    }


def memorization(made: Synthetic, known: Part, test: Part) -> dict[str, float]:
    """Return how near synthetic films come to films that the engine learned from.

    Distances are root mean squares, of 255. `heldout` are real test films, whose patients nobody
    has seen; `membership_auroc` says how well the distance to the nearest synthetic film tells a
    training film from one that was held out: 0.5 is not at all.
    """
    unit = np.float32(255)
    train, heldout, films = (one.images / unit for one in (known, test, made))
    ours = nearest_neighbors(films, train).distance
    theirs = nearest_neighbors(heldout, train).distance
    members = nearest_neighbors(train, films).distance
    strangers = nearest_neighbors(heldout, films).distance
    scores = -np.concatenate([members, strangers])
    inside = np.repeat([True, False], [len(members), len(strangers)])
    return {
        "generated_median": 255 * float(np.median(ours)),
        "heldout_median": 255 * float(np.median(theirs)),
        "below_first_percentile": float(np.mean(ours < np.percentile(theirs, 1))),
        "membership_auroc": auroc(scores, inside),
    }


def acceptance(made: Synthetic, rare: int) -> dict[str, float | int]:
    """Return how many films of the rare finding were drawn, and the share that was accepted."""
    having = made.labels[:, rare] > 0
    return {
        "drawn": int(having.sum()),
        "accepted": int((having & made.accepted).sum()),
        "share": float(made.accepted[having].mean()),
    }


def nearest_pairs(made: Synthetic, known: Part, count: int) -> dict[str, np.ndarray]:
    """Return the synthetic films that are nearest to a training film, and those films."""
    unit = np.float32(255)
    found = nearest_neighbors(made.images / unit, known.images / unit)
    first: Sequence[int] = np.argsort(found.distance)[:count].tolist()
    return {
        "nearest_generated": made.images[first],
        "nearest_training": known.images[found.index[first]],
        "nearest_distance": 255 * found.distance[first],
    }
