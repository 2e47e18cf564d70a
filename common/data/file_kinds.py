"""What a file is by what it begins with, whatever its name says."""

from __future__ import annotations

from collections.abc import Sequence

PNG, JPEG, TIFF, WEBP, HEIC, DICOM = "PNG", "JPEG", "TIFF", "WebP", "HEIC", "DICOM"
HEAD = 512  # bytes of a file that are enough to tell
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TIFF),
}
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # brands
_OTHERS = {
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"\0\0\0\x0cjP": "a JPEG 2000 image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP file",
    b"\x1f\x8b": "a gzip file",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file: git lfs pull)",
    b"/annex/objects/": "a git-annex pointer (fetch the file: git annex get, datalad get)",
}
_NIFTI = {344: ((b"n+1\0", b"ni1\0")), 4: ((b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"))}
_WEB = ("<!doctype", "<html", "<?xml")


def kind_of(content: bytes) -> str:
    """Return the kind of an image or DICOM file, or an empty text, by what its content begins with.

    DICOM is known by its preamble only.
    """
    if content[128:132] == b"DICM":
        return DICOM
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return WEBP
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC:
        return HEIC
    return next((kind for mark, kind in _BEGINNINGS.items() if content.startswith(mark)), "")


def described(content: bytes) -> str:
    """Return in words what a file is, by what its content begins with."""
    if not content.strip(b"\0"):
        return "nothing but zeros" if content else "empty"
    if kind := kind_of(content):
        return "a DICOM file" if kind == DICOM else f"a {kind} image"
    if any(content[place:].startswith(marks) for place, marks in _NIFTI.items()):
        return "a NIfTI volume"
    for mark, what in _OTHERS.items():
        if content.startswith(mark):
            return what
    head = content[:200].decode("latin-1").lstrip("\xef\xbb\xbf").strip().lower()
    if head.startswith(_WEB):
        return "a web page (download the file again)"
    return "text" if "".join(head.split()).isprintable() else "of no known kind"


def not_as_expected(content: bytes, kinds: Sequence[str]) -> str:
    """Return the reason why a file that is none of the kinds cannot be read."""
    *some, last = kinds
    expected = f"{', '.join(some)} or {last}" if some else last
    return f"cannot be read: it is {described(content)}, expected {expected}"
