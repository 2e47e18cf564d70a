"""DICOM ultrasound for tests; its header names a patient who does not exist."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

SECRETS = {
    "PatientName": "Quintessa^Nobodova",
    "PatientID": "ID-7741-QX",
    "PatientBirthDate": "19770131",
    "InstitutionName": "Klinik Nirgendwo",
    "AccessionNumber": "ACC-99182",
    "ReferringPhysicianName": "Medicus^Ignotus",
    "StudyDescription": "Kontrolle in Woche 21",
}


def write(file: Path, images: np.ndarray, kind: str = "MONOCHROME2", **fields: Any) -> Path:
    """Write [height width], or frames of it, or of three channels, of 8 or 16 bits."""
    color = images.shape[-1] == 3
    frames = images.reshape(-1, *images.shape[-3 if color else -2 :])
    dataset = Dataset()
    for name, value in SECRETS.items():
        setattr(dataset, name, value)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "US"
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    bits = 8 * images.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 3 if color else 1
    dataset.PhotometricInterpretation = kind
    if color:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = frames.tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(file, enforce_file_format=True)
    return file


def put_jpeg(dataset: Dataset, images: np.ndarray, lossless: bool = False) -> None:
    """Put the images into a dataset again: baseline JPEG, YBR where colored, or JPEG 2000."""
    contents = []
    for image in images:
        content = io.BytesIO()
        if lossless:
            Image.fromarray(image).save(content, "JPEG2000", no_jp2=True, irreversible=False)
        else:
            Image.fromarray(image).save(content, "JPEG", quality=95)
        contents.append(content.getvalue())
    dataset.PixelData = encapsulate(contents)
    dataset["PixelData"].is_undefined_length = True
    if images.ndim == 4 and not lossless:
        dataset.PhotometricInterpretation = "YBR_FULL_422"
    syntax = JPEG2000Lossless if lossless else JPEGBaseline8Bit
    dataset.file_meta.TransferSyntaxUID = syntax


def region(box: tuple[int, int, int, int], mm: tuple[float, float], **fields: int) -> Dataset:
    """Return a region of 2-D tissue: (top, left, bottom, right), inclusive, and a pixel's size."""
    one = Dataset()
    one.RegionSpatialFormat, one.RegionDataType, one.RegionFlags = 1, 1, 0
    one.RegionLocationMinY0, one.RegionLocationMinX0 = box[:2]
    one.RegionLocationMaxY1, one.RegionLocationMaxX1 = box[2:]
    one.PhysicalUnitsXDirection = one.PhysicalUnitsYDirection = 3
    one.PhysicalDeltaY, one.PhysicalDeltaX = mm[0] / 10, mm[1] / 10
    for name, value in fields.items():
        setattr(one, name, value)
    return one
