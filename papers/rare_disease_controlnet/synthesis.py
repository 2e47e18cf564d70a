"""Sets of synthetic films: drawn, reviewed, kept in a corpus, and loaded to be learned from.

A set lies in its unit's folder: ``corpus/corpus.db`` and ``corpus/films``. Films are drawn in
rounds, each a job of the corpus, so that a set that was interrupted goes on after its last round.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8
from sqlalchemy import select

from common.errors import InputError
from common.study.protocol import Prepared, Unit
from papers.rare_disease_controlnet import reviewed
from papers.rare_disease_controlnet.classifier.arms import real_films
from papers.rare_disease_controlnet.classifier.trained import Classify, trained_classifier
from papers.rare_disease_controlnet.config import Config
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.corpus import keep, open_corpus
from papers.rare_disease_controlnet.corpus.decisions import decide, films
from papers.rare_disease_controlnet.corpus.queue import cancel, claim, enqueue, finish
from papers.rare_disease_controlnet.corpus.tables import AUTOMATIC, Film, Job
from papers.rare_disease_controlnet.data import Part, load
from papers.rare_disease_controlnet.engine.assembly import engine_of
from papers.rare_disease_controlnet.engine.drawing import Films, Request, draw, edges_of
from papers.rare_disease_controlnet.engine.maker import Maker, keys_of
from papers.rare_disease_controlnet.networks import REVIEWER, by_people
from papers.rare_disease_controlnet.prompts import NORMAL
from papers.rare_disease_controlnet.review import KIND, Reviewed, copy_distance, review

CORPUS = "corpus"  # in the unit's folder
_KIND = 3  # of random draws: see `classifier.arms` for 1 and 2


@dataclass(frozen=True)
class Synthetic:
    """The films of a set in the order in which they were drawn, and which were accepted."""

    images: UInt8[np.ndarray, "films height width 1"]
    labels: UInt8[np.ndarray, "films findings"]
    accepted: Bool[np.ndarray, " films"]  # films without the rare finding are not reviewed

    def rows(self, rows: Int[np.ndarray, " rows"]) -> Synthetic:
        """Return the films at these places."""
        return Synthetic(self.images[rows], self.labels[rows], self.accepted[rows])


def make(unit: Unit[Config], prepared: Prepared, count: int) -> None:
    """Draw and review the films that an engine makes that learned of `count` rare films.

    Normal real films of the training part give the structures. Films of the rare finding are drawn
    until as many are accepted as `synthesis.accepted` asks for, or all tries are over; of all other
    classes `synthesis.others`.
    """
    config, train = unit.config, load(prepared, "train")
    rare = train.findings.index(config.data.rare)
    known = train.rows(real_films(train.labels, rare, count, unit.seed))
    work = _Work(unit, prepared, count, known)
    options = config.synthesis
    for turn in range(options.tries):
        work.round(config.data.rare, turn * options.accepted, options.accepted)
        if work.accepted() >= options.accepted:
            break
    for finding in (NORMAL, *train.findings):
        if finding != config.data.rare:
            work.round(finding, 0, options.others)


def synthetic_films(folder: Path, findings: Sequence[str]) -> Synthetic:
    """Return the films of the set in a unit's folder."""
    corpus = open_corpus(folder / CORPUS)
    with corpus.read() as session:
        done = select(Film).join(Job, Film.job_id == Job.id).where(Job.state == "done")
        rows = list(session.scalars(done.order_by(Film.job_id, Film.number)))
        good = {film.sha256 for film in films(session, "accepted")}
    drawn = [png.decoded(corpus.store.get(row.sha256), row.sha256) for row in rows]
    labels = [[finding == row.label for finding in findings] for row in rows]
    return Synthetic(
        np.stack(drawn)[..., None],
        np.array(labels, np.uint8),
        np.array([row.sha256 in good for row in rows]),
    )


def set_of_films(folder: Path, findings: Sequence[str], config: Config, count: int) -> Synthetic:
    """Return the films of the set in a unit's folder, with those that people accepted.

    Where the config names snapshots, theirs alone are accepted, and they come after all others.
    """
    made = synthetic_films(folder, findings)
    if not by_people(config, count):
        return made
    names = (NORMAL, *findings)
    found = [
        film for content in config.synthesis.corpora for film in reviewed.films(content, names)
    ]
    if not any(label == config.data.rare for label, _ in found):
        raise InputError(
            f"synthesis.corpora: no film of {config.data.rare!r} is in "
            f"{', '.join(config.synthesis.corpora)}; have some judged at the desk"
        )
    size = (config.data.size, config.data.size)
    if others := {image.shape for _, image in found} - {size}:
        raise InputError(f"synthesis.corpora: films of {others.pop()} pixels, expected {size}")
    images = np.stack([image for _, image in found])[..., None]
    labels = np.array([[name == label for name in findings] for label, _ in found], np.uint8)
    return Synthetic(
        np.concatenate([made.images, images]),
        np.concatenate([made.labels, labels]),
        np.arange(len(made.images) + len(images)) >= len(made.images),
    )


class _Work:
    """The making of a set: what draws, what reviews, and the corpus that both write to."""

    def __init__(self, unit: Unit[Config], prepared: Prepared, count: int, known: Part):
        config = unit.config

        def folder(name: str) -> Path:
            return unit.of(name).folder

        self.unit, self.count, self.known = unit, count, known
        pipeline = engine_of(config, known.findings, folder, count)
        keys = keys_of(config, count, lambda name: unit.of(name).training)
        self.maker = Maker.of(pipeline, config, unit.run.study.root, unit.content_hash, keys)
        network = trained_classifier(config, len(known.findings), folder(REVIEWER))
        self.reviewer = Classify(config, network)
        self.training = known.images[..., 0]
        others = load(prepared, "validation").images[..., 0]
        self.copies = copy_distance(config.review, others, self.training)
        self.corpus = open_corpus(unit.folder / CORPUS)
        with self.corpus.write() as session:  # left open by a process that was stopped
            for job in session.scalars(select(Job).where(Job.state.in_(("queued", "running")))):
                cancel(session, job.id)

    def accepted(self) -> int:
        """Return how many films are accepted."""
        with self.corpus.read() as session:
            return len(films(session, "accepted"))

    def round(self, finding: str, first: int, count: int) -> None:
        """Draw, keep and review `count` films of a finding from number `first` on, if not done."""
        spec = {"label": finding, "first": first, "count": count}
        with self.corpus.read() as session:
            done = session.scalars(select(Job.spec).where(Job.state == "done"))
            if any(json.loads(text) == spec for text in done):
                return
        with self.corpus.write() as session:
            enqueue(session, spec, asked_by=self.unit.label)
        with self.corpus.write() as session:
            claimed = claim(session, self.unit.label)
        assert claimed is not None
        requests = self._requests(finding)[first : first + count]
        drawn = draw(self.maker.pipeline, self.unit.config, requests)
        ids = []
        for number, (request, film) in enumerate(zip(requests, drawn, strict=True)):
            content = png.encoded(film)
            if request.structure is not None:
                self.corpus.store.put(png.encoded(request.structure))
            lineage = self.maker.lineage(request, content)
            ids.append(keep(self.corpus, claimed, number, content, lineage))
        reviewed = None
        if finding == self.unit.config.data.rare:
            reviewed = self._reviewed(requests, drawn)
        with self.corpus.write() as session:
            if reviewed is not None:
                for index, film in enumerate(ids):
                    decide(
                        session,
                        film,
                        reviewer=AUTOMATIC,
                        kind=KIND,
                        verdict="accepted" if reviewed.accepted[index] else "rejected",
                        reasons=reviewed.reasons(index, self.unit.config.review),
                    )
            finish(session, claimed)

    def _requests(self, finding: str) -> list[Request]:
        """Return all films of a finding that may be asked for; sides and extents as real films'."""
        options, part = self.unit.config.synthesis, self.known
        index = -1 if finding == NORMAL else part.findings.index(finding)
        count = options.accepted * options.tries + options.others
        key = [self.unit.seed, _KIND, self.count, index + 1]
        random = np.random.default_rng(key)
        seeds = np.random.SeedSequence(key).generate_state(count)
        normal = np.flatnonzero(part.labels.max(1) == 0)
        alike = normal if index < 0 else np.flatnonzero(part.labels[:, index])
        structures, models = random.choice(normal, count), random.choice(alike, count)
        return [
            Request(
                () if index < 0 else (finding,),
                part.sides[model] if index >= 0 else "",
                float(part.extents[model]) if index >= 0 else float("nan"),
                int(seed),
                part.images[structure, ..., 0],
            )
            for seed, structure, model in zip(seeds, structures, models, strict=True)
        ]

    def _reviewed(self, requests: Sequence[Request], drawn: Films) -> Reviewed:
        config = self.unit.config
        column = 1 + self.known.findings.index(config.data.rare)
        probability = self.reviewer(drawn[..., None])[:, column]
        structures = np.stack([one.structure for one in requests if one.structure is not None])
        edges = (edges_of(drawn, config.synthesis), edges_of(structures, config.synthesis))
        return review(config.review, drawn, probability, edges, self.training, self.copies)
