"""Names and ranges of hosts, as Ansible writes them."""

import pytest

from deploy.fleet.host_patterns import expand_hosts


@pytest.mark.parametrize(
    ("pattern", "hosts", "port"),
    [
        ("pc1", ("pc1",), None),
        ("10.0.0.11", ("10.0.0.11",), None),
        ("pc1:2222", ("pc1",), 2222),
        ("pc[1:3]", ("pc1", "pc2", "pc3"), None),
        ("pc[08:10].hall", ("pc08.hall", "pc09.hall", "pc10.hall"), None),
        ("pc[1:5:2]", ("pc1", "pc3", "pc5"), None),
        ("h[1:2]-pc[1:2]:22", ("h1-pc1", "h1-pc2", "h2-pc1", "h2-pc2"), 22),
    ],
)
def test_pattern_names_its_hosts(
    pattern: str, hosts: tuple[str, ...], port: int | None
) -> None:
    assert expand_hosts(pattern) == (hosts, port)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "no name of a PC"),
        ("-oProxyCommand=sh", "no name of a PC"),
        ("pc 1", "no name of a PC"),
        ("pc/../1", "no name of a PC"),
        ("pc\n1", "no name of a PC"),
        ("fe80::1", "IPv6 address is written into ansible_host"),
        ("pc[3:1]", "counts up"),
        ("pc[1:3:0]", "counts up"),
        ("pc[a:c]", "no name of a PC"),
        ("pc[1:99999999999]", "more than 10000 hosts"),
        ("pc:99999", "port 99999"),
        ("pc:0", "port 0"),
    ],
)
def test_pattern_that_is_no_name_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        expand_hosts(pattern)
