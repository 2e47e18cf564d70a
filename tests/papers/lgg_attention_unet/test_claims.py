"""Claims: each verdict's word from made-up metrics."""

import copy

import pytest

from papers.lgg_attention_unet import claims


def seed(number: int = 0, **change) -> dict:
    wobble = 0.01 * number
    detection = {"auroc": 0.9, "f1": 0.8 + wobble, "f1_always": 0.5, "n": 10.0, "positive": 6.0}
    return {
        "attention": {
            "patient": {"dice": 0.78 + wobble},
            "patients": {f"p{number}a": 0.8 + wobble, f"p{number}b": 0.7},
            "detection": {"slice": dict(detection), "patient": dict(detection)},
        },
        "plain": {"patients": {f"p{number}a": 0.75, f"p{number}b": 0.66}},
        "threshold": {"patient": {"dice": 0.2}},
    }


SEEDS = [seed(i) for i in range(3)]


def changed(path: str, values) -> list[dict]:
    found = copy.deepcopy(SEEDS)
    *sections, last = path.split(".")
    for one, value in zip(found, values, strict=True):
        inside = one
        for section in sections:
            inside = inside[section]
        inside[last] = value
    return found


def test_tumor_captured_needs_more_than_half_and_more_than_a_threshold() -> None:
    assert claims.tumor_captured(SEEDS).word == "supported"
    low = changed("attention.patient.dice", (0.44, 0.45, 0.46))
    assert claims.tumor_captured(low).word == "contradicted"
    strong = changed("threshold.patient.dice", (0.9, 0.9, 0.91))
    assert claims.tumor_captured(strong).word == "contradicted"
    assert claims.tumor_captured(SEEDS[:2]).word == "no verdict"


@pytest.mark.parametrize("what", ["slice", "patient"])
def test_told_apart_needs_more_than_always_yes(what: str) -> None:
    test = getattr(claims, f"{what}s_told_apart")
    verdict = test(SEEDS)
    assert verdict.word == "supported"
    assert "AUROC 0.900" in verdict.detail
    worse = changed(f"attention.detection.{what}.f1", (0.4, 0.41, 0.4))
    assert test(worse).word == "contradicted"


def test_patients_of_one_kind_cannot_be_told_apart() -> None:
    all_ill = changed("attention.detection.patient.positive", (10.0, 10.0, 10.0))
    assert claims.patients_told_apart(all_ill).word == "not testable"


def test_gates_are_compared_patient_by_patient() -> None:
    verdict = claims.gates_help(SEEDS)
    assert verdict.word == "supported"
    assert "6 patients" in verdict.detail
    same = [{**one, "plain": {"patients": dict(one["attention"]["patients"])}} for one in SEEDS]
    assert claims.gates_help(same).word == "inconclusive"
    alone = [{k: v for k, v in one.items() if k != "plain"} for one in SEEDS]
    assert claims.gates_help(alone).word == "not testable"
    repeated = [SEEDS[0], SEEDS[0], SEEDS[0]]
    assert claims.gates_help(repeated).detail == "2 of at least 3 patients"
