"""Films written as publishers and users keep them; what they show is random blocks."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

SECRETS = {
    "PatientName": "Quintessa^Nobodova",
    "PatientID": "ID-7741-QX",
    "PatientBirthDate": "19770131",
    "InstitutionName": "Klinik Nirgendwo",
    "AccessionNumber": "ACC-99182",
}
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def blocks(name: str, height: int = 40, width: int = 40) -> np.ndarray:
    """Return a gray image of random blocks of four pixels, another for every name."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    coarse = random.integers(0, 256, (-(-height // 4), -(-width // 4)))
    return np.kron(coarse, np.ones((4, 4)))[:height, :width].astype(np.uint8)


def write(file: Path, image: np.ndarray | None = None) -> Path:
    """Write an image, or blocks after the file's name, making the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks(file.name) if image is None else image).save(file)
    return file


def nih(raw: Path, labels: dict[str, str], folder: str = "images") -> Path:
    """Write films "<patient>_<number>" with these labels, and the table."""
    rows = [NIH_HEADER]
    for name, label in labels.items():
        write(raw / folder / f"{name}.png")
        rows.append(f"{name}.png,{label},0,{int(name[:8])},58,M,PA,2682,2749,0.143,0.143,")
    (raw / "Data_Entry_2017.csv").write_text("\r\n".join(rows))
    return raw


def write_dicom(file: Path, image: np.ndarray, kind: str = "MONOCHROME2", **fields: Any) -> Path:
    """Write a film of 8 or 16 bits; a field that is None is left out."""
    dataset = Dataset()
    bits = 8 * image.dtype.itemsize
    own = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
        "SOPInstanceUID": generate_uid(),
        "Modality": "DX",
        "ViewPosition": "PA",
        "Rows": image.shape[0],
        "Columns": image.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": fields.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(image.dtype.kind == "i"),
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": kind,
        "PixelData": image.tobytes(),
    }
    for name, value in (SECRETS | own | fields).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if fields.get("PixelData") == b"JPEG 2000":
        content = io.BytesIO()
        Image.fromarray(image).save(content, "JPEG2000", no_jp2=True, irreversible=False)
        dataset.PixelData = encapsulate([content.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    file.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(file, enforce_file_format=True)
    return file
