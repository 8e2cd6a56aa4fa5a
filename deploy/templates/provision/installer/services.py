"""Parts of the installer: configuration, user, units and services of this PC."""

import argparse
import json
import pwd
import re
import string
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import (
    SetupError,
    answer_of,
    find_user,
    own,
    run,
    step,
    succeeds,
    write,
)
from .places import Places

EXIT_FAILED = 8
TLS_PORT = 8883  # that of MQTT with TLS, as registered
DASHBOARD_USER = "graftline-dashboard"
STICKS = "/media"  # where sticks are mounted
DOCTOR_LIMIT_S = 120
PUBLIC_KEY = re.compile(
    r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?"
)


def make_configs(args: argparse.Namespace, folder: Path, places: Places) -> list[Path]:
    """Write edge.toml and dashboard.toml where there are none; return what is new."""
    places.etc.mkdir(parents=True, exist_ok=True)
    is_asked_for = bool(args.names or args.config)
    if not (is_asked_for or args.dashboard or has_programs(places)):
        raise SetupError(
            "--station is missing.",
            f"There is no {places.config}, and it names the station.",
            "Add --station SITE/LINE/STATION, or --config FILE, or --dashboard.",
        )
    new = []
    if places.config.exists():
        step(f"configuration: {places.config} is left as it is")
    elif is_asked_for:
        text = edge_config(args, folder, places)
        write(places.config, text, 0o640)
        new.append(places.config)
    if places.dashboard_config.exists():
        step(f"configuration: {places.dashboard_config} is left as it is")
    elif args.dashboard:
        values = broker_values(args, places, "collector")
        text = filled(folder / "dashboard.toml", data=places.dashboard_data, **values)
        write(places.dashboard_config, text, 0o640)
        new.append(places.dashboard_config)
    return new


def has_programs(places: Places) -> bool:
    """Return whether this PC has a configuration already."""
    return places.config.exists() or places.dashboard_config.exists()


def edge_config(args: argparse.Namespace, folder: Path, places: Places) -> str:
    """Return the text of a new edge.toml."""
    if args.config:
        return str(args.config.read_text("utf-8"))
    site, line, station = args.names
    return filled(
        folder / "edge.toml",
        site=site,
        line=line,
        station=station,
        data=places.data,
        camera=json.dumps(args.camera, ensure_ascii=False),
        # Alerts of the time before its first start are sent again then.
        ack_mark="" if args.dashboard or places.dashboard_config.exists() else "# ",
        **broker_values(args, places, ".".join(args.names)),
    )


def broker_values(
    args: argparse.Namespace, places: Places, stem: str
) -> dict[str, object]:
    """Return what a template needs of the broker.

    Args:
        stem: Start of the names of the program's certificate and key.
    """
    files = {"ca": "ca", "cert": stem, "key": f"{stem}-key"}
    lines = [f'tls_{k}_file = "{places.tls}/{v}.pem"' for k, v in files.items()]
    mark = "" if args.port == TLS_PORT else "# "
    return {
        "broker_host": args.host,
        "broker_port": args.port,
        "tls": "\n".join(mark + line for line in lines),
    }


def filled(template: Path, **values: object) -> str:
    """Return the text of a template."""
    return string.Template(template.read_text("utf-8")).substitute(values)


def check_configs(environment: Path, places: Places) -> None:
    """Refuse a version that cannot read a configuration, before it is in force."""
    command = (environment / "bin" / "python", "-P", "-m", "graftline")
    for verb, config in (
        ("run", places.config),
        ("dashboard", places.dashboard_config),
    ):
        if config.exists():
            run(*command, verb, "--config", config, "--print-config")


def make_agent_config(places: Places) -> None:
    """Write agent.toml with the slot of edge.toml, if there is none."""
    if places.config.exists() and not places.agent_config.exists():
        settings = tomllib.loads(places.config.read_text("utf-8"))
        slot = places.config.parent / settings["model"]["slot"]
        lines = [f"slot = {json.dumps(str(slot))}", f'watch = ["{STICKS}"]']
        write(places.agent_config, "\n".join(lines) + "\n", 0o640)


def make_units(user: str, places: Places) -> list[str]:
    """Write the units with `graftline service`; return the names of the services."""
    daemon = ("--config", places.config, "--agent-config", places.agent_config)
    programs = {
        places.config: (*daemon, "--user", user),
        places.dashboard_config: ("--dashboard", places.dashboard_config),
    }
    with tempfile.TemporaryDirectory(prefix="graftline-units-") as temporary:
        for config, options in programs.items():
            command = ("-P", "-m", "graftline", "service", *options)
            if config.exists():
                run(places.python, *command, "--out", temporary)
        places.units.mkdir(parents=True, exist_ok=True)
        places.sysusers.mkdir(parents=True, exist_ok=True)
        units = sorted(Path(temporary).glob("*.service"))
        for unit in units:
            write(places.units / unit.name, unit.read_text("utf-8"), 0o644)
        for file in Path(temporary).glob("*.conf"):
            name = file.name.replace("-sysusers", "")
            write(places.sysusers / name, file.read_text("utf-8"), 0o644)
    return [unit.name for unit in units]


def make_users(args: argparse.Namespace, places: Places) -> None:
    """Make the service users, if they are not there."""
    if not places.is_system:
        return
    for user, config, file in (
        (args.user, places.config, "graftline.conf"),
        (DASHBOARD_USER, places.dashboard_config, "graftline-dashboard.conf"),
    ):
        if config.exists() and not find_user(user):
            step(f"user: making {user}")
            run("systemd-sysusers", places.sysusers / file)
        if config.exists():  # not with a Python in the home folder of root
            run("runuser", "-u", user, "--", places.python, "--version")
    if args.ssh_key:  # sysusers gives a shell that refuses every command
        run("usermod", "--shell", "/bin/sh", args.user)


def make_data_folders(args: argparse.Namespace, places: Places) -> None:
    """Make the folders of slot, outbox, evidence and history, and set all owners.

    What is in the folders is not touched.
    """
    places.etc.chmod(0o755)  # three users read their files there
    daemon = (places.config, places.agent_config)
    for user, data, configs in (
        (args.user, places.data, daemon),
        (DASHBOARD_USER, places.dashboard_data, (places.dashboard_config,)),
    ):
        if not configs[0].exists():
            continue
        account = find_user(user) if places.is_system else None
        data.mkdir(parents=True, exist_ok=True)
        own(data, account, 0o700)
        for file in configs:
            own(file, account, 0o640, is_of_root=True)
        own_key(configs[0], account)
    if args.ssh_key:
        add_ssh_key(args, places)


def own_key(config: Path, account: pwd.struct_passwd | None) -> None:
    """Give the key for the broker to the program that uses it."""
    broker = tomllib.loads(config.read_text("utf-8")).get("broker", {})
    named = broker.get("tls_key_file", "")
    key = config.parent / named
    if named and key.is_file() and not key.is_symlink():
        own(key, account, 0o600)


def add_ssh_key(args: argparse.Namespace, places: Places) -> None:
    """Let the owner of a key log in as the service user, to flash."""
    user = find_user(args.user) if places.is_system else None
    key = args.ssh_key.read_text("utf-8").strip()
    if not PUBLIC_KEY.fullmatch(key):
        raise SetupError(
            f"{args.ssh_key}: is no public key.",
            "Expected one line, as in ~/.ssh/id_ed25519.pub.",
            "Give that file.",
        )
    keys = places.data / ".ssh" / "authorized_keys"
    keys.parent.mkdir(exist_ok=True)
    lines = keys.read_text("utf-8").splitlines() if keys.is_file() else []
    line = f"restrict {key}"
    write(keys, "\n".join(dict.fromkeys([*lines, line])) + "\n", 0o600)
    own(keys.parent, user, 0o700)
    own(keys, user, 0o600)


def start_services(places: Places, units: Sequence[str], version: str) -> list[str]:
    """Enable the services, and restart those that run; return what was done.

    The version that they were started with is on the disk: an installer that was killed
    before this step is repeated.
    """
    if not places.is_system or not Path("/run/systemd/system").is_dir():
        return ["services: systemd does not run here, nothing was started"]
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", *units)
    started = places.prefix / "started"
    is_changed = not started.is_file() or started.read_text("utf-8") != version
    lines = []
    for unit in units:
        is_active = succeeds("systemctl", "is-active", "--quiet", unit)
        if is_active and is_changed:
            run("systemctl", "restart", unit)
            lines.append(f"{unit}: restarted")
        elif is_active:
            lines.append(f"{unit}: runs")
        else:
            lines.append(f"{unit}: enabled; start it with: systemctl start {unit}")
    write(started, version, 0o644)
    return lines


def run_doctor(user: str, places: Places) -> dict[str, Any]:
    """Run `graftline doctor` as the service user; its findings are not a failure."""
    if not places.config.exists():
        return {}
    command = [places.python, "-P", "-m", "graftline", "doctor", "--config"]
    command += [places.config]
    if places.is_system and find_user(user):
        command = ["runuser", "-u", user, "--", *command]
    try:
        answer = answer_of(list(map(str, command)), DOCTOR_LIMIT_S)
    except OSError as exc:
        return {"exit_code": EXIT_FAILED, "lines": [str(exc)]}
    lines = (answer.stdout + answer.stderr).splitlines()
    return {"exit_code": answer.returncode, "lines": lines}
