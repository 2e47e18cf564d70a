"""A run of the study whose engine is as if it were trained, and films that people accepted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.pipeline import record, stages, units
from common.pipeline.plan import plan
from common.pipeline.trained import save_index
from common.study.protocol import Prepared, Run
from papers.rare_disease_controlnet import simulate
from papers.rare_disease_controlnet.corpus import png
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import Corpus, keep, open_corpus
from papers.rare_disease_controlnet.corpus.decisions import decide
from papers.rare_disease_controlnet.corpus.queue import finish
from papers.rare_disease_controlnet.corpus.snapshots import freeze
from papers.rare_disease_controlnet.corpus.tables import Snapshot
from papers.rare_disease_controlnet.networks import synthesis
from papers.rare_disease_controlnet.study import STUDY
from tests.papers.rare_disease_controlnet import phantom
from tests.papers.rare_disease_controlnet.corpus_made_up import LINEAGE, taken

FINDINGS = ("effusion", "pneumothorax", "nodule")
SIDE, SET = 32, 6  # pixels, and films of each class that the engine drew
CHANGES = ("data.films=[12,8,10,8]", f"synthesis.accepted={SET}")


def image(number: int) -> np.ndarray:
    """Return a film, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), np.uint8)


def add(corpus: Corpus, label: str, numbers: Sequence[int]) -> list[int]:
    """Keep films of one job; return their keys."""
    claimed = taken(corpus)
    keys = []
    for place, number in enumerate(numbers):
        content = png.encoded(image(number))
        spec = replace(LINEAGE.spec, label=label, seed=number, size=SIDE)
        lineage = replace(LINEAGE, spec=spec, output=digest(content))
        keys.append(keep(corpus, claimed, place, content, lineage))
    with corpus.write() as session:
        finish(session, claimed)
    return keys


def a_corpus(folder: Path) -> Corpus:
    """Return a corpus whose snapshot v1 has films 0 to 2 of the rare finding and a normal one."""
    corpus = open_corpus(folder)
    keys = add(corpus, "pneumothorax", range(3)) + add(corpus, "normal", [50])
    with corpus.write() as session:
        for key in keys:
            decide(session, key, reviewer="r1", kind="reading", verdict="accepted")
        freeze(session, "v1", "kim")
    return corpus


def content_of(corpus: Corpus) -> str:
    """Return the content of the snapshot."""
    with corpus.read() as session:
        return session.query(Snapshot).one().content


def as_if_trained(home: Path) -> tuple[Run, Prepared]:
    """Return a run in a home, its data prepared, its engine's films drawn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLICATIONS_HOME", str(home))
        patch.setattr(simulate, "anatomy", phantom.chest)
        run = plan(STUDY, "smoke", settings=CHANGES)
        prepared = stages.prepare(run)
        for unit in run.units(prepared, 0):
            if not unit.network.startswith("classifier"):
                unit.folder.mkdir(parents=True)
                record.Stopwatch(STUDY.root, STUDY.train).write(unit.folder / units.DONE, {})
        for count in run.config.arms.rare:
            corpus = open_corpus(run.unit(prepared, 0, synthesis(count)).folder / "corpus")
            for number, label in enumerate(("pneumothorax", "normal", "effusion", "nodule")):
                first = 1000 * count + 100 * number
                add(corpus, label, range(first, first + SET))
        save_index(run, 0, run.units(prepared, 0), prepared.parts)
    return run, prepared
