"""Groups, hosts and variables of an Ansible inventory in TOML. Pure: no file.

::

    [all.vars]
    graftline_window = "22:00-05:00"

    [hall_1.hosts]
    pc1 = { graftline_target = "ssh://line@10.0.0.11" }
    "pc[2:9]" = {}

    [plant]
    children = ["hall_1"]

A variable of a host wins over one of its group, a group over its parents, and of two
groups of the same depth the one whose name comes later, all as in Ansible.

Source:
    ansible.builtin.toml (the layout), ansible.inventory.helpers (the order of groups),
    "Using variables", how variables are merged.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.fleet.host_patterns import expand_hosts

ROOT_GROUP = "all"
GROUP_KEYS = ("children", "hosts", "vars")
PRIORITY = "ansible_group_priority"
NESTING_MAX = 50  # groups in groups


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in an inventory.

    Attributes:
        place: Keys of the file, joined by dots.
        what: The reason, as the end of a sentence.
    """

    place: str
    what: str

    def __str__(self) -> str:
        """Return place and reason as one text."""
        return f"{self.place}: {self.what}"


@dataclass(slots=True)
class InventoryGroups:
    """What an inventory says, before the variables are merged.

    Attributes:
        hosts: Each host in the order of the file, with its own variables.
        variables: Each group's own.
        parents: Groups that a group is a child of.
        groups_of: Groups that list a host.
        faults: Everything that is wrong.
    """

    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    parents: defaultdict[str, set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )
    groups_of: defaultdict[str, set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )
    faults: list[Fault] = field(default_factory=list)

    def all_groups_of(self, host: str) -> frozenset[str]:
        """Return the groups that list a host, and all groups above them."""
        return frozenset({ROOT_GROUP}.union(*map(self._above, self.groups_of[host])))

    def variables_of(self, host: str) -> dict[str, Any]:
        """Return the variables of a host after merging."""
        merged: dict[str, Any] = {}
        for group in sorted(self.all_groups_of(host), key=self._rank):
            merged |= self.variables.get(group, {})
        return merged | self.hosts[host]

    def _above(self, group: str) -> set[str]:
        """Return a group and all groups above it; a ring ends where it began."""
        found, open_groups = {group}, [group]
        while open_groups:
            new = self.parents[open_groups.pop()] - found
            found |= new
            open_groups += new
        return found

    def depth(self, group: str) -> int:
        """Return how many groups are above a group, at most ``NESTING_MAX``."""
        depth, layer = int(group != ROOT_GROUP), {group}
        while layer := {p for g in layer for p in self.parents[g]} - {ROOT_GROUP}:
            depth += 1
            if depth > NESTING_MAX:
                break
        return depth

    def _rank(self, group: str) -> tuple[int, int, str]:
        priority = self.variables.get(group, {}).get(PRIORITY, 1)
        return self.depth(group), priority if isinstance(priority, int) else 1, group


def read_groups(document: Mapping[str, Any]) -> InventoryGroups:
    """Return the groups of a parsed file, with the faults found in it."""
    groups = InventoryGroups()
    for name, table in document.items():
        for fault in _read_group(groups, name, table):
            groups.faults.append(fault)
    for name in sorted({*groups.variables, *groups.parents}):
        if groups.depth(name) > NESTING_MAX:
            what = "its children contain it again, or are nested too deep"
            groups.faults.append(Fault(f"{name}.children", what))
    return groups


def _read_group(groups: InventoryGroups, name: str, table: object) -> Iterator[Fault]:
    if not isinstance(table, dict):
        hint = "; `plugin` is for other inventories" if name == "plugin" else ""
        yield Fault(name, f"expected a table of {', '.join(GROUP_KEYS)}{hint}")
        return
    for key in table.keys() - set(GROUP_KEYS):
        hint = (
            "; a host is a key of hosts" if isinstance(table[key], dict) else
            "; a variable is a key of vars"
        )  # fmt: skip
        yield Fault(f"{name}.{key}", f"expected {', '.join(GROUP_KEYS)}{hint}")
    variables = table.get("vars", {})
    if isinstance(variables, dict):
        groups.variables.setdefault(name, {}).update(variables)
    else:
        yield Fault(f"{name}.vars", "expected a table of variables")
    children = table.get("children", [])
    if isinstance(children, list) and all(isinstance(c, str) for c in children):
        for child in children:
            groups.parents[child].add(name)
    else:
        yield Fault(f"{name}.children", "expected a list of names of groups")
    hosts = table.get("hosts", {})
    if isinstance(hosts, dict):
        for pattern, own in hosts.items():
            yield from _read_hosts(groups, name, pattern, own)
    else:
        yield Fault(f"{name}.hosts", "expected a table: each PC with its variables")


def _read_hosts(
    groups: InventoryGroups, group: str, pattern: str, own: object
) -> Iterator[Fault]:
    place = f"{group}.hosts.{pattern}"
    if not isinstance(own, dict):
        yield Fault(place, "expected a table of variables; {} if it has none")
        return
    try:
        hosts, port = expand_hosts(pattern)
    except ValueError as exc:
        yield Fault(place, str(exc))
        return
    with_port = {} if port is None else {"ansible_port": port}
    for host in hosts:
        groups.hosts.setdefault(host, {}).update(with_port | own)
        groups.groups_of[host].add(group)
