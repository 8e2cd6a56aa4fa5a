"""The page "From the wheel to the first alert", typed as it stands there.

Its commands run as root in a copy of this system's root folder. What cannot run in it
is replaced, and nothing else:

- ``make`` and ``scp`` of the workstation: the same folder and package are put there;
- ``apt-get``: the broker of this machine is used;
- ``systemctl`` and ``journalctl``: a script starts what the units name, as their users,
  without the limits of the units, and shows what they print;
- the address of the camera: pictures in a folder.

The quick test also has the packages of the PC already: those of the tests.
"""

import json
import re
import shlex
import sysconfig
from pathlib import Path

import pytest

from deploy.provision.installer_folder import write_installer_folder
from deploy.templates.provision.installer.environment import content_hash
from tests.contract.test_docs import HAND_WRITTEN
from tests.simulators.broker import MOSQUITTO
from tests.simulators.copied_root import OFFLINE, ONLINE, run_in_copy
from tests.simulators.packages import make_package, write_parts

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
PAGE = "docs/how-to/first-day.md"
COMMANDS_MAX = 9
CAMERA, PICTURES = "rtsp://10.0.0.17/stream", "folder:/srv/parts"
SYSTEMCTL = r"""#!/bin/sh
case "$1 $2" in
"restart mosquitto")
    mkdir -p /run/mosquitto
    chown mosquitto /run/mosquitto
    mosquitto -c /etc/mosquitto/mosquitto.conf >/var/log/mosquitto.log 2>&1 &
    exit ;;
esac
shift
for unit; do
    value() { sed -n "s/^$1=//p" "/etc/systemd/system/$unit.service"; }
    cd "$(value WorkingDirectory)"
    runuser -u "$(value User)" -- $(value ExecStart) >"/var/log/$unit.log" 2>&1 &
done
"""
JOURNALCTL = r"""#!/bin/sh
for second in $(seq 100); do
    grep -q 'dashboard: http' "/var/log/$2.log" && break
    sleep 0.3
done
cat "/var/log/$2.log"
"""
PREPARE = """
set -e
ip link set lo up
cp -r /media/stick/dist /media/stick/plate /tmp/
cp -r /media/stick/parts /srv/
chmod -R a+rX /tmp/dist /tmp/plate /srv/parts
install -m 755 /media/stick/systemctl /media/stick/journalctl /media/stick/apt-get \
    /usr/local/sbin/
"""
# An environment that is whole already: the installer makes none.
ENVIRONMENT = """
folder=$PYTHON_FOLDER
while [ "$folder" != / ]; do  # the service users run the Python of the tests
    chmod a+x "$folder"
    folder=$(dirname "$folder")
done
new=/opt/graftline/versions/{version}
"$PYTHON_FOLDER/python3" -m venv --without-pip "$new"
echo /srv/packages >"$("$new/bin/python" -c 'import sysconfig
print(sysconfig.get_path("purelib"))')/tests.pth"
echo /srv/source >>"$(echo "$new"/lib/python3*/site-packages/tests.pth)"
printf '#!%s\\nimport sys\\nfrom graftline import main\\nsys.exit(main())\\n' \
    "$new/bin/python" >"$new/bin/graftline"
chmod 755 "$new/bin/graftline"
echo '{{}}' >"$new/installed.json"
"""
WAIT = r"""
cat >/tmp/wait.py <<'END'
import re, sys, time
from pathlib import Path
from demo.history import HistoryClient, printed_address
log = Path("/var/log/graftline-dashboard.log")
history = HistoryClient(8765, printed_address(log)[1])
for turn in range(300):
    rows = history.rows()
    if rows:
        sys.exit(print("ALERT", rows[0]["camera"], rows[0]["has_image"]))
    time.sleep(0.2)
sys.exit("no alert")
END
cd / && /opt/graftline/current/bin/python -P /tmp/wait.py || {
    tail -n 30 /var/log/graftline-*.log /var/log/mosquitto.log /var/log/mosquitto/*
    exit 1
}
stat -c '%U %a %n' /etc/graftline/tls/*-key.pem /etc/mosquitto/conf.d/stations.acl
"""


def commands_of(page: Path) -> list[str]:
    """Return the commands of all code blocks, each on one line."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = re.sub(r" *\\\n *", " ", "".join(blocks)).splitlines()
    return [line for line in lines if line]


def test_way_to_the_first_alert_has_at_most_nine_commands(repository: Path) -> None:
    assert repository / PAGE in HAND_WRITTEN
    commands = commands_of(repository / PAGE)
    assert 0 < len(commands) <= COMMANDS_MAX
    workstation = [each for each in commands if each.startswith(("make", "scp"))]
    assert commands[: len(workstation)] == workstation


def typed_page(page: Path) -> list[str]:
    """Return what is typed on the PC; the camera is the only replaced text."""
    typed = commands_of(page)[2:]
    assert sum(CAMERA in command for command in typed) == 1
    return [command.replace(CAMERA, PICTURES) for command in typed]


def fill_stick(stick: Path) -> str:
    """Write what the workstation brings; return the name of the version."""
    write_installer_folder(stick / "dist")
    make_package(stick / "plate")
    write_parts(stick / "parts", good=2, defective=4)
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        (stick / name).write_text(text)
    (stick / "apt-get").write_text("#!/bin/sh\n")
    manifest = json.loads((stick / "dist" / "manifest.json").read_text())
    return f"{manifest['graftline']}-{content_hash(manifest)[:12]}"


def script_of(commands: list[str]) -> str:
    """Return a script that shows each command, and ends at the first that fails."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    lines = ["set -e", f"PATH={path}:$PYTHON_FOLDER", "cd /root", "exec 2>&1"]
    lines += ["ip link set lo up || true"]
    for command in commands:
        lines += [f"echo {shlex.quote(f'# {command}')}", command]
    return "\n".join(lines)


def assert_alert(output: str) -> None:
    assert "ALERT camera-1 True" in output
    assert output.splitlines()[-5:] == [
        "mosquitto 600 /etc/graftline/tls/broker-key.pem",
        "root 600 /etc/graftline/tls/ca-key.pem",
        "graftline-dashboard 600 /etc/graftline/tls/collector-key.pem",
        "graftline 600 /etc/graftline/tls/plant.line-1.press-1-key.pem",
        "mosquitto 600 /etc/mosquitto/conf.d/stations.acl",
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_typed_page_leads_to_an_alert(repository: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    version = fill_stick(stick)
    prepare = PREPARE + ENVIRONMENT.format(version=version)
    page = script_of(typed_page(repository / PAGE))
    packages = Path(sysconfig.get_path("purelib"))
    output = run_in_copy(
        tmp_path,
        [(OFFLINE, prepare), (OFFLINE, page + WAIT)],
        shown={
            stick: "/media/stick",
            repository: "/srv/source",
            packages: "/srv/packages",
        },
        timeout_s=280,
    )
    assert_alert(output)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_typed_page_with_packages_from_an_index_leads_to_an_alert(
    repository: Path, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    fill_stick(stick)
    typed = typed_page(repository / PAGE)
    (number,) = (n for n, each in enumerate(typed) if "install.sh" in each)
    steps = [
        (ONLINE, PREPARE + script_of(typed[: number + 1])),
        (OFFLINE, script_of(typed[number + 1 :]) + WAIT),
    ]
    shown = {stick: "/media/stick"}
    assert_alert(run_in_copy(tmp_path, steps, shown=shown, timeout_s=1400))
