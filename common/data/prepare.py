"""From a raw folder, or from nothing, to a prepared data set: once for all studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import provenance
from common.data import builder, folders, hashing
from common.data.prepared import Dataset, Examples, Later, Prepared, Reading
from common.data.raw import refusal
from common.data.shelf import shelf
from common.errors import InputError


def prepare(
    dataset: Dataset[Any, Any],
    config: Any,
    examples: Callable[[Any, Reading[Any]], Examples],
    folder: Path,
    raw: Path | None,
    skip_bad: bool = False,
) -> Prepared:
    """Write a data set into `folder` as TFDS, unless it is there whole; return what it is.

    It is written again where the config, the code that reads and makes the examples, or the raw
    files are others than last time; a raw folder that is gone since does not matter.

    Args:
        dataset: one of the study's data sets.
        config: the section of the study's config on data.
        examples: what makes examples of what was read.
        folder: of this data set alone.
        raw: the user's data, None where the data set comes with the project.
        skip_bad: skip bad files and rows.

    Raises:
        InputError: raw files are needed and not there, nothing is left of them, or some are bad
            (all are listed) and `skip_bad` is off.
    """
    identity = {
        "config": hashing.digest(asdict(config)),
        "code": provenance.digest(dataset.read, examples, _write),
    }
    files: list[Path] = []
    if raw is not None and raw.exists() and dataset.files is not None:
        files = dataset.files(raw, config)
        identity["raw"] = hashing.files_digest(files)

    def make(draft: Path) -> dict[str, Any]:
        with shelf(draft.parent):
            made = _write(dataset, config, examples, draft, raw, skip_bad)
        return {**made, "files": len(files)}

    record = folders.prepare_once(folder, identity, make)
    if record["skipped"] and not skip_bad:
        raise refusal(f"--raw {raw}", record["skipped"])
    return Prepared(
        folder=folder,
        stand_in=dataset.stand_in,
        **record | {name: tuple(record[name]) for name in ("skipped", "absent", "ignored")},
    )


def _write(
    dataset: Dataset[Any, Any],
    config: Any,
    examples: Callable[[Any, Reading[Any]], Examples],
    draft: Path,
    raw: Path | None,
    skip_bad: bool,
) -> dict[str, Any]:
    """Read, check, split and write; return the record of what was made."""
    if dataset.raw and raw is None:
        raise InputError(
            f"data.dataset={config.dataset} needs raw files: {dataset.access}, "
            "and give their folder with --raw DIR"
        )
    reading = dataset.read(raw, config)
    if reading.bad and not skip_bad:
        raise refusal(f"--raw {raw}", reading.bad)
    if not reading.items:
        left_out = "; ".join((*reading.bad, *reading.absent)[:3]) or "it holds none"
        raise InputError(f"--raw {raw}: nothing is left to work with ({left_out})")
    made = examples(config, reading)
    if empty := [split for split, members in made.splits.items() if not members]:
        raise InputError(f"data: nothing falls into the part {empty[0]!r}; give more data")
    builder.write(config.dataset, draft, made.splits)
    places = {f"{split}/{key}": (split, key) for split in made.splits for key in made.splits[split]}
    everything = Later(places, lambda place: made.splits[place[0]][place[1]])
    return {
        "dataset": config.dataset,
        "content_hash": hashing.content_hash(everything),
        "description": _described(dataset, made, reading),
        "sizes": {split: len(members) for split, members in made.splits.items()},
        "parts": {split: dict(part) for split, part in made.parts.items()},
        "skipped": reading.bad,
        "absent": reading.absent,
        "ignored": reading.ignored,
    }


def _described(dataset: Dataset[Any, Any], made: Examples, reading: Reading[Any]) -> str:
    line = f"{dataset.title}: {made.description}"
    if reading.absent:
        line += f"; {len(reading.absent)} subjects without a file, label or slice"
    return line + (f"; {len(reading.bad)} bad left out" if reading.bad else "")
