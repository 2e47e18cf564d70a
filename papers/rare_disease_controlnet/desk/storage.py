"""Where films are kept: a folder, or a part of an S3 bucket such as Supabase's.

Both name files by their bytes, so that writing one twice, or by two at once, is harmless and needs
nothing of the server but to put, get, list and delete.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from common.errors import InputError
from papers.rare_disease_controlnet.corpus.canonical import digest
from papers.rare_disease_controlnet.corpus.corpus import FILMS
from papers.rare_disease_controlnet.corpus.store import Folder, Store, is_sha256
from papers.rare_disease_controlnet.desk.settings import Settings

_TIMEOUT = timedelta(seconds=20)  # of a request
_RETRIES = 4  # of a request that found no server, or one that failed
_PATIENCE = timedelta(seconds=30)  # with all of them
_CODE = re.compile(r"<Code>(\w+)</Code>")  # in a server's refusal
_CAUSE = re.compile(r"""(?:message|error): "([^"\n]+)\"""")  # in what the client tells
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Keeping(Store, Protocol):
    """A store whose files can be deleted when nothing needs them any more."""

    def ages(self) -> Iterator[tuple[str, datetime]]:
        """Yield the name of every file, and when it was last put."""

    def delete(self, sha256: str) -> None:
        """Delete a file, if it is there."""


class Files(Folder):
    """A folder of films whose files can be deleted."""

    def put(self, content: bytes) -> str:
        """Keep a file, whole or not at all, and return its name."""
        sha256 = super().put(content)
        with contextlib.suppress(OSError):  # where it cannot be touched it cannot be swept
            os.utime(self._file(sha256))  # it is needed now, also if it was there
        return sha256

    def ages(self) -> Iterator[tuple[str, datetime]]:
        """Yield the name of every file, and when it was last put."""
        for name in self.names():
            yield name, datetime.fromtimestamp(self._file(name).stat().st_mtime, UTC)

    def delete(self, sha256: str) -> None:
        """Delete a file, if it is there."""
        self._file(sha256).unlink(missing_ok=True)


@dataclass(frozen=True)
class Bucket:
    """A part of an S3 bucket, laid out as a folder of films is."""

    address: str  # s3://bucket/prefix
    objects: S3Store

    def put(self, content: bytes) -> str:
        """Keep a file, whole or not at all, and return its name.

        Raises:
            InputError: the bucket cannot be used, as of all others.
        """
        sha256 = digest(content)
        with self._one_line():
            obstore.put(self.objects, self._key(sha256), content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return the file of this name; raises `InputError` where it is missing or damaged."""
        key = self._key(sha256)
        try:
            with self._one_line():
                content = bytes(obstore.get(self.objects, key).bytes())
        except FileNotFoundError:
            raise InputError(
                f"{self.address}/{key}: no such file; restore it or draw it again"
            ) from None
        if (found := digest(content)) != sha256:
            raise InputError(
                f"{self.address}/{key}: damaged, its SHA-256 is {found}; restore it, or delete it "
                "and draw again"
            )
        return content

    def names(self) -> Iterator[str]:
        """Yield the name of every file, in order."""
        for name, _ in self.ages():
            yield name

    def ages(self) -> Iterator[tuple[str, datetime]]:
        """Yield the name of every file, and when it was last put."""
        with self._one_line():
            for page in obstore.list(self.objects):
                for one in page:
                    path = PurePosixPath(one["path"])
                    if is_sha256(path.stem) and path.suffix == ".png":
                        yield path.stem, one["last_modified"]

    def delete(self, sha256: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._one_line():
            obstore.delete(self.objects, self._key(sha256))

    def check(self) -> None:
        """Raise `InputError` where the bucket cannot be used, before work depends on it."""
        with self._one_line():
            for _ in obstore.list(self.objects, chunk_size=1):
                break

    def _key(self, sha256: str) -> str:
        if not is_sha256(sha256):
            raise InputError(
                f"{self.address}: {sha256!r} names no film; give 64 hexadecimal digits"
            )
        return f"{sha256[:2]}/{sha256}.png"

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        """Turn what a server refuses, or why there is none, into an `InputError`."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            code = _CODE.search(str(error))
            if code and code[1] == "NoSuchBucket":
                raise InputError(f"{self.address}: no such bucket; make it first") from None
            if isinstance(error, FileNotFoundError):
                raise
            if "403 Forbidden" in str(error) or "401 Unauthorized" in str(error):
                raise InputError(
                    f"{self.address}: refused ({code[1] if code else 'no reason given'}); check "
                    f"{' and '.join(_KEYS)}, and what they may do there"
                ) from None
            raise InputError(
                f"{self.address}: cannot be used ({_reason(error)}); check AWS_ENDPOINT_URL, and "
                "that the server runs"
            ) from None


def storage_of(settings: Settings) -> Keeping:
    """Return where a desk keeps its films.

    Raises:
        InputError: an address that is none, keys that are missing, or a bucket that cannot be used.
    """
    if settings.storage is None:
        return Files(settings.folder / FILMS)
    bucket = bucket_of(settings.storage, os.environ)
    bucket.check()
    return bucket


def bucket_of(address: str, environment: Mapping[str, str]) -> Bucket:
    """Return the part of a bucket at ``s3://bucket/prefix``; keys and server by AWS_* variables."""
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise InputError(f"--storage {address}: not an address; write s3://BUCKET/PREFIX")
    if missing := [name for name in _KEYS if not environment.get(name)]:
        raise InputError(f"--storage {address}: no keys; set {' and '.join(missing)}")
    endpoint = environment.get("AWS_ENDPOINT_URL", "")
    given = {
        "endpoint": endpoint,
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
        "token": environment.get("AWS_SESSION_TOKEN"),
    }
    config: Any = {name: value for name, value in given.items() if value}
    objects = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/"),
        access_key_id=environment[_KEYS[0]],
        secret_access_key=environment[_KEYS[1]],
        virtual_hosted_style_request=False,  # names below the endpoint's path, as Supabase has it
        disable_bulk_delete=True,  # not every server has it
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": _TIMEOUT},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
        config={"region": "us-east-1"} | config,
    )
    return Bucket(address.rstrip("/"), objects)


def _reason(error: BaseException) -> str:
    """Return why a request failed, in a line: the server's word, the system's, or the client's."""
    text = str(error)
    if found := _CODE.search(text) or _CAUSE.search(text):
        return found[1]
    return text.partition("\n")[0].rpartition(" - ")[2]
