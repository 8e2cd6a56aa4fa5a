"""Configuration and access list of a mosquitto broker that serves a plant.

One pattern serves every station: the common name of a station's certificate is
``site/line/station``, and mosquitto uses it as the user name.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from string import Template

from models.errors import ConfigError
from models.files import write_atomically

LOOPBACK = ("127.0.0.1", "::1", "localhost")
CONFIG_NAME, ACL_NAME = "mosquitto.conf", "stations.acl"
TEMPLATES = files("deploy") / "templates" / "mosquitto"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificates of the broker, PEM.

    Attributes:
        ca: Authority that signed the stations' certificates.
        certificate: The broker's own certificate.
        key: Private key of that certificate.
    """

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """Settings of the broker.

    Attributes:
        folder: Folder of the configuration and the access list.
        listen: Address or host name to listen on.
        data: Folder of the state that must survive a restart.
        collector: Common name of the dashboard's certificate.
        tls: None only on the loopback interface.
        crl: Revoked certificates, PEM; None = no certificate is revoked.
    """

    folder: Path
    port: int
    listen: str
    data: Path
    collector: str
    tls: TlsFiles | None
    crl: Path | None = None


class FileOutcome(StrEnum):
    """The action on a file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    WOULD_BE_WRITTEN = "would be written"


def render_broker_files(plan: BrokerPlan) -> dict[Path, str]:
    """Return path and text of each file.

    Raises:
        ConfigError: A value is not valid in the file, a certificate is missing, or
            the broker would listen on the network without TLS.
    """
    _check(plan)
    folder = plan.folder.absolute()
    values = {
        "folder": folder,
        "port": plan.port,
        "listen": plan.listen,
        "data": plan.data.absolute(),
        "collector": plan.collector,
    }
    if plan.tls is None:
        access = _fill("loopback.conf", values)
    else:
        tls = plan.tls
        paths = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
        where = {name: path.absolute() for name, path in paths.items()}
        access = _fill("tls.conf", values | where)
        if plan.crl is not None:
            access += f"crlfile {plan.crl.absolute()}\n"
    config = _fill(CONFIG_NAME, values | {"access": access})
    result = {folder / CONFIG_NAME: config}
    if plan.tls is not None:
        result[folder / ACL_NAME] = _fill(ACL_NAME, values)
    return result


def write_broker_files(
    texts: dict[Path, str], *, is_forced: bool, is_dry_run: bool
) -> dict[Path, FileOutcome]:
    """Write the files; a second call changes nothing.

    Args:
        texts: Path and text of each file.
        is_forced: Replace files with another content.

    Raises:
        ConfigError: A file exists with another content (no file is written then), or
            cannot be written.
    """
    try:
        before = {
            path: path.read_text("utf-8") if path.exists() else None for path in texts
        }
        others = [
            path.name
            for path, text in texts.items()
            if before[path] not in (None, text) and not is_forced
        ]
        if others:
            raise ConfigError(
                f"{', '.join(others)} in {next(iter(texts)).parent}: exists already.",
                why="Its content differs from what would be written.",
                fix="Compare with --dry-run, then give --force, or another folder.",
            )
        return {
            path: _write(path, text, before[path], is_dry_run=is_dry_run)
            for path, text in texts.items()
        }
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"{next(iter(texts)).parent}: the broker's files cannot be written.",
            why=str(exc),
            fix="Give a folder that this user may write to.",
        ) from exc


def _write(
    path: Path, text: str, before: str | None, *, is_dry_run: bool
) -> FileOutcome:
    if before == text:
        return FileOutcome.UNCHANGED
    if is_dry_run:
        return FileOutcome.WOULD_BE_WRITTEN
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return FileOutcome.WRITTEN


def _fill(name: str, values: dict[str, object]) -> str:
    return Template((TEMPLATES / name).read_text("utf-8")).substitute(values)


def _check(plan: BrokerPlan) -> None:
    """Refuse values that mosquitto would misread; report all faults together."""
    faults = []
    if not 1 <= plan.port <= 65_535:
        faults.append(f"--port {plan.port} is not in 1..65535")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", plan.listen):
        faults.append(f"--listen {plan.listen!r} is not an address")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", plan.collector):
        faults.append(f"--collector {plan.collector!r} is not 1 to 64 of a-z 0-9 . _ -")
    if plan.tls is None and plan.listen not in LOOPBACK:
        faults.append(f"--listen {plan.listen} without --tls: open to the network")
    if plan.tls is None and plan.crl is not None:
        faults.append("--crl without --tls")
    tls = plan.tls
    certificates = [tls.ca, tls.certificate, tls.key] if tls else []
    certificates += [plan.crl] if plan.crl else []
    faults += [f"{path} is not a file" for path in certificates if not path.is_file()]
    paths = [plan.folder, plan.data, *certificates]
    faults += [f"{p!r}: a line break in a path" for p in paths if "\n" in str(p)]
    if faults:
        raise ConfigError(
            "The broker's files cannot be made.",
            why="; ".join(faults) + ".",
            fix="See graftline broker-config --help.",
        )
