"""TFDS data sets in ArrayRecord files, written and read without TensorFlow."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from common.data.loader import Source
from common.data.prepared import Example
from common.data.shelf import passing

VERSION = "1.0.0"  # of what TFDS writes, a part of its path


def write(name: str, folder: Path, splits: Mapping[str, Mapping[str, Example]]) -> None:
    """Write the examples of every split, in the order of their keys, as the TFDS data set `name`.

    It lies below `folder`. One example after another is asked for, written and forgotten. A field's
    feature is that of its value in the first example: an array's shape and type (as bytes, six
    times faster to write here than a list), a string, an integer or a float.
    """
    target = folder / name / VERSION
    target.mkdir(parents=True)
    first = next(example for split in splits.values() for example in split.values())
    features = tfds.features.FeaturesDict({name: _feature(value) for name, value in first.items()})
    identity = tfds.core.dataset_info.DatasetIdentity(
        name, tfds.core.Version(VERSION), str(target), module_name=__name__
    )
    info = tfds.core.DatasetInfo(builder=identity, features=features)
    writer = tfds.core.SequentialWriter(info, sys.maxsize, file_format="array_record")
    writer.initialize_splits(list(splits))
    for split, examples in splits.items():
        writer.add_examples({split: (examples[key] for key in passing(sorted(examples)))})
    writer.close_all()


def _feature(value: Any) -> tfds.features.FeatureConnector:
    if isinstance(value, str):
        return tfds.features.Text()
    if isinstance(value, np.ndarray):
        return tfds.features.Tensor(shape=value.shape, dtype=value.dtype, encoding="bytes")
    return tfds.features.Scalar(np.int32 if isinstance(value, int | np.integer) else np.float32)


def read(name: str, folder: Path, split: str) -> Source:
    """Return the random-access source of a split."""
    builder = tfds.builder_from_directory(str(folder / name / VERSION))
    return builder.as_data_source(split)
