"""One's own cohort in BIDS: each subject is read or named, and a level is the same in all."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.data.prepare import prepare
from common.errors import InputError
from common.pipeline.plan import plan
from papers.camcan_cfg.bids_layout import listing, read
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.datasets import DATASETS
from papers.camcan_cfg.study import STUDY
from tests.papers.camcan_cfg.bids_files import cohort, place_of, save, scan

CONFIG = DataConfig(dataset="bids", height=24, width=32, slices=4, percentile=99.5)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return cohort(tmp_path / "raw", 3)


def table(raw: Path, *rows: str, head: str = "participant_id\tage\tsex") -> None:
    (raw / "participants.tsv").write_text("\n".join([head, *rows]))


def test_all_subjects_come_in_the_order_of_the_table(raw, capsys):
    table(raw, "sub-02\t30\tmale", "sub-01\t25.5\tF", "sub-03\t40\tFemale")
    found = read(raw, CONFIG)
    assert [(one.name, one.age, one.sex) for one in found.items] == [
        ("02", 30, 2), ("01", 25.5, 1), ("03", 40, 1)
    ]  # fmt: skip
    assert (found.bad, found.absent, found.ignored) == ([], [], [])
    for one in found.items:
        assert one.numbers.tolist() == [43, 44, 45, 46]
        assert one.images.shape == (4, 24, 32)
        assert one.images.min() == 0
        assert 0.95 < one.images.max() <= 1
    assert "levels of 0 volumes by template space, of 3 by the head's crown" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("participant_id\tAge\tGender", "01\t25\tm"),
        ("participant_id\tage\tgender_code\tgender_text", "sub-01\t25\t1\tMALE"),
        ("Participant_ID\thand\tage_years\tsex", "sub-01\tR\t25\tman"),
    ],
)
def test_usual_spellings_are_understood(raw, head, row):
    table(raw, row, head=head)
    (one,) = read(raw, CONFIG).items
    assert (one.name, one.age, one.sex) == ("01", 25, 2)


def test_a_code_of_sex_means_what_the_participants_file_says(raw):
    table(raw, "sub-01\t25\t1", "sub-02\t26\t0", "sub-03\t27\tF")
    assert read(raw, CONFIG).bad[0] == (
        "sub-01_T1w.nii.gz: sex is 1, a code whose meaning participants.json does not say "
        "(Levels); write F or M (line 2 of participants.tsv)"
    )
    levels = {"0": "female", "1": "male (at birth)", "F": "Female"}
    (raw / "participants.json").write_text(json.dumps({"sex": {"Levels": levels}}))
    found = read(raw, CONFIG)
    assert [one.sex for one in found.items] == [2, 1, 1]
    assert found.bad == []


def test_who_has_no_age_no_sex_or_no_volume_is_left_out_by_name(raw):
    table(raw, "sub-01\tn/a\tF", "sub-02\t30\tO", "sub-03\t40\tM", "sub-04\t50\tM")
    found = read(raw, CONFIG)
    assert [one.name for one in found.items] == ["03"]
    assert found.absent == [
        "sub-01: no age in participants.tsv",
        "sub-02: no sex that is female or male in participants.tsv",
        "sub-04: no anat/*_T1w.nii.gz",
    ]
    table(raw, "sub-01\t25\tF", "sub-02\t89+\tF")
    assert read(raw, CONFIG).bad == [
        "sub-02_T1w.nii.gz: age '89+' is not a number (line 3 of participants.tsv)",
        "sub-03_T1w.nii.gz: has no row in participants.tsv",
    ]


def test_of_sessions_and_runs_the_first_is_read_and_the_others_are_named(raw):
    place_of(raw, "01").unlink()
    for seed, (session, more) in enumerate((("10", ""), ("2", "_run-1"), ("2", "_run-2"))):
        save(scan((4.0, 4.0, 4.0), seed=5 + seed), place_of(raw, "01", session, more))
    save(scan((4.0, 4.0, 4.0), seed=9), place_of(raw, "02", more="_ce-gadolinium"))
    save(scan((4.0, 4.0, 4.0), seed=9), raw / "derivatives" / "sub-02" / "anat" / "sub-02_T1w.nii")
    (raw / "sub-02" / "anat" / "sub-02_T2w.nii.gz").touch()
    found = listing(raw)
    assert found.volumes["01"] == place_of(raw, "01", "2", "_run-1")
    assert (found.bad, sorted(found.ignored)) == ([], [
        "derivatives/sub-02/anat/sub-02_T1w.nii: outside of the folders that are read",
        "sub-01/ses-10/anat/sub-01_ses-10_T1w.nii.gz: of a later session or run",
        "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w.nii.gz: of a later session or run",
        "sub-02/anat/sub-02_T2w.nii.gz: of another kind",
        "sub-02/anat/sub-02_ce-gadolinium_T1w.nii.gz: with a contrast agent",
    ])  # fmt: skip


def test_volumes_that_may_be_another_s_are_bad(raw):
    place_of(raw, "02").rename(raw / "sub-01" / "anat" / "sub-02_T1w.nii.gz")
    place_of(raw, "03").write_bytes(place_of(raw, "01").read_bytes())
    found = read(raw, CONFIG)
    assert [one.name for one in found.items] == ["01"]
    assert found.bad == [
        "sub-01/anat/sub-02_T1w.nii.gz: named as another subject's; it lies in sub-01",
        "sub-03_T1w.nii.gz: shows the same as sub-01_T1w.nii.gz; keep one",
    ]


def test_a_volume_that_does_not_say_how_it_lies_is_bad(raw):
    path = place_of(raw, "01")
    volume = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj), None), path)
    assert read(raw, CONFIG).bad == [
        "sub-01_T1w.nii.gz: does not say how it lies (neither qform nor sform); convert it again"
    ]


def test_results_on_one_s_own_cohort_stay_out_of_the_project(raw, tmp_path):
    prepared = prepare(DATASETS["bids"], CONFIG, STUDY.examples, tmp_path / "out", raw)
    assert (prepared.stand_in, sum(prepared.sizes.values()), prepared.files) == (True, 12, 4)
    run = plan(STUDY, "bids", raw=raw, home=tmp_path / "home")
    assert run.out == run.work / "results"
    assert not run.config.evaluate.keep_real_images
    assert plan(STUDY, "demo", home=tmp_path / "home").out == STUDY.results("demo")


def test_what_is_no_cohort_is_refused(raw):
    with pytest.raises(InputError, match=r"no participants.tsv there; give the folder that holds"):
        listing(raw / "sub-01")
    table(raw, "sub-01\tF", head="participant_id\tsex")
    with pytest.raises(InputError, match=r"no column age or age_years"):
        read(raw, CONFIG)
    table(raw, "sub-01\t300\tF")
    (raw / "participants.json").write_text(json.dumps({"age": {"Units": "months"}}))
    with pytest.raises(InputError, match=r"age has Units 'months'; give ages in years"):
        read(raw, CONFIG)


def test_without_a_percentile_intensities_must_be_scaled(raw):
    found = read(raw, DataConfig(dataset="bids", height=24, width=32, slices=4))
    assert found.bad == []
    save(scan((4.0, 4.0, 4.0)), place_of(raw, "01"))
    volume = scan((4.0, 4.0, 4.0))
    bright = nibabel.Nifti1Image(9 * np.asarray(volume.dataobj), volume.affine, volume.header)
    save(bright, place_of(raw, "01"))
    (line,) = read(raw, DataConfig(dataset="bids", height=24, width=32, slices=4)).bad
    assert line.endswith("scale them to 0 to 255, or let --set data.percentile=99.5 do it")
