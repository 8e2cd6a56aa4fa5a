"""The inventory: what Ansible's rules make of it, and every kind of fault."""

import tomllib
from pathlib import Path

import pytest

from deploy.fleet.inventory import (
    FleetPc,
    choose_pcs,
    parse_inventory,
    read_inventory,
)
from models.errors import ConfigError

PLANT = """
[all.vars]
graftline_window = "22:00-05:00"
other = 1

[plant]
children = ["hall_1", "hall_2"]

[hall_1.hosts]
pc1 = { graftline_target = "local:/pcs/1" }
pc2 = { graftline_target = "local:pcs/2", graftline_window = ["Sat 06:00-18:00"] }

[hall_2]
vars = { graftline_window = "12:00-13:00" }
[hall_2.hosts]
pc3 = { graftline_target = "local:/pcs/3" }
"""


def parse(text: str) -> tuple[FleetPc, ...]:
    pcs, faults = parse_inventory(tomllib.loads(text), Path("/plant"))
    assert not faults, faults
    return pcs


def faults_of(text: str) -> str:
    _, faults = parse_inventory(tomllib.loads(text), Path("/plant"))
    return "\n".join(map(str, faults))


def test_pcs_have_the_order_of_the_file_and_their_own_targets() -> None:
    pcs = parse(PLANT)
    assert [(pc.name, pc.target) for pc in pcs] == [
        ("pc1", "local:/pcs/1"),
        ("pc2", "local:/plant/pcs/2"),  # from the folder of the inventory
        ("pc3", "local:/pcs/3"),
    ]
    assert pcs[0].groups == {"all", "plant", "hall_1"}


def test_variable_of_a_host_wins_over_its_group_and_that_over_all() -> None:
    windows = {pc.name: [str(window) for window in pc.windows] for pc in parse(PLANT)}
    assert windows == {
        "pc1": ["22:00-05:00"],
        "pc2": ["Sat 06:00-18:00"],
        "pc3": ["12:00-13:00"],
    }


def test_of_two_groups_the_deeper_one_wins_then_priority_then_the_later_name() -> None:
    text = """
    [a]
    children = ["c"]
    vars = { graftline_window = "01:00-02:00" }
    [b]
    vars = { graftline_window = "02:00-03:00" }
    [c]
    vars = { graftline_window = "03:00-04:00" }
    [a.hosts.pc1]
    graftline_target = "local:/1"
    [b.hosts.pc1]
    [a.hosts.pc2]
    graftline_target = "local:/2"
    [c.hosts.pc2]
    [b.hosts.pc2]
    """
    assert [str(*pc.windows) for pc in parse(text)] == ["02:00-03:00", "03:00-04:00"]
    first = text.replace(
        "[b]\n    vars = {", "[b]\n    vars = { ansible_group_priority = 0,"
    )
    assert [str(*pc.windows) for pc in parse(first)] == ["01:00-02:00", "03:00-04:00"]


def test_pc_without_a_target_is_reached_as_ansible_reaches_it() -> None:
    text = """
    [a.hosts]
    "pc[01:02]:2222" = { ansible_user = "line" }
    pc3 = { ansible_host = "10.0.0.3" }
    pc4 = { ansible_host = "fe80::4", ansible_port = 22 }
    pc5 = { graftline_target = "ssh://line@10.0.0.5/srv/slot" }
    """
    assert [pc.target for pc in parse(text)] == [
        "ssh://line@pc01:2222",
        "ssh://line@pc02:2222",
        "ssh://10.0.0.3",
        "ssh://[fe80::4]:22",
        "ssh://line@10.0.0.5/srv/slot",
    ]


def test_one_pc_in_two_groups_is_one_pc() -> None:
    text = """
    [a.hosts]
    pc1 = { graftline_target = "local:/1" }
    [b.hosts]
    pc1 = {}
    """
    (pc,) = parse(text)
    assert pc.groups == {"all", "a", "b"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1", "a: expected a table of children, hosts, vars"),
        ("plugin = 'toml'", "`plugin` is for other inventories"),
        ("[a]\npc1 = {}", "a.pc1: expected children, hosts, vars; a host is a key"),
        ("[a]\nx = 1", "a.x: expected children, hosts, vars; a variable is a key"),
        ("[a]\nhosts = ['pc1']", "a.hosts: expected a table"),
        ("[a]\nchildren = 'b'", "a.children: expected a list of names"),
        ("[a]\nchildren = [1]", "a.children: expected a list of names"),
        ("[a]\nvars = 1", "a.vars: expected a table"),
        ("[a.hosts]\npc1 = 1", "a.hosts.pc1: expected a table of variables"),
        ("[a.hosts]\n'pc 1' = {}", "a.hosts.pc 1: 'pc 1' is no name of a PC"),
        ("[a]\nchildren = ['b']\n[b]\nchildren = ['a']", "a.children: its children"),
        ("[a]\nchildren = ['a']", "a.children: its children contain it again"),
        (
            "[a.hosts]\npc1 = { graftline_taget = 'local:/1' }",
            "pc1.graftline_taget: did you mean graftline_target?",
        ),
        (
            "[a.vars]\ngraftline_windows = ''",
            "a.vars.graftline_windows: did you mean graftline_window?",
        ),
        (
            "[a.hosts]\npc1 = { graftline_target = 'ftp://x' }",
            "pc1.graftline_target: target 'ftp://x': there is no kind",
        ),
        ("[a.hosts]\npc1 = { graftline_target = 'local:' }", "names no folder"),
        ("[a.hosts]\npc1 = { graftline_target = 1 }", "1 is no text"),
        (
            "[a.hosts]\npc1 = { graftline_target = 'ssh://{{ x }}' }",
            "without Ansible",
        ),
        (
            "[a.hosts]\npc1 = { graftline_target = 'usb:/media/x' }",
            "is a stick, not a PC",
        ),
        (
            "[a.hosts]\npc1 = { graftline_window = 'never' }",
            "pc1.graftline_window: expected HH:MM-HH:MM",
        ),
        ("[a.hosts]\npc1 = { graftline_window = 5 }", "neither a text nor a list"),
        ("[a.hosts]\npc1 = { graftline_window = [5] }", "5 is no text"),
        ("[a.hosts]\npc1 = { ansible_user = '-x' }", "ansible_user '-x' cannot be"),
        ("[a.hosts]\npc1 = { ansible_host = 'a b' }", "ansible_host 'a b' cannot be"),
        ("[a.hosts]\npc1 = { ansible_port = 'x' }", "ansible_port 'x' is no number"),
        (
            "[a.hosts]\n"
            + "".join(f"pc{n} = {{ graftline_target = 'local:/1' }}\n" for n in (1, 2)),
            "pc1, pc2: have the same target local:/1",
        ),
    ],
)
def test_fault_names_its_place_and_reason(text: str, fault: str) -> None:
    assert fault in faults_of(text)


def test_groups_nested_too_deep_are_a_fault_not_an_endless_loop() -> None:
    groups = "\n".join(f"[g{n}]\nchildren = ['g{n + 1}']" for n in range(200))
    assert "nested too deep" in faults_of(groups)


def test_all_faults_of_a_file_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    file.write_text("".join(f"[g.hosts.pc{n}]\ngraftline_x = 1\n" for n in range(12)))
    with pytest.raises(ConfigError, match="faults") as caught:
        read_inventory(file)
    assert "graftline_x" in caught.value.why
    assert "more" in caught.value.why


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no PC"),
        (b"[all.vars]\n", "has no PC"),
        (b"[a", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"a = " + b"[" * 5000, "not TOML"),
    ],
)
def test_file_that_is_no_inventory_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "plant.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_inventory(file)
    assert reason in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read"):
        read_inventory(tmp_path / "plant.toml")


def test_pcs_are_chosen_by_name_or_group() -> None:
    pcs = parse(PLANT)
    assert choose_pcs(pcs, []) == pcs
    assert [pc.name for pc in choose_pcs(pcs, ["hall_1"])] == ["pc1", "pc2"]
    assert [pc.name for pc in choose_pcs(pcs, ["pc3", "pc1"])] == ["pc1", "pc3"]
    with pytest.raises(ConfigError, match="no PC and no group") as caught:
        choose_pcs(pcs, ["hall1"])
    assert "hall_1" in caught.value.why
