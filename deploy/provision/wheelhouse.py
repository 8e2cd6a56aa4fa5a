"""The wheelhouse: all that a line PC without Internet needs, in one folder.

::

    OUT/
        install.sh, installer/      the installer; it needs Python, nothing else
        manifest.json               platform, version, SHA-256 of every file
        edge.toml, dashboard.toml   templates of the configurations
        wheels/*.whl                the locked packages, pip, and Graftline itself

The hashes of the packages are those of ``requirements/line-pc.txt``: pip refuses every
other file. The manifest protects against damage on the way, not against a person who
can write on the stick.
"""

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from deploy.provision.installer_folder import (
    MANIFEST,
    SCHEMA_VERSION,
    TEMPLATES,
    copy_installer,
    files_of,
)
from deploy.provision.own_wheel import NAME, make_own_wheel
from deploy.provision.pip_runs import run_pip
from deploy.provision.platforms import LinePcPlatform
from models.errors import ConfigError, InstallError
from models.files import (
    ForeignFolderError,
    read_regular,
    replaced_folder,
    sha256_of,
    write_atomically,
)

WHEELS = "wheels"
MANIFEST_MAX_BYTES = 1 << 20
LOCKS = ("line-pc.txt", "pip.txt")


class WheelhouseFile(BaseModel):
    """One file of a wheelhouse."""

    model_config = ConfigDict(frozen=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class WheelhouseManifest(BaseModel):
    """``manifest.json`` of a wheelhouse."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    graftline: str = Field(description="Version of Graftline in it.")
    python: str = Field(description="Python of the line PC, such as 3.11.")
    machine: str = Field(description="Processor of the line PC, as uname -m.")
    glibc: int = Field(description="Oldest C library 2.Y that fits.")
    made_at: AwareDatetime
    files: dict[str, WheelhouseFile]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest of a wheelhouse.

        Raises:
            ConfigError: The folder is no wheelhouse.
        """
        try:
            content = read_regular(folder / MANIFEST, MANIFEST_MAX_BYTES)
            return cls.model_validate_json(content)
        except (OSError, ValidationError) as exc:
            raise ConfigError(
                f"{folder}: is no wheelhouse.",
                why=str(exc).partition("\n")[0],
                fix="Make one: graftline wheelhouse --out DIR",
            ) from exc


def pack_wheelhouse(
    platform: LinePcPlatform, out: Path, wheel: Path | None = None
) -> WheelhouseManifest:
    """Write a wheelhouse; an older one in its place is replaced.

    Args:
        platform: What the wheels must fit.
        out: The folder.
        wheel: Wheel of Graftline; None = of the one that runs here.

    Raises:
        ConfigError: The folder is another's, or cannot be written.
        InstallError: A package cannot be fetched, or has another hash.
    """
    try:
        with replaced_folder(out, marker=MANIFEST) as folder:
            (folder / WHEELS).mkdir()
            version = _add_graftline(folder / WHEELS, wheel)
            for lock in LOCKS:
                _fetch(TEMPLATES / lock, platform, folder / WHEELS)
            copy_installer(folder)
            manifest = WheelhouseManifest(
                graftline=version,
                python=platform.python,
                machine=platform.machine,
                glibc=platform.glibc,
                made_at=datetime.now(UTC),
                files={
                    name: WheelhouseFile.model_validate(entry)
                    for name, entry in files_of(folder).items()
                },
            )
            text = json.dumps(manifest.model_dump(mode="json"), indent=2)
            write_atomically(folder / MANIFEST, text.encode() + b"\n")
    except ForeignFolderError as exc:
        raise ConfigError(
            f"{out}: is not empty, and no wheelhouse.",
            why="Only a wheelhouse is replaced.",
            fix="Give a new folder.",
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"{out}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Give a folder that you may write, with 1 GB of free space.",
        ) from exc
    return manifest


def copy_wheelhouse(source: Path, target: Path) -> WheelhouseManifest:
    """Copy a wheelhouse, and verify every file of the copy; whole files stay.

    Raises:
        ConfigError: The source is no wheelhouse, or the target cannot be written.
        InstallError: A file of the source is damaged.
    """
    manifest = WheelhouseManifest.read(source)
    refuse_damaged(source, damaged_files(source, manifest))
    try:
        for name in damaged_files(target, manifest):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).unlink(missing_ok=True)
            shutil.copyfile(source / name, target / name)
        content = read_regular(source / MANIFEST, MANIFEST_MAX_BYTES)
        write_atomically(target / MANIFEST, content)
    except OSError as exc:
        raise ConfigError(
            f"{target}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Free space there, and give the same command again.",
        ) from exc
    refuse_damaged(target, damaged_files(target, manifest))
    return manifest


def damaged_files(folder: Path, manifest: WheelhouseManifest) -> list[str]:
    """Return the files that are missing, or are not those of the manifest."""
    return [
        name
        for name, file in manifest.files.items()
        if not (folder / name).is_file()
        or (folder / name).stat().st_size != file.size_bytes
        or sha256_of(folder / name) != file.sha256
    ]


def refuse_damaged(folder: Path, names: list[str]) -> None:
    """Refuse a wheelhouse with damaged files.

    Args:
        names: See ``damaged_files``.

    Raises:
        InstallError: There are some.
    """
    if names:
        raise InstallError(
            f"{folder}: the wheelhouse is damaged.",
            why=f"Missing, or with another hash: {', '.join(names[:3])}.",
            fix="Make it again: graftline wheelhouse --out DIR",
        )


def _add_graftline(wheels: Path, wheel: Path | None) -> str:
    """Add the wheel of Graftline, and return its version."""
    if wheel is not None:
        parts = wheel.name.split("-")
        if parts[0] != NAME or wheel.suffix != ".whl" or len(parts) < 3:
            raise ConfigError(
                f"--wheel {wheel}: is no wheel of Graftline.",
                why=f"Expected a file {NAME}-VERSION-py3-none-any.whl.",
                fix="Build it in a checkout: make wheel",
            )
        shutil.copy(wheel, wheels / wheel.name)
        return parts[1]
    with tempfile.TemporaryDirectory(prefix="graftline-wheel-") as folder:
        made = make_own_wheel(Path(folder))
        shutil.copy(made, wheels / made.name)
        return made.name.split("-")[1]


def _fetch(lock: Path, platform: LinePcPlatform, wheels: Path) -> None:
    """Download the wheels of a locked file; pip compares the hashes."""
    options = ["download", "--quiet", "--require-hashes", "--no-deps"]
    options += ["--only-binary", ":all:", "--implementation", "cp"]
    options += ["--python-version", platform.python]
    for tag in platform.tags:
        options += ["--platform", tag]
    run_pip(
        [*options, "--requirement", str(lock), "--dest", str(wheels)],
        failure=f"the packages for {platform} cannot be fetched.",
        fix="Allow access to a package index (pip's settings), and check --for.",
    )
