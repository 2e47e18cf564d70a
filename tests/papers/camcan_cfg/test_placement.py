"""A level of a head is the same place, however its volume is stored and wherever it was scanned."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from common.data.raw import BadFile
from common.data.volumes import read_placed
from papers.camcan_cfg import bids_layout, camcan_layout
from papers.camcan_cfg.config import DataConfig
from papers.camcan_cfg.layout import slice_numbers
from papers.camcan_cfg.placement import place
from tests.papers.camcan_cfg.bids_files import (
    TEMPLATE,
    TEMPLATE_SHAPE,
    head,
    image,
    place_of,
    save,
    scan,
)

NUMBERS = slice_numbers(40)
TRUE = np.moveaxis(head(TEMPLATE_SHAPE, TEMPLATE)[:, :, NUMBERS], 2, 0)


def test_on_the_published_grid_both_layouts_give_the_same_images(tmp_path):
    whole = head(TEMPLATE_SHAPE, TEMPLATE)
    save(image(whole, TEMPLATE, 4), tmp_path / "one" / "sub-01_defaced_T1.nii.gz")
    (tmp_path / "one" / "phenotype.csv").write_text("Subject,Age,Sex\n01,30,1\n")
    affine = TEMPLATE @ nibabel.affines.from_matvec(np.diag([-1.0, 1, 1]), [90, 0, 0])
    turned = image(whole[::-1], affine, 4)
    save(turned, place_of(tmp_path / "two", "01"))
    (tmp_path / "two" / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t30\tF\n")
    published, own = (
        layout.read(tmp_path / folder, DataConfig(dataset=name)).items[0]
        for folder, layout, name in (
            ("one", camcan_layout, "camcan"), ("two", bids_layout, "bids")
        )
    )  # fmt: skip
    np.testing.assert_array_equal(own.numbers, published.numbers)
    np.testing.assert_allclose(own.images, published.images, atol=1e-6)


@pytest.mark.parametrize(
    "scanned",
    [
        scan(),
        scan(axes="PIR"),  # sagittal slices
        scan(axes="LSA"),  # coronal slices
        scan(axes="LPI"),  # reversed in all axes
        scan((3.5, 1.5, 1.5), offset=(-30.0, 5.0, -60.0)),
        scan((1.6, 1.9, 2.1), axes="ASR", offset=(0.0, 40.0, 12.0)),
    ],
    ids=["plain", "sagittal", "coronal", "reversed", "thick", "uneven"],
)
def test_a_scan_of_any_order_and_place_shows_the_levels_of_the_template(scanned, tmp_path):
    placed = place(read_placed(save(scanned, tmp_path / "a.nii.gz")), NUMBERS)
    assert not placed.by_header
    inner = (TRUE > 0) & (np.roll(TRUE, 3, 1) > 0) & (np.roll(TRUE, -3, 1) > 0)
    inner &= (np.roll(TRUE, 3, 2) > 0) & (np.roll(TRUE, -3, 2) > 0)
    errors = np.abs(placed.slices - TRUE)[inner]
    assert np.median(errors) < 2.5  # of 255: a level beside is 0.8 away, a side reversed 40
    assert np.mean(placed.slices[:, :30]) > 0  # the grid's first rows are the right side
    overlap = np.mean((placed.slices > 30) == (TRUE > 30))
    assert overlap > 0.98


def test_a_tilted_scan_is_set_upright(tmp_path):
    placed = place(read_placed(save(scan(tilt=12.0), tmp_path / "a.nii.gz")), NUMBERS)
    assert np.mean((placed.slices > 30) == (TRUE > 30)) > 0.98


def test_without_its_crown_a_head_s_volume_may_be_taken_by_its_middle(tmp_path):
    whole = head(TEMPLATE_SHAPE, TEMPLATE)[:, :, 25:65]  # 40 slices about the source's middle
    affine = TEMPLATE.copy()
    affine[:3, 3] += (0, 0, 50)
    affine[:3, 3] += (5, -8, 21)  # wherever the scanner had its middle
    stored = image(whole, affine).as_reoriented([[2, -1], [0, 1], [1, 1]])
    placed = place(read_placed(save(stored, tmp_path / "a.nii.gz")), NUMBERS, "middle")
    np.testing.assert_allclose(placed.slices, TRUE, atol=1e-3)


def refused(volume: nibabel.Nifti1Image, tmp_path: Path) -> str:
    with pytest.raises(BadFile) as reason:
        place(read_placed(save(volume, tmp_path / "a.nii.gz")), NUMBERS)
    return str(reason.value)


def cropped(low: int, high: int) -> nibabel.Nifti1Image:
    return scan((2.0, 2.0, 2.0)).slicer[:, :, low:high]


def test_what_cannot_show_the_levels_is_refused(tmp_path):
    assert refused(scan((1.0, 1.0, 5.0)), tmp_path) == (
        "has voxels of 1 x 1 x 5 mm, expected sides of at most 4 mm"
    )
    assert "ends below the crown of the head" in refused(cropped(0, 80), tmp_path)
    assert refused(cropped(50, 100), tmp_path).startswith("reaches from level 3")
    small = scan((2.0, 2.0, 2.0))
    affine = small.affine @ np.diag([0.5, 0.5, 0.5, 1])
    assert "shows a head 76 mm wide, expected 90 to 220; check the size of its voxels" in refused(
        image(np.asarray(small.dataobj), affine), tmp_path
    )
    nothing = image(np.zeros((60, 60, 60), np.float32), np.diag([3.0, 3, 3, 1]))
    assert "shows nothing" in refused(nothing, tmp_path)
