"""The line PCs of a plant, from a file that is an Ansible inventory in TOML.

Variables that Graftline reads:

* ``graftline_target``: ``ssh://[user@]host[:port][/slot]`` or ``local:DIR``. Without it
  ``ansible_host`` (else the name), ``ansible_user`` and ``ansible_port``.
* ``graftline_window``: when the PC may be flashed, a text or a list of texts; see
  ``deploy.fleet.windows``.

All other variables are for Ansible; an unknown one that starts with ``graftline_`` is a
typing error.
"""

import difflib
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.fleet.groups import Fault, InventoryGroups, read_groups
from deploy.fleet.host_patterns import HOST_NAME
from deploy.fleet.windows import Window, parse_window
from deploy.target import parse_target
from models.counted import counted
from models.errors import ConfigError
from models.files import read_regular
from models.shown_text import on_one_line

INVENTORY_MAX_BYTES = 4 << 20
FAULTS_SHOWN = 10
LOCAL = "local:"
TARGET, WINDOW = "graftline_target", "graftline_window"
# The others are read by the role in deploy/templates/ansible.
VARIABLES = (
    *(TARGET, WINDOW),
    *("graftline_command", "graftline_options", "graftline_package"),
)


@dataclass(frozen=True, slots=True)
class FleetPc:
    """One line PC of the inventory.

    Attributes:
        name: In the inventory.
        target: As ``graftline flash`` takes it.
        windows: When it may be flashed; none = always.
        groups: Groups that it belongs to.
    """

    name: str
    target: str
    windows: tuple[Window, ...] = ()
    groups: frozenset[str] = frozenset()


def read_inventory(path: Path) -> tuple[FleetPc, ...]:
    """Return the line PCs in an inventory, in its order.

    Raises:
        ConfigError: It cannot be read, or has faults: all of them are in the error.
    """
    try:
        content = read_regular(path, INVENTORY_MAX_BYTES)
        document = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as exc:
        raise ConfigError(
            f"{path}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give an Ansible inventory in TOML; see the how-to `a fleet`.",
        ) from exc
    except (ValueError, RecursionError) as exc:  # also: not UTF-8
        raise ConfigError(
            f"{path}: not TOML.", why=str(exc), fix="Correct that line."
        ) from exc
    pcs, faults = parse_inventory(document, path.absolute().parent)
    if not pcs and not faults:
        faults = [Fault(path.name, "has no PC, expected some in [GROUP.hosts]")]
    if faults:
        shown = [on_one_line(str(fault)) for fault in faults[:FAULTS_SHOWN]]
        more = len(faults) - len(shown)
        raise ConfigError(
            f"{path}: {counted(len(faults), 'fault')}.",
            why="\n".join([*shown, *([f"and {more} more"] if more else [])]),
            fix="Correct the file; nothing was flashed.",
        )
    return pcs


def parse_inventory(
    document: Mapping[str, Any], folder: Path
) -> tuple[tuple[FleetPc, ...], list[Fault]]:
    """Return the line PCs of a parsed inventory, and its faults.

    Args:
        folder: The inventory's: where ``local:`` targets that are relative start.
    """
    groups = read_groups(document)
    faults = [*groups.faults, *_misspelt(groups)]
    pcs = []
    for name in groups.hosts:
        variables = groups.variables_of(name)
        target, windows, found = _settings_of(name, variables, folder)
        faults += found
        pcs.append(FleetPc(name, target, windows, groups.all_groups_of(name)))
    return tuple(pcs), [*faults, *_shared_targets(pcs)]


def choose_pcs(pcs: Sequence[FleetPc], names: Sequence[str]) -> tuple[FleetPc, ...]:
    """Return the PCs with one of these names, or in one of these groups.

    Args:
        names: PCs or groups; none = all PCs.

    Raises:
        ConfigError: No PC and no group has the name.
    """
    known = {pc.name for pc in pcs}.union(*(pc.groups for pc in pcs))
    for name in names:
        if name not in known:
            meant = difflib.get_close_matches(name, known, 1)
            raise ConfigError(
                f"--limit {name}: there is no PC and no group of this name.",
                why=f"Did you mean {meant[0]}?" if meant else "",
                fix="Give names from the inventory.",
            )
    chosen = set(names)
    return tuple(
        pc for pc in pcs if not chosen or pc.name in chosen or chosen & pc.groups
    )


def _settings_of(
    name: str, variables: Mapping[str, Any], folder: Path
) -> tuple[str, tuple[Window, ...], list[Fault]]:
    """Return target and windows of a PC, and their faults."""
    faults: list[Fault] = []
    target, windows = "", tuple[Window, ...]()
    try:
        target = _target_of(name, variables, folder)
    except ValueError as exc:
        faults.append(Fault(f"{name}.{TARGET}", str(exc)))
    try:
        windows = tuple(_windows_of(variables.get(WINDOW, ())))
    except ValueError as exc:
        faults.append(Fault(f"{name}.{WINDOW}", str(exc)))
    return target, windows, faults


def _target_of(name: str, variables: Mapping[str, Any], folder: Path) -> str:
    """Return the target of a PC.

    Raises:
        ValueError: It is none, or cannot be part of a fleet.
    """
    target = variables.get(TARGET)
    if target is None:
        target = _ssh_target(name, variables)
    if not isinstance(target, str) or "{{" in target:
        msg = f"{target!r} is no text that Graftline can read without Ansible"
        raise ValueError(msg)
    if target.startswith("usb:"):
        msg = f"{target!r} is a stick, not a PC; write it with graftline flash"
        raise ValueError(msg)
    if target.startswith(LOCAL):
        place = Path(target.removeprefix(LOCAL)).expanduser()
        target = f"{LOCAL}{folder / place}" if place != Path() else target
    try:
        parse_target(target)
    except ConfigError as exc:
        raise ValueError(" ".join(filter(None, (exc.what, exc.why)))) from exc
    return target


def _ssh_target(name: str, variables: Mapping[str, Any]) -> str:
    """Return the target that Ansible's own variables describe."""
    host, user = variables.get("ansible_host", name), variables.get("ansible_user")
    for key, value in (("ansible_host", host), ("ansible_user", user or "root")):
        is_ipv6 = key == "ansible_host" and ":" in str(value)
        if is_ipv6 and set(str(value)) <= set("0123456789abcdefABCDEF:."):
            host = f"[{value}]"
        elif not isinstance(value, str) or not HOST_NAME.fullmatch(value):
            msg = f"{key} {value!r} cannot be part of it; write {TARGET}"
            raise ValueError(msg)
    port = variables.get("ansible_port")
    if port is not None and not str(port).isdecimal():
        msg = f"ansible_port {port!r} is no number"
        raise ValueError(msg)
    login = f"{user}@" if user else ""
    return f"ssh://{login}{host}{f':{port}' if port is not None else ''}"


def _windows_of(value: object) -> Iterator[Window]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        msg = f"{value!r} is neither a text nor a list of texts"
        raise ValueError(msg)  # noqa: TRY004 (one kind of fault for the caller)
    for text in texts:
        if not isinstance(text, str):
            msg = f"{text!r} is no text"
            raise ValueError(msg)  # noqa: TRY004 (as above)
        yield parse_window(text)


def _misspelt(groups: InventoryGroups) -> Iterator[Fault]:
    """Yield the variables that only Graftline could mean, and does not know."""
    tables = {f"{name}.vars": table for name, table in groups.variables.items()}
    for place, table in (tables | groups.hosts).items():
        for key in table:
            if key.startswith("graftline_") and key not in VARIABLES:
                meant = difflib.get_close_matches(key, VARIABLES, 1)
                hint = f"did you mean {meant[0]}?" if meant else "it is not known"
                yield Fault(f"{place}.{key}", hint)


def _shared_targets(pcs: Sequence[FleetPc]) -> Iterator[Fault]:
    names_of: defaultdict[str, list[str]] = defaultdict(list)
    for pc in pcs:
        if pc.target:
            names_of[pc.target].append(pc.name)
    for target, names in names_of.items():
        if len(names) > 1:
            yield Fault(", ".join(names), f"have the same target {target}")
