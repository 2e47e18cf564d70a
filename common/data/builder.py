"""TFDS data sets in ArrayRecord files, written and read without TensorFlow."""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from filelock import FileLock

from common.data.loader import Source
from common.data.prepared import Example
from common.errors import InputError
from common.files import write_atomic

RECORD = "prepared.json"  # written last: a folder that has it is whole
_OURS, _OF_RECORDS = ("dataset_info.json", "features.json"), ".array_record"  # what TFDS writes


class ExampleBuilder(  # type: ignore[call-arg]
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A TFDS builder of examples that are already at hand, by split and key."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        name: str,
        folder: Path,
        features: Mapping[str, tfds.features.FeatureConnector],
        splits: Mapping[str, Mapping[str, Example]],
    ):
        self.name = name
        self._features, self._splits = features, splits
        super().__init__(data_dir=str(folder), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        # Not dataset_info_from_configs, which looks for files beside the builder's module.
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(dict(self._features))
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, Example]]]:
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, Example]]:
        yield from self._splits[split].items()


def write(name: str, folder: Path, splits: Mapping[str, Mapping[str, Example]]) -> None:
    """Write the examples of every split as the TFDS data set `name` below `folder`.

    A field's feature is that of its value in the first example: an array's shape and type (as
    bytes, six times faster to write here than a list), a string, an integer or a float.
    """
    tfds.disable_progress_bar()
    first = next(example for split in splits.values() for example in split.values())
    features = {field: _feature(value) for field, value in first.items()}
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints what it does
        ExampleBuilder(name, folder, features, splits).download_and_prepare()


def _feature(value: Any) -> tfds.features.FeatureConnector:
    if isinstance(value, str):
        return tfds.features.Text()
    if isinstance(value, np.ndarray):
        return tfds.features.Tensor(shape=value.shape, dtype=value.dtype, encoding="bytes")
    return tfds.features.Scalar(np.int32 if isinstance(value, int | np.integer) else np.float32)


def read(name: str, folder: Path, split: str) -> Source:
    """Return the random-access source of a split; TFDS keeps the examples in its own order."""
    builder = tfds.builder_from_directory(str(folder / name / str(ExampleBuilder.VERSION)))
    return builder.as_data_source(split)


def prepare_once(
    folder: Path, identity: Mapping[str, str], make: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """Return the record of a prepared folder, made by `make(draft)` unless it is there already.

    `identity` names what the folder must have been made from; of a folder made from anything else
    nothing is kept. `folder` appears under its name only when it is whole, record and all; what
    a killed preparation leaves is thrown away by the next, and processes take turns. One whose
    record is gone or damaged is made again.
    Raises `InputError` where `folder` is there and is something else.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        record = _record(folder) if folder.exists() else None
        if record and identity.items() <= record["identity"].items():
            return record
        draft, old = (folder.parent / f".{folder.name}.{end}" for end in ("incomplete", "old"))
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            record = {**make(draft), "identity": dict(identity)}
            write_atomic(draft / RECORD, json.dumps(record, indent=1))
            if folder.exists():  # under another name first: half of it must not bear this one
                shutil.rmtree(old, ignore_errors=True)
                os.replace(folder, old)
            os.replace(draft, folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return record


def _record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a prepared folder, None where it is gone or damaged."""
    try:
        record = json.loads((folder / RECORD).read_text())
        if isinstance(record["identity"], dict):
            return record
    except (OSError, ValueError, LookupError, TypeError):
        pass
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (RECORD, *_OURS) and _OF_RECORDS not in path.name:
            raise InputError(f"{folder}: is not a prepared data set, choose another folder")
    return None
