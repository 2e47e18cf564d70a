"""The study's data sets: layouts, bad files, splits, and the real files where there are any."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import tifffile

from common.data import builder
from common.data.images import resize_area
from common.data.prepare import prepare as prepare_data
from common.data.prepared import Prepared
from common.errors import InputError
from papers.camcan_cfg import lgg_layout
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.data import Slices, load
from papers.camcan_cfg.study import STUDY

SMALL = DataConfig(dataset="camcan", height=12, width=16, slices=4, split="subject")
PARTS = ("train", "validation", "test")
SUBJECTS = [f"CC{i:03d}" for i in (5, 1, 4, 2, 3)]  # the table's order is not alphabetical


def prepare(config: DataConfig, folder: Path, raw: Path | None, skip_bad: bool = False) -> Prepared:
    """Prepare one of the study's data sets in a folder."""
    dataset = STUDY.datasets[config.dataset]
    return prepare_data(dataset, config, STUDY.examples, folder, raw, skip_bad)


def volume(index: int, shape=(10, 13, 9)) -> np.ndarray:
    return np.random.default_rng(index).uniform(0, 255, shape).astype(np.float32)


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-2.0, 2, 2, 1])), path)


@pytest.fixture
def camcan(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = ["Subject,Age,Sex"]
    for index, name in enumerate(SUBJECTS):
        save(raw / f"sub-{name}_defaced_T1.nii.gz", volume(index))
        rows.append(f"{name},{20 + 10 * index},{1 + index % 2}")
    (raw / "phenotype.csv").write_text("\n".join(rows))
    return raw


def file_of(raw: Path, name: str) -> Path:
    return raw / f"sub-{name}_defaced_T1.nii.gz"


def edit(raw: Path, old: str, new: str) -> None:
    table = raw / "phenotype.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))


def everything(prepared: Prepared) -> Slices:
    parts = [load(prepared, part) for part in PARTS]
    return Slices(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in Slices.__dataclass_fields__)
    )


# Cam-CAN


def test_published_layout_becomes_the_source_s_slices(camcan, tmp_path):
    prepared = prepare(SMALL, tmp_path / "out", camcan)
    assert (prepared.sizes, prepared.skipped, prepared.absent) == (
        {"train": 12, "validation": 4, "test": 4},
        (),
        (),
    )
    assert not prepared.stand_in
    slices = everything(prepared)
    for index, name in enumerate(SUBJECTS):
        mine = slices.subjects == name
        ages, sexes, numbers = slices.conditions[mine].T
        assert numbers.tolist() == [2, 3, 4, 5]  # 9 // 2 - 2 … + 1
        assert set(ages) == {20 + 10 * index}
        assert set(sexes) == {1 + index % 2}
        expected = np.moveaxis(volume(index)[:, :, 2:6], 2, 0) / 255
        np.testing.assert_allclose(
            slices.images[mine][..., 0], resize_area(expected, 12, 16), atol=1e-6
        )


def test_published_grid_has_the_published_numbers(camcan, tmp_path):
    for index, name in enumerate(SUBJECTS):
        save(file_of(camcan, name), volume(index, (4, 5, 91)))
    prepared = prepare(replace(SMALL, slices=40), tmp_path / "out", camcan)
    numbers = load(prepared, "test").conditions[:, 2]
    assert numbers.tolist() == list(range(25, 65))
    assert (prepared.parts["test"]["slice_min"], prepared.parts["test"]["slice_max"]) == (25, 64)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_columns_give_the_same_data(camcan, tmp_path, separator):
    one = prepare(SMALL, tmp_path / "one", camcan)
    edit(camcan, "Subject,Age,Sex", "Site,SUBJECT,age,sex")
    table = camcan / "phenotype.csv"
    head, *rows = table.read_text().splitlines()
    lines = [head, *(f"x,{row}" for row in rows)]
    table.write_text("\n".join(lines).replace(",", separator))
    assert prepare(SMALL, tmp_path / "two", camcan).content_hash == one.content_hash


def test_volumes_may_lie_in_a_folder_beside_the_table(camcan, tmp_path):
    one = prepare(SMALL, tmp_path / "one", camcan)
    (camcan / "volumes").mkdir()
    for path in camcan.glob("*.nii.gz"):
        path.rename(camcan / "volumes" / path.name)
    for raw in (camcan, camcan / "volumes"):
        assert prepare(SMALL, tmp_path / f"out_{raw.name}", raw).content_hash == one.content_hash


def test_a_subject_without_a_file_is_left_out_and_named(camcan, tmp_path):
    file_of(camcan, "CC004").unlink()
    prepared = prepare(SMALL, tmp_path / "out", camcan)
    assert prepared.absent == ("CC004: no sub-CC004_defaced_T1.nii.gz",)
    assert sum(prepared.sizes.values()) == 16
    assert "1 subjects without a file" in prepared.description


def truncate(raw: Path) -> None:
    path = file_of(raw, "CC001")
    path.write_bytes(path.read_bytes()[:-1000])


def copy(raw: Path) -> None:
    shutil.copy(file_of(raw, "CC005"), file_of(raw, "CC001"))


def double(raw: Path) -> None:
    edit(raw, "CC001,30,2", "CC001,30,2\nCC001,31,2")


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated gzip": (truncate, "cannot be read"),
    "not gzip": (
        lambda raw: file_of(raw, "CC001").write_text("x"),
        "it is text, expected a NIfTI volume",
    ),
    "2-D": (lambda raw: save(file_of(raw, "CC001"), volume(1)[0]), "has 2 dimensions"),
    "4-D": (
        lambda raw: save(file_of(raw, "CC001"), np.stack([volume(1)] * 2, -1)),
        "has 4 dimensions",
    ),
    "too thin": (lambda raw: save(file_of(raw, "CC001"), volume(1)[..., :3]), "3 axial slices"),
    "nan": (lambda raw: save(file_of(raw, "CC001"), volume(1) * np.nan), "not finite"),
    "0 to 1": (lambda raw: save(file_of(raw, "CC001"), volume(1) / 255), "scale them to 0 to 255"),
    "0 to 4095": (lambda raw: save(file_of(raw, "CC001"), volume(1) * 16), "scale them"),
    "below 0": (lambda raw: save(file_of(raw, "CC001"), volume(1) - 200), "run from -"),
    "no Age": (
        lambda raw: edit(raw, "CC001,30", "CC001,"),
        "Age is missing (line 3 of phenotype.csv)",
    ),
    "Age in words": (lambda raw: edit(raw, "CC001,30", "CC001,old"), "'old' is not a number"),
    "Age 130": (lambda raw: edit(raw, "CC001,30", "CC001,130"), "130 is outside 0 to 120"),
    "Sex 0": (lambda raw: edit(raw, "CC001,30,2", "CC001,30,0"), "'0', not 1 or F (female)"),
    "no Sex": (lambda raw: edit(raw, "CC001,30,2", "CC001,30,n/a"), "Sex is missing (line 3"),
    "no row": (lambda raw: edit(raw, "\nCC001,30,2", ""), "has no row in phenotype.csv"),
    "two rows": (double, "has 2 rows in phenotype.csv, lines 3, 4; keep one"),
    "a copy": (copy, "shows the same as sub-CC005_defaced_T1.nii.gz; keep one"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_with_its_reason_or_left_out(camcan, tmp_path, case):
    spoil, reason = BAD[case]
    spoil(camcan)
    with pytest.raises(InputError) as error:
        prepare(SMALL, tmp_path / "out", camcan)
    head, line = str(error.value).split("\n  ")
    assert str(camcan) in head
    assert "1 bad" in head
    assert "--skip-bad" in head
    assert line.startswith("sub-CC001_defaced_T1.nii.gz: ")
    assert reason in line
    assert not (tmp_path / "out").exists()
    prepared = prepare(SMALL, tmp_path / "out", camcan, skip_bad=True)
    assert prepared.skipped == (line,)
    assert sum(prepared.sizes.values()) == 16
    with pytest.raises(InputError, match=r"CC001"):  # what was skipped once is not silent later
        prepare(SMALL, tmp_path / "out", camcan)


def test_all_bad_files_are_named_at_once(camcan, tmp_path):
    truncate(camcan)
    save(file_of(camcan, "CC002"), volume(1)[0])
    edit(camcan, "CC003,60,1", "CC003,60,3")
    with pytest.raises(InputError) as error:
        prepare(SMALL, tmp_path / "out", camcan)
    assert [line.split("_")[0] for line in str(error.value).split("\n  ")[1:]] == [
        "sub-CC001",
        "sub-CC002",
        "sub-CC003",
    ]


def test_a_folder_with_nothing_in_it_is_refused(camcan, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"empty: no phenotype\.csv"):
        prepare(SMALL, tmp_path / "out", empty)
    (empty / "phenotype.csv").write_text("Subject,Age,Sex\nA,3,1\n")
    with pytest.raises(InputError, match=r"no sub-<Subject>_defaced_T1\.nii\.gz there"):
        prepare(SMALL, tmp_path / "out", empty)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        prepare(SMALL, tmp_path / "out", tmp_path / "nowhere")
    (camcan / "phenotype.csv").write_text("Subject,Age,Sex\nA,3,1\n")
    with pytest.raises(InputError, match="nothing is left to work with"):
        prepare(SMALL, tmp_path / "out", camcan, skip_bad=True)


def test_a_table_with_another_separator_is_refused(camcan, tmp_path):
    table = camcan / "phenotype.csv"
    table.write_text(table.read_text().replace(",", "|"))
    with pytest.raises(InputError, match=r"no column 'Subject' in its first line 'Subject\|Age"):
        prepare(SMALL, tmp_path / "out", camcan)


@pytest.mark.parametrize("dataset", ["camcan", "lgg_flair"])
def test_without_raw_files_the_error_says_where_to_get_them(dataset, tmp_path):
    with pytest.raises(InputError, match=rf"{dataset} needs raw files: .*https://.*--raw DIR"):
        prepare(replace(SMALL, dataset=dataset), tmp_path / "out", None)


# Splits, reuse, order


def test_split_by_subject_keeps_subjects_apart_and_by_slice_leaks(camcan, tmp_path):
    names = {}
    for split in ("subject", "slice"):
        prepared = prepare(replace(SMALL, split=split), tmp_path / split, camcan)
        names[split] = [set(load(prepared, part).subjects) for part in PARTS]
        assert prepared.sizes == {"train": 12, "validation": 4, "test": 4}
    train, validation, test = names["subject"]
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 5
    train, validation, test = names["slice"]
    assert train & validation
    assert train & test


def test_split_by_slice_is_the_permutation_of_the_table_s_order(camcan, tmp_path):
    prepared = prepare(replace(SMALL, split="slice"), tmp_path / "out", camcan)
    chosen = np.arange(20)
    np.random.RandomState(0).shuffle(chosen)
    expected = sorted((SUBJECTS[i // 4], 2 + i % 4) for i in chosen[:4])
    test = load(prepared, "test")
    assert list(zip(test.subjects, test.conditions[:, 2], strict=True)) == expected


def test_prepared_data_is_used_again_until_something_changes(camcan, tmp_path, monkeypatch):
    out = tmp_path / "out"
    writes = []
    write = builder.write
    monkeypatch.setattr(builder, "write", lambda *a: (writes.append(a), write(*a)))
    first = prepare(SMALL, out, camcan)
    assert prepare(SMALL, out, camcan) == first
    assert len(writes) == 1
    save(file_of(camcan, "CC001"), volume(99))
    changed = prepare(SMALL, out, camcan)
    assert (len(writes), changed.content_hash != first.content_hash) == (2, True)
    prepare(replace(SMALL, split_seed=1), out, camcan)
    assert len(writes) == 3
    last = prepare(replace(SMALL, split_seed=1), out, tmp_path / "unplugged")
    assert len(writes) == 3
    assert load(last, "train").images.shape == (12, 12, 16, 1)


def test_two_processes_prepare_the_same(camcan, tmp_path):
    one = prepare(SMALL, tmp_path / "one", camcan)
    program = (
        "import sys; from pathlib import Path\n"
        "from common.data.prepare import prepare\n"
        "from papers.camcan_cfg.study import STUDY, DataConfig\n"
        "config = DataConfig(height=12, width=16, slices=4, split='subject')\n"
        "where = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "made = prepare(STUDY.datasets['camcan'], config, STUDY.examples, *where)\n"
        "print(made.content_hash)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "two"), str(camcan)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == one.content_hash


def test_loaded_slices_are_in_order_and_can_be_batched(camcan, tmp_path):
    train = load(prepare(SMALL, tmp_path / "out", camcan), "train")
    order = list(zip(train.subjects, train.conditions[:, 2], strict=True))
    assert order == sorted(order)
    source = train.as_source()
    assert len(source) == 12
    np.testing.assert_array_equal(source[5]["image"], train.images[5])
    np.testing.assert_array_equal(source[5]["condition"], train.conditions[5])
    few = train.spread(3)
    assert len(set(few.subjects)) == 3
    assert len(train.spread(99)) == 12


# LGG


def head(
    size: int = 64, slices: int = 24, widest: float = 12.0, height: float = 11.5
) -> np.ndarray:
    """Return a stack of an ellipsoid head, the spot in front on the patient's right brighter."""
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    shrink = 1 - ((np.arange(slices) - widest) / height) ** 2
    inside = (x / 0.7) ** 2 + (y / 0.9) ** 2 < np.maximum(shrink, 0)[:, None, None]
    stack = np.where(inside, 100, 0).astype(np.uint8)
    stack[:, (y < -0.2) & (x < -0.2)] *= 2
    return stack


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    root = raw / "kaggle_3m"
    rows = ["Patient;gender;age_at_initial_pathologic"]
    for index in range(4):
        name = f"TCGA_AA_000{index}"
        folder = root / f"{name}_19990101"
        folder.mkdir(parents=True)
        for number, image in enumerate(head(), start=1):
            color = np.stack([image // 2, image, image // 3], -1)
            color[0, 0, 2] = index  # no two patients are the same
            mask = np.zeros_like(image)
            if number == 13:
                mask[30:34, 30:34] = 255
            tifffile.imwrite(folder / f"{name}_19990101_{number}.tif", color)
            tifffile.imwrite(folder / f"{name}_19990101_{number}_mask.tif", mask)
        rows.append(f"{name};{1 + index % 2};{40 + index}")
    rows.append("TCGA_AA_0009;;")
    (root / "data.csv").write_text("\r\n".join(rows))
    return raw


LGG = replace(SMALL, dataset="lgg_flair", height=24, width=32, slices=40)


def test_levels_of_an_ellipsoid_are_exact_and_survive_a_cut_crown():
    expected = 38.5 + (np.arange(24) - 12) / 11.5 * 42.5
    full = head(256) > 0
    np.testing.assert_allclose(lgg_layout.levels(full), expected, atol=0.5)
    np.testing.assert_allclose(lgg_layout.levels(full[:20]), expected[:20], atol=0.5)


def test_kaggle_layout_gives_tumor_free_numbered_upright_slices(kaggle, tmp_path):
    prepared = prepare(LGG, tmp_path / "out", kaggle)
    assert prepared.stand_in
    slices = everything(prepared)
    mine = slices.subjects == "TCGA_AA_0001"
    ages, sexes, numbers = slices.conditions[mine].T
    assert (set(ages), set(sexes)) == ({41}, {2})
    levels = np.rint(38.5 + (np.arange(24) - 12) / 11.5 * 42.5)
    used = [n for i, n in enumerate(levels) if 25 <= n <= 64 and i != 12]  # the tumor
    np.testing.assert_allclose(numbers, used, atol=1)
    images = slices.images[mine][..., 0]
    assert images.shape[1:] == (24, 32)
    assert images.min() == 0
    right_front = images[:, 12:, 16:].mean()
    assert right_front > 1.2 * max(
        images[:, :12, 16:].mean(), images[:, 12:, :16].mean(), images[:, :12, :16].mean()
    )
    np.testing.assert_allclose(np.median(images[images > 0.1]), 0.4, atol=0.02)


def test_a_slice_that_shows_no_head_is_left_out(kaggle, tmp_path):
    before = everything(prepare(LGG, tmp_path / "before", kaggle))
    name = "TCGA_AA_0001_19990101"
    blank = np.zeros((64, 64, 3), np.uint8)
    tifffile.imwrite(kaggle / "kaggle_3m" / name / f"{name}_15.tif", blank)
    after = everything(prepare(LGG, tmp_path / "after", kaggle))
    assert len(after) == len(before) - 1
    assert after.images.max(axis=(1, 2, 3)).min() > 0.1


def test_kaggle_folder_is_found_from_around_it_and_by_either_separator(kaggle, tmp_path):
    one = prepare(LGG, tmp_path / "one", kaggle)
    table = kaggle / "kaggle_3m" / "data.csv"
    table.write_text(table.read_text().replace(";", ","))
    assert prepare(LGG, tmp_path / "two", kaggle / "kaggle_3m").content_hash == one.content_hash
    outer = tmp_path / "data" / "lgg-mri-segmentation"
    outer.parent.mkdir()
    kaggle.rename(outer)
    assert prepare(LGG, tmp_path / "three", outer.parent).content_hash == one.content_hash


def test_a_patient_without_age_or_gender_is_left_out_and_named(kaggle, tmp_path):
    table = kaggle / "kaggle_3m" / "data.csv"
    table.write_text(table.read_text().replace("TCGA_AA_0002;1;42", "TCGA_AA_0002;1;"))
    prepared = prepare(LGG, tmp_path / "out", kaggle)
    assert prepared.absent == ("TCGA_AA_0002: no age or no gender in data.csv",)
    assert sum(part["subjects"] for part in prepared.parts.values()) == 3


def test_every_bad_image_of_kaggle_is_named(kaggle, tmp_path):
    def path(patient: int, name: str) -> Path:
        stem = f"TCGA_AA_000{patient}_19990101"
        return kaggle / "kaggle_3m" / stem / f"{stem}_{name}.tif"

    path(0, "3").write_bytes(path(0, "3").read_bytes()[:40])
    tifffile.imwrite(path(0, "7"), np.zeros((64, 64), np.uint8))
    path(1, "5_mask").unlink()
    tifffile.imwrite(path(3, "5_mask"), np.zeros((64, 64), np.uint16))
    with pytest.raises(InputError) as error:
        prepare(LGG, tmp_path / "out", kaggle)
    lines = str(error.value).split("\n  ")[1:]
    expected = ("_3.tif cannot be read", "_7.tif is uint8 (64, 64)", "slice 5 has no", "uint16")
    assert len(lines) == 4
    assert all(part in line for part, line in zip(expected, lines, strict=True))
    prepared = prepare(replace(LGG, split="slice"), tmp_path / "out", kaggle, skip_bad=True)
    assert sum(prepared.sizes.values()) > 0
    assert len(prepared.skipped) == 4


# Simulated


def test_simulated_cohort_is_numbered_like_the_others(tmp_path, monkeypatch):
    asked = {}

    def cohort(subjects, seed, **options):
        asked.update(options, subjects=subjects)
        random = np.random.default_rng(seed)
        for i in range(subjects):
            images = random.uniform(0, 1, (options["slices"], 12, 16)).astype(np.float32)
            yield SimpleNamespace(name=f"sim{i}", age=20.5 + i, sex=1 + i % 2, images=images)

    fake = SimpleNamespace(cohort=cohort)
    monkeypatch.setitem(sys.modules, "papers.camcan_cfg.simulate", fake)
    config = replace(SMALL, dataset="simulated", subjects=6, slices=8)
    prepared = prepare(config, tmp_path / "out", None)
    assert asked == {"subjects": 6, "height": 12, "width": 16, "slices": 8}
    assert prepared.stand_in
    slices = everything(prepared)
    assert sorted(set(slices.conditions[:, 2])) == list(range(41, 49))
    assert set(slices.conditions[:, 0]) == {20.5 + i for i in range(6)}
    assert sum(part["female"] for part in prepared.parts.values()) == 3


# Real


def test_real_lgg_patients(tmp_path):
    raw = os.environ.get("STUDY_DATA")
    if not raw or not (Path(raw) / "lgg-mri-segmentation").is_dir():
        pytest.skip("STUDY_DATA does not name a folder with lgg-mri-segmentation")
    config = DataConfig(dataset="lgg_flair", height=48, width=64, split="subject")
    prepared = prepare(config, tmp_path / "out", Path(raw))
    assert prepared.skipped == ()
    slices = everything(prepared)
    assert 28 <= len(set(slices.subjects)) <= 110
    assert len(slices) > 200
    ages, sexes, numbers = slices.conditions.T
    assert (ages.min(), ages.max()) == (23, 75)
    assert set(sexes) == {1, 2}
    assert (numbers.min(), numbers.max()) == (25, 64)
    head = slices.images[:, 12:36, 16:48].mean(axis=(1, 2, 3))
    assert np.all(head > 0.1)  # every slice shows a head in its middle
