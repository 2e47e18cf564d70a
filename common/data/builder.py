"""TFDS data sets in ArrayRecord files, written and read without TensorFlow."""

import contextlib
import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from common.data.loader import Source
from common.errors import InputError
from common.files import write_atomic

Example = Mapping[str, Any]
RECORD = "prepared.json"  # written last: a folder that has it is whole


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


def array_feature(shape: tuple[int, ...], dtype: Any = np.float32) -> tfds.features.Tensor:
    """Return the feature of an array: bytes, six times faster to write here than a list."""
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")


def write(
    name: str,
    folder: Path,
    features: Mapping[str, tfds.features.FeatureConnector],
    splits: Mapping[str, Mapping[str, Example]],
) -> None:
    """Write the examples of every split as the TFDS data set `name` below `folder`."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints what it does
        ExampleBuilder(name, folder, features, splits).download_and_prepare()


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
    a killed preparation leaves is thrown away by the next, and processes take turns.
    Raises `InputError` where `folder` is there and is something else.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the system when its holder dies
        if folder.exists():  # then it is whole, or none of ours
            if not (folder / RECORD).exists():
                raise InputError(f"{folder}: is not a prepared data set, choose another folder")
            record = json.loads((folder / RECORD).read_text())
            if identity.items() <= record["identity"].items():
                return record
        draft = folder.parent / f".{folder.name}.incomplete"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            record = {**make(draft), "identity": dict(identity)}
            write_atomic(draft / RECORD, json.dumps(record, indent=1))
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return record
