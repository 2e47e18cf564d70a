"""Claims: each verdict's word from made-up metrics; the arms compared; the cost model."""

from pathlib import Path
from typing import Any

import pytest

from common.report import reported
from common.results.metrics_file import value_at
from papers.rare_disease_controlnet import claims, compared, costs
from tests.papers.rare_disease_controlnet.results_made_up import changed, metrics

REPORTED = reported.read(Path(claims.__file__).with_name("reported.toml"))


def f1(arm: str, value: float | None) -> dict[str, Any]:
    return {f"classifiers.{arm}_24.rare_f1": value}


# Of each claim: what supports it, where all arms are alike else; what then speaks against it.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "f1_rises_over_best": (f1("selected", 0.7), f1("augmented", 0.9)),
    "f1_rises_over_real": (f1("selected", 0.7), f1("real", 0.9)),
    "few_films_cost_f1": (f1("upper", 0.7), f1("augmented", 0.9)),
    "selection_helps": (f1("selected", 0.7), f1("unselected", 0.9)),
    "pretraining_helps": (f1("pretrained", 0.7), f1("real", 0.9)),
    "synthetic_alone_is_worse": (f1("synthetic_only", 0.3), f1("synthetic_only", 0.9)),
    "dose_response_rises": (
        {"classifiers.selected_24_dose_96.rare_f1": 0.7},
        {"classifiers.selected_24_dose_24.rare_f1": 0.9},
    ),
    "anatomy_kept": ({"engine.edges.finding": 0.8}, {"engine.edges.strength_0": 0.9}),
    "only_the_lesion_changes": ({"engine.change.ratio": 0.1}, {"engine.change.ratio": 0.4}),
    "finding_shown": ({"engine.as_asked.rare": 0.8}, {"engine.as_asked.rare_unasked": 0.9}),
    "side_shown": ({"engine.as_asked.side": 0.8}, {"engine.as_asked.side": 0.2}),
    "single_fid_tells_real": (
        {"engine.quality.single.auroc": 0.9},
        {"engine.quality.single.auroc": 0.6},
    ),
    "no_personal_data": (
        {
            "engine.memorization.membership_auroc": 0.5,
            "engine.memorization.below_first_percentile": 0.0,
        },
        {"engine.memorization.membership_auroc": 0.7},
    ),
}


def seeds(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [changed(metrics(), each) for each in changes]


def test_every_claim_of_the_source_has_its_test_here():
    tested = [claim.test for claim in REPORTED.claims if claim.test]
    assert sorted(tested) == sorted(CASES)
    assert {claim.id for claim in REPORTED.claims if claim.not_testable} == {
        "radiologists",
        "cost",
    }


def test_the_source_has_no_number_and_others_are_context_alone():
    assert REPORTED.numbers
    for number in REPORTED.numbers:
        assert number.context, number.id
        assert value_at(metrics(), number.metric) is not None, number.id


@pytest.mark.parametrize("name", CASES)
def test_a_clear_case_is_supported(name):
    supports, _ = CASES[name]
    assert getattr(claims, name)(seeds(*[supports] * 3)).word == "supported"
    assert getattr(claims, name)(seeds(*[supports] * 2)).word == "no verdict"


@pytest.mark.parametrize("name", CASES)
def test_the_opposite_is_contradicted_and_seeds_that_differ_are_inconclusive(name):
    supports, against = CASES[name]
    assert getattr(claims, name)(seeds(*[supports | against] * 3)).word == "contradicted"
    mixed = seeds(supports, supports | against, supports)
    assert getattr(claims, name)(mixed).word == "inconclusive"


@pytest.mark.parametrize("name", CASES)
def test_each_part_of_a_claim_must_be_measured(name):
    supports, _ = CASES[name]
    for path in supports:
        found = seeds(supports, supports | {path: None}, supports)
        assert getattr(claims, name)(found).word == "not testable", path


@pytest.mark.parametrize("name", ["f1_rises_over_best", "pretraining_helps"])
def test_the_best_without_synthetic_films_is_named_and_must_be_known(name):
    supports, _ = CASES[name]
    function = getattr(claims, name)
    ahead = supports | f1("real", 0.6)
    assert "minus 'real' (the best" in function(seeds(*[ahead] * 3)).detail
    ahead = supports | f1("augmented", 0.6)
    assert "minus 'real, augmented' (the best" in function(seeds(*[ahead] * 3)).detail
    # the mean over seeds decides, not each seed's own best
    turns = seeds(supports, supports | f1("real", 0.65), supports | f1("augmented", 0.55))
    assert compared.best_without(turns) == "real"
    for arm in compared.WITHOUT:
        gone = seeds(supports, supports | f1(arm, None), supports)
        assert function(gone).word == "not testable"


def test_only_the_main_number_of_real_films_decides():
    everywhere = {"classifiers.selected_12.rare_f1": 0.9}
    verdict = claims.f1_rises_over_real(seeds(*[everywhere] * 3))
    assert verdict.word == "inconclusive"
    assert verdict.detail.endswith("0 ± 0 (one-sided 95%, 3 seeds)")


@pytest.mark.parametrize("name", ["f1_rises_over_best", "f1_rises_over_real", "selection_helps"])
def test_an_arm_with_hardly_a_synthetic_film_shows_nothing_of_them(name):
    supports, _ = CASES[name]
    fewest = {"reviewer.acceptance.24.accepted": 6}
    assert getattr(claims, name)(seeds(supports, supports | fewest, supports)).word == "supported"
    fewer = {"reviewer.acceptance.24.accepted": 5}
    verdict = getattr(claims, name)(seeds(supports, supports | fewer, supports))
    assert verdict.word == "not testable"
    assert "accepted in a seed are 5, beside 24 real ones" in verdict.detail


@pytest.mark.parametrize(("accepted", "slope"), [(96, "0.1"), (48, "0.2")])
def test_a_dose_is_no_more_than_what_was_accepted(accepted, slope):
    supports, _ = CASES["dose_response_rises"]
    fewer = supports | {"reviewer.acceptance.24.accepted": accepted}
    verdict = claims.dose_response_rises(seeds(*[fewer] * 3))
    assert verdict.word == "supported"
    assert f"films {slope} ±" in verdict.detail


@pytest.mark.parametrize("accepted", [0, 24])
def test_one_number_of_films_shows_no_response(accepted):
    supports, _ = CASES["dose_response_rises"]
    one = supports | {"reviewer.acceptance.24.accepted": accepted}
    assert claims.dose_response_rises(seeds(supports, one, supports)).word == "not testable"


def test_a_part_that_decides_is_named_first():
    supports, against = CASES["anatomy_kept"]
    detail = claims.anatomy_kept(seeds(*[supports | against] * 3)).detail
    assert detail.startswith("edges kept, above those at strength 0")
    assert "without ControlNet" in detail
    assert "in other films" in detail


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [("membership_auroc", 0.52, "membership"), ("below_first_percentile", 0.05, "near copies")],
)
def test_any_leak_that_is_seen_contradicts_privacy(path, value, named):
    leak = {f"engine.memorization.{path}": value}
    verdict = claims.no_personal_data(seeds(*[leak] * 3))
    assert verdict.word == "contradicted"
    assert named in verdict.detail


def test_films_that_nobody_marked_leave_place_and_side_untested():
    found = [metrics(known=False) for _ in range(3)]
    words = {name: getattr(claims, name)(found).word for name in CASES}
    untested = {name for name, word in words.items() if word == "not testable"}
    assert untested == {"only_the_lesion_changes", "side_shown"}


def test_arms_counts_and_doses_are_read_from_the_names_of_classifiers():
    found = seeds({}, {})
    assert compared.counts(found) == [12, 24]
    assert compared.doses(found) == [24, 96]
    assert compared.arms_at(found, 12) == ["real", "selected"]
    assert compared.arms_at(found, 24) == list(compared.ARMS)
    assert compared.best_without(found, 12) == "real"


def test_a_saving_depends_on_what_a_synthetic_film_is_worth():
    example = costs.Costs()
    assert costs.saving(example) == pytest.approx(0.93, abs=0.005)  # as the study card says
    least = costs.least_worth(example)
    assert least == pytest.approx(0.35, abs=0.005)
    assert costs.saving(example, least) == pytest.approx(0.8)
    assert costs.saving(example, 0.9 * least) < 0.8


@pytest.mark.parametrize(
    "worse", [{"accepted": 0.1}, {"review_seconds": 60}, {"gpu_seconds": 500}, {"films": 100}]
)
def test_every_cost_of_synthetic_films_lowers_the_saving(worse):
    assert costs.saving(costs.Costs(**worse)) < costs.saving(costs.Costs()) - 0.001


def test_costs_are_added_as_stated():
    given = costs.Costs(
        real_hours=0.5, physician=60, gpu_seconds=36, gpu=1, review_seconds=6, accepted=0.25,
        training_hours=10, rare_films=3, films=100,
    )  # fmt: skip
    assert given.real == 30
    assert given.synthetic == pytest.approx((0.01 + 0.1) / 0.25 + (10 + 90) / 100)
