"""What may be in a zip of photos, and what is refused before a byte of it is written.

Source: CWE-22 (paths), CWE-59 (links), CWE-409 (bombs); David Fifield, "A better zip
bomb", 2019: sizes that a zip names are bounded here, and ``zipfile`` reads no more.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipInfo

MOST_MEMBERS = 200_000
MOST_BYTES = 64 << 30
MOST_RATIO = 200  # photos and labels come to 50 at most: black bitmaps, JSON
SMALL_BYTES = 64 << 20  # below it, a ratio harms nobody
LONGEST_NAME_BYTES = 255  # of every file system that people use

ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE.TXT 4.4.4, bits 0, 6 and 13
UTF8 = 0x800  # bit 11: the name is UTF-8
PACKED_BY = frozenset({ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA})
NOT_PORTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LEFT_OUT = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


class RefusedError(Exception):
    """A zip holds what no dataset needs; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file to unpack.

    Attributes:
        info: As ``zipfile`` knows it.
        path: Where it goes, below the folder.
    """

    info: ZipInfo
    path: PurePosixPath


def accepted_members(infos: Sequence[ZipInfo], packed_bytes: int) -> list[Member]:
    """Return the files of a zip, all of them harmless.

    Args:
        infos: Of the zip.
        packed_bytes: Size of the zip itself.

    Raises:
        RefusedError: One is not, or all together are too much.
    """
    _refuse_bomb(infos, packed_bytes)
    members = list(_members(infos))
    seen: dict[str, str] = {}
    for member in members:
        name = str(member.path)
        first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first is not name:
            raise RefusedError(f"{name!r} is there twice, or differs by case only.")
    for name in seen:
        for parent in PurePosixPath(name).parents:
            if str(parent) in seen:
                raise RefusedError(f"{seen[str(parent)]!r} is a file and a folder.")
    return members


def _refuse_bomb(infos: Sequence[ZipInfo], packed_bytes: int) -> None:
    """Refuse a zip that unpacks to more than any dataset has."""
    if len(infos) > MOST_MEMBERS:
        raise RefusedError(f"it holds {len(infos)} files, at most {MOST_MEMBERS}.")
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise RefusedError(f"it unpacks to {total >> 30} GiB, at most 64.")
    if total > SMALL_BYTES and total > MOST_RATIO * packed_bytes:
        raise RefusedError(
            f"it unpacks to {total >> 20} MiB, more than {MOST_RATIO} times its size."
        )


def _members(infos: Sequence[ZipInfo]) -> Iterator[Member]:
    """Return the files, those that computers put there by themselves left out."""
    for info in infos:
        name = _name(info)
        _refuse_kind(info, name)
        path = PurePosixPath(name)
        _refuse_path(name, path)
        is_foreign = LEFT_OUT & set(path.parts) or path.name.startswith("._")
        if not info.is_dir() and not is_foreign:
            yield Member(info, path)


def _name(info: ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 and does not say so."""
    name = info.orig_filename
    if info.flag_bits & UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _refuse_kind(info: ZipInfo, name: str) -> None:
    """Refuse what is neither a file nor a folder, or cannot be read."""
    if info.flag_bits & ENCRYPTED:
        raise RefusedError(f"{name!r} is encrypted.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise RefusedError(f"{name!r} is a link.")
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise RefusedError(f"{name!r} is a device, not a file.")
    if info.compress_type not in PACKED_BY:
        raise RefusedError(f"{name!r} is packed by method {info.compress_type}.")


def _refuse_path(name: str, path: PurePosixPath) -> None:
    """Refuse a name that leaves the folder, or that some computer cannot have."""
    if path.is_absolute() or re.match(r"[A-Za-z]:[\\/]", name):
        raise RefusedError(f"{name!r} is an absolute path.")
    if ".." in re.split(r"[\\/]", name):
        raise RefusedError(f"{name!r} leaves the folder.")
    if not path.parts:
        raise RefusedError(f"{name!r} is no name.")
    if NOT_PORTABLE.search(name):
        raise RefusedError(f"{name!r} holds a character that not every system takes.")
    for part in path.parts:
        try:
            size = len(os.fsencode(part))
        except UnicodeEncodeError as exc:
            raise RefusedError(f"{name!r} is not text.") from exc
        if size > LONGEST_NAME_BYTES:
            raise RefusedError(f"{part[:40]!r}… is a name of {size} bytes.")
        if DEVICES.fullmatch(part) or part.endswith((" ", ".")):
            raise RefusedError(f"{name!r} is a name that Windows does not take.")
