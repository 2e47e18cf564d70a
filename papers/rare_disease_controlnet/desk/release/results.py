"""What came of a retraining: numbers of the study's own results, and its verdicts on claims."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from common.report.compare import compare
from common.report.comparison import ClaimRow
from common.results import metrics_file
from papers.rare_disease_controlnet import compared
from papers.rare_disease_controlnet.compared import ARMS, Seeds
from papers.rare_disease_controlnet.study import STUDY

MEASURES = ("rare_f1", "macro_f1", "rare_auroc")
CLAIMS = (  # ids in reported.toml: on what classifiers learn of synthetic films
    "f1_over_best", "f1_over_real", "imbalance", "selection", "pretraining", "synthetic_alone",
    "dose",
)  # fmt: skip


def summary(folder: Path, engine_seed: int) -> dict[str, Any]:
    """Return what the impact page shows of a results folder; numbers by seed, None where absent.

    Args:
        folder: of the results.
        engine_seed: the seed whose engine drew the films.
    """
    seeds = metrics_file.load(folder / "metrics.json")
    whole = compare(STUDY, folder)
    tests = {one.id: one for one in whole.claims}
    return {
        "experiment": whole.experiment,
        "description": whole.description,
        "stand_in": whole.stand_in,
        "seeds": list(whole.seeds),
        "engine_seed": engine_seed,
        "real": compared.main_count(seeds),
        "films": _plain(compared.accepted_films(seeds)),
        "best": compared.best_without(seeds),
        "arms": {
            arm: {measure: _plain(compared.scores(seeds, arm, measure)) for measure in MEASURES}
            for arm in compared.arms_at(seeds, compared.main_count(seeds))
        },
        "doses": _doses(seeds),
        "claims": [_claim(tests[name]) for name in CLAIMS if name in tests],
    }


def _claim(row: ClaimRow) -> dict[str, str]:
    detail = row.verdict.detail.replace(ARMS["selected"], called("selected"))
    return {"text": row.text, "word": row.verdict.word, "detail": detail}


def _doses(seeds: Seeds) -> list[dict[str, Any]]:
    return [
        {"films": dose, "rare_f1": _plain(compared.dose_scores(seeds, dose))}
        for dose in compared.doses(seeds)
    ]


def _plain(numbers: list[float]) -> list[float | None]:
    return [float(number) if math.isfinite(number) else None for number in numbers]


def called(arm: str) -> str:
    """Return what an arm is called where people selected its films."""
    return "+ synthetic, accepted by readers" if arm == "selected" else ARMS[arm]
