"""MRI sequences: volumes of one patient as the channels of a scan, and what a name tells of one.

The network's channels are T1 before contrast, FLAIR, and T1 after contrast. Where one is missing
FLAIR stands in, as in the public data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
from jaxtyping import Shaped
from nibabel.processing import resample_from_to

from common import terminal
from common.data import scans
from common.data.raw import BadFile
from common.data.scans import Scan
from common.data.volumes import NIFTI, read_volume
from common.errors import InputError
from papers.lgg_attention_unet.options import Options

Role = Literal["pre", "flair", "post"]
ROLES: tuple[Role, ...] = ("pre", "flair", "post")
TITLES: Mapping[Role, str] = {"pre": "pre", "flair": "FLAIR", "post": "post"}
# Words in names and headers, in lower case, by the sequence that they speak of.
SPOKEN = {
    "FLAIR": ("flair", "t2flair", "t2f"),
    "T1 after contrast": ("post", "postcontrast", "t1c", "t1ce", "t1gd", "t1post", "gadolinium"),
    "T1 before contrast": ("pre", "precontrast", "t1n", "t1pre"),
    "T1": ("t1", "t1w", "mprage", "spgr"),
    "T2": ("t2", "t2w", "t2star"),
    "no structural MRI": ("adc", "bold", "ct", "dti", "dwi", "fmri", "mra", "pet", "seg", "swi"),
}
OWN: Mapping[Role, str] = {
    "pre": "T1 before contrast",
    "flair": "FLAIR",
    "post": "T1 after contrast",
}
FITTING: Mapping[Role, tuple[str, ...]] = {"pre": ("T1",), "flair": (), "post": ("T1",)}
EARLIER_LATER = {"pre", "post"}  # beside FLAIR these may be of an operation
SAME = 1e-3  # of affines, in mm


def check_sequence(file: Path, role: Role, header: str = "") -> None:
    """Raise `BadFile` where a file's name or its header's description speaks of another sequence.

    Of several that they speak of one that fits is enough: T2-FLAIR, T1 after gadolinium.
    """
    for text, where in ((file.name, "name"), (header, "header")):
        words = set(re.split(r"[^a-z0-9]+", text.lower()))
        words -= EARLIER_LATER if role == "flair" else set()
        spoken = {what: words & set(known) for what, known in SPOKEN.items() if words & set(known)}
        if OWN[role] in spoken:
            return
        for what, said in spoken.items():
            if what not in FITTING[role]:
                raise BadFile(
                    f"its {where} says {min(said)!r}, {what}, and it would be taken as "
                    f"{TITLES[role]}; give the right one, or name it otherwise"
                )


def check_single(file: Path, channels: int) -> None:
    """Raise `BadFile` for a scan of one channel that plainly is no FLAIR."""
    if channels == 1:
        is_volume = scans.KINDS.suffix(file).lower() in NIFTI
        check_sequence(file, "flair", _described(read_volume(file)) if is_volume else "")


def _described(volume: nibabel.Nifti1Image) -> str:
    """Return what a volume's header says of it in words."""
    fields = [name for name in ("descrip", "intent_name", "db_name") if name in volume.header]
    return " ".join(volume.header[name].item().decode("latin-1") for name in fields)


def given(options: Options) -> dict[Role, Path]:
    """Return the volumes that were given, by their roles."""
    return {role: Path(path) for role in ROLES if (path := getattr(options, role))}


def read(files: Mapping[Role, Path]) -> Scan:
    """Return the scan that a patient's volumes make on FLAIR's grid, or raise `InputError`.

    Volumes that lie otherwise are brought to it by their headers, linearly; they are not
    registered.
    """
    for role, file in files.items():
        if scans.KINDS.suffix(file).lower() not in NIFTI or not file.is_file():
            raise InputError(f"--{role} {file}: no such NIfTI volume (.nii or .nii.gz)")
    volume, flair = _one_channel("flair", files["flair"])
    channels = []
    for role in ROLES:
        if role == "flair" or role not in files:
            channels.append(flair)
            continue
        other, voxels = _one_channel(role, files[role])
        if not _lie_alike(other, volume):
            terminal.note(f"--{role} {files[role]}: brought to FLAIR's grid by the headers")
            voxels = _on_grid(voxels, other, volume)
        channels.append(voxels)
    try:
        return scans.scan_of((files["flair"],), volume, np.stack(channels, -1))
    except BadFile as reason:
        raise InputError(f"--flair {files['flair']}: {reason}") from None


def taken_as(channels: int, files: Mapping[Role, Path] | None = None) -> str:
    """Return what the channels of a scan are taken as, in words."""
    if channels == 1 or (files is not None and len(files) == 1):
        return TITLES["flair"]
    return ", ".join(TITLES[role] for role in ROLES if files is None or role in files)


def _one_channel(role: Role, file: Path) -> tuple[nibabel.Nifti1Image, Shaped[np.ndarray, "x y z"]]:
    try:
        volume, voxels = scans.read_channels(file)
        check_sequence(file, role, _described(volume))
        if voxels.shape[-1] != 1:
            raise BadFile("has three channels; give it as --input")
    except BadFile as reason:
        raise InputError(f"--{role} {file}: {reason}") from None
    return volume, voxels[..., 0]


def _lie_alike(one: nibabel.Nifti1Image, other: nibabel.Nifti1Image) -> bool:
    same = one.shape[:3] == other.shape[:3]
    return same and np.allclose(one.affine, other.affine, rtol=0, atol=SAME)


def _on_grid(
    voxels: Shaped[np.ndarray, "x y z"], own: nibabel.Nifti1Image, grid: nibabel.Nifti1Image
) -> Shaped[np.ndarray, "i j k"]:
    image = nibabel.Nifti1Image(voxels.astype(np.float32), own.affine)
    placed = resample_from_to(image, (grid.shape[:3], grid.affine), order=1)
    return np.asarray(placed.dataobj, np.float32)
