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

from deploy.broker.mosquitto import MainFile
from deploy.broker.owners import PUBLIC_FILE, make_public_folder
from models.errors import ConfigError
from models.files import PRIVATE_FILE, read_regular, write_atomically

LOOPBACK = ("127.0.0.1", "::1", "localhost")
CONFIG_NAME, ACL_NAME = "mosquitto.conf", "stations.acl"
INCLUDED_NAME = "graftline.conf"
ACL_MAX_BYTES = 4 << 20  # some 1 kB for each station
PLUGIN_ID = "graftline-acl"
TEMPLATES = files("deploy") / "templates" / "mosquitto"
OWN_FOLDER = (
    "Remove these settings, or give --out another folder: a broker of its own is "
    "started with the file there."
)


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
        acl_plugin: Plugin of access lists, for mosquitto 2.1 or later; None = the form
            of 2.0.
        main: File that includes ``folder``; None = a full configuration is written.
        stations: ``SITE/LINE/STATION`` of each that is known; mosquitto 2.1 or later
            lets no others in.
    """

    folder: Path
    port: int
    listen: str
    data: Path
    collector: str
    tls: TlsFiles | None
    crl: Path | None = None
    acl_plugin: Path | None = None
    main: MainFile | None = None
    stations: tuple[str, ...] = ()

    @property
    def acl(self) -> Path:
        """The access list."""
        return self.folder.absolute() / ACL_NAME

    @property
    def config(self) -> Path:
        """The file with the settings."""
        name = CONFIG_NAME if self.main is None else INCLUDED_NAME
        return self.folder.absolute() / name

    @property
    def started(self) -> Path:
        """The file that mosquitto is started with."""
        return self.config if self.main is None else self.main.path


class FileOutcome(StrEnum):
    """The action on a file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    WOULD_BE_WRITTEN = "would be written"


def render_broker_files(
    plan: BrokerPlan, *, are_certificates_there: bool = True
) -> dict[Path, str]:
    """Return path and text of each file.

    Args:
        are_certificates_there: Refuse a certificate that does not exist.

    Raises:
        ConfigError: A value is not valid in the file, a certificate is missing, or
            the broker would listen on the network without TLS.
    """
    _check(plan, are_certificates_there=are_certificates_there)
    values = {
        "port": plan.port,
        "listen": plan.listen,
        "collector": plan.collector,
        "start": _how_to_start(plan),
        "before": _before_listener(plan),
        "access": _access(plan),
        "location": f"persistence_location {plan.data.absolute()}/",
    }
    if plan.main is not None and (
        there := plan.main.files_with("persistence_location")
    ):
        # mosquitto refuses a second one.
        values["location"] = f"# persistence_location is in {there[0]}"
    result = {plan.config: _fill(CONFIG_NAME, values)}
    if plan.tls is not None:
        result[plan.acl] = _access_list(plan.collector, plan.stations)
    return result


def stations_of(acl: Path, collector: str) -> tuple[str, ...]:
    """Return the stations of an access list that this program wrote.

    Returns:
        None of a list that a person has changed: it is not replaced.

    Raises:
        OSError: The file cannot be read.
    """
    if not acl.is_file():
        return ()
    text = read_regular(acl, ACL_MAX_BYTES).decode("utf-8", errors="replace")
    found = re.findall(r"^user (\S+)/model$", text, re.MULTILINE)
    return tuple(found) if text == _access_list(collector, tuple(found)) else ()


def _access_list(collector: str, stations: tuple[str, ...]) -> str:
    blocks = (_fill("station.acl", {"station": name}) for name in stations)
    return _fill(ACL_NAME, {"collector": collector}) + "".join(blocks)


def _how_to_start(plan: BrokerPlan) -> str:
    if plan.main is not None:
        return f"# {plan.main.path} includes it: systemctl restart mosquitto"
    return f"# Try it:\n#   mosquitto -v -c {plan.config}"


def _before_listener(plan: BrokerPlan) -> str:
    if plan.acl_plugin is None:
        return "per_listener_settings false"
    if plan.tls is None:
        return ""
    return f"plugin_load {PLUGIN_ID} {plan.acl_plugin}\nplugin_opt_acl_file {plan.acl}"


def _access(plan: BrokerPlan) -> str:
    is_plugin, tls = plan.acl_plugin is not None, plan.tls
    anonymous = "listener_allow_anonymous" if is_plugin else "allow_anonymous"
    if tls is None:
        return _fill("loopback.conf", {"anonymous": anonymous})
    values = {
        "anonymous": anonymous,
        "ca": tls.ca.absolute(),
        "certificate": tls.certificate.absolute(),
        "key": tls.key.absolute(),
        "rights": f"plugin_use {PLUGIN_ID}" if is_plugin else f"acl_file {plan.acl}",
    }
    access = _fill("tls.conf", values)
    return access if plan.crl is None else f"{access}crlfile {plan.crl.absolute()}\n"


def write_broker_files(
    texts: dict[Path, str],
    *,
    is_forced: bool,
    is_dry_run: bool,
    grown: tuple[Path, ...] = (),
) -> dict[Path, FileOutcome]:
    """Write the files; a second call changes nothing.

    Args:
        texts: Path and text of each file.
        is_forced: Replace files with another content.
        grown: Files that are replaced in any case: this program wrote them, with a part
            of what is in them now.

    Raises:
        ConfigError: A file exists with another content (no file is written then), or
            cannot be written.
    """
    try:
        before = {
            path: path.read_text("utf-8") if path.exists() else None for path in texts
        }
        others = [
            path
            for path, text in texts.items()
            if before[path] not in (None, text) and not is_forced
            if path not in grown
        ]
        if others:
            raise _exists_already(others, before[others[0]] or "")
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


def _exists_already(paths: list[Path], text: str) -> ConfigError:
    """Return the error; a main file names the folder for files of others."""
    fix = "Compare with --dry-run, then give --force, or another folder."
    if included := re.search(r"^include_dir[ \t]+(\S.*?)\s*$", text, re.MULTILINE):
        fix = f"Give --out {included[1]}, which this file includes."
    return ConfigError(
        f"{', '.join(path.name for path in paths)} in {paths[0].parent}: exists "
        "already.",
        why="Its content differs from what would be written.",
        fix=fix,
    )


def _write(
    path: Path, text: str, before: str | None, *, is_dry_run: bool
) -> FileOutcome:
    if before == text:
        return FileOutcome.UNCHANGED
    if is_dry_run:
        return FileOutcome.WOULD_BE_WRITTEN
    make_public_folder(path.parent)
    is_private = path.name == ACL_NAME
    write_atomically(path, text.encode(), PRIVATE_FILE if is_private else PUBLIC_FILE)
    # Whatever the umask: mosquitto refuses an access list that others may read, and
    # started as its own user it reads the configuration as that user.
    path.chmod(PRIVATE_FILE if is_private else PUBLIC_FILE)
    return FileOutcome.WRITTEN


def _fill(name: str, values: dict[str, object]) -> str:
    return Template((TEMPLATES / name).read_text("utf-8")).substitute(values)


def _check(plan: BrokerPlan, *, are_certificates_there: bool) -> None:
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
    if are_certificates_there:
        faults += [
            f"{path} is not a file" for path in certificates if not path.is_file()
        ]
    paths = [plan.folder, plan.data, *certificates]
    faults += [f"{p!r}: a line break in a path" for p in paths if "\n" in str(p)]
    conflicts = _conflicts(plan)
    fix = OWN_FOLDER if conflicts else "See graftline broker-config --help."
    faults += conflicts
    if faults:
        raise ConfigError(
            "The broker's files cannot be made.", why="; ".join(faults) + ".", fix=fix
        )


def _conflicts(plan: BrokerPlan) -> list[str]:
    """Return the settings of other files that exclude those of this one.

    Before mosquitto 2.1 rights count for all listeners of a broker: those of another
    file would open this one, and the access list would close the others.
    """
    if plan.main is None:
        return []
    excluded = [("per_listener_settings", "true")]
    if plan.acl_plugin is None:
        wrong = "true" if plan.tls is not None else "false"
        excluded += [("allow_anonymous", wrong), ("acl_file", "")]
        excluded += [("listener", ""), ("port", "")]
    found = [
        f"{file} has {key} {value}"
        for key, value, file in plan.main.settings
        if {(key, value), (key, "")} & {*excluded}
    ]
    found += [
        f"{file} listens on port {plan.port} too"
        for key, value, file in plan.main.settings
        if key in {"listener", "port"}
        and value.split()[:1] == [str(plan.port)]
        and plan.acl_plugin is not None
    ]
    return found
