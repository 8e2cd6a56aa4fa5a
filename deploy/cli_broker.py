"""The verb ``broker-config``."""

import argparse
import re
import socket
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from deploy.broker.authority import (
    BROKER_STEM,
    CA_STEM,
    CertificateOutcome,
    CertificateReport,
    Subject,
    make_certificates,
)
from deploy.broker.config_files import (
    ACL_NAME,
    INCLUDED_NAME,
    BrokerPlan,
    FileOutcome,
    TlsFiles,
    render_broker_files,
    stations_of,
    write_broker_files,
)
from deploy.broker.mosquitto import (
    InstalledBroker,
    fault_of,
    find_acl_plugin,
    find_broker,
    main_file_of,
)
from deploy.broker.owners import (
    BROKER_USER,
    DAEMON_USER,
    DASHBOARD_USER,
    give_to,
    station_of_this_machine,
    unreadable,
)
from deploy.cli_shared import print_line, print_step
from models.errors import ConfigError, ExitCode
from models.topics import StationTopics

PLAIN_PORT, TLS_PORT = 1883, 8883
CERTIFICATES = Path("/etc/graftline/tls")
CERTIFICATE_DAYS = 5 * 365
AGENT = "model"  # SITE/LINE/STATION/model: the agent that pulls models
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (no host of a certificate)
THIS_MACHINE = ("localhost", "127.0.0.1")


def add_broker_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline broker-config``."""
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of the files; one that mosquitto.conf beside it includes, such as "
        "/etc/mosquitto/conf.d, gets a part of a configuration, others a whole one",
    )
    _add_certificate_arguments(parser)
    parser.add_argument(
        "--crl", metavar="FILE", type=Path, help="revoked certificates, PEM"
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen on; other than this machine only with TLS "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, help=f"TCP port (default: {TLS_PORT}, {PLAIN_PORT} plain)"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=Path("/var/lib/mosquitto"),
        help="folder of the broker's state (default: %(default)s)",
    )
    parser.add_argument(
        "--collector",
        metavar="NAME",
        default="collector",
        help="common name of the dashboard's certificate (default: %(default)s)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files with another content"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the files and write nothing"
    )


def _add_certificate_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--make-certificates",
        metavar="SITE/LINE/STATION",
        nargs="*",
        help="make what is missing of an authority of this workshop, and of the "
        "certificates of the broker, the dashboard and these stations; those that are "
        "there are kept, or renewed in the last 90 days",
    )
    which.add_argument(
        "--tls",
        metavar=("CA", "CERT", "KEY"),
        nargs=3,
        type=Path,
        help="PEM files that are there: the authority of the stations' certificates "
        "(common name SITE/LINE/STATION), the broker's certificate and its key",
    )
    parser.add_argument(
        "--stations",
        metavar="SITE/LINE/STATION",
        nargs="+",
        default=[],
        help="with --tls: stations for the access list, besides those in it; mosquitto "
        "2.1 or later lets no others in",
    )
    parser.add_argument(
        "--certificates",
        metavar="DIR",
        type=Path,
        default=CERTIFICATES,
        help="folder of the certificates that are made (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        metavar="NAME",
        nargs="+",
        default=[],
        help="names and addresses by which stations reach the broker, besides this "
        "machine's name and localhost",
    )
    parser.add_argument(
        "--days",
        metavar="N",
        type=int,
        default=CERTIFICATE_DAYS,
        help="validity of a new certificate (default: %(default)s)",
    )


def run_broker_config(args: argparse.Namespace) -> int:
    """Write the files of a mosquitto that serves a plant, and its certificates.

    Raises:
        ConfigError: See ``deploy.broker``; or a file may not be read by this user.
    """
    try:
        return _write_all(args)
    except OSError as exc:
        raise ConfigError(
            f"{exc.filename or args.out}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Run this as root, or give --out another folder.",
        ) from exc


def _write_all(args: argparse.Namespace) -> int:
    broker, is_made = find_broker(), args.make_certificates is not None
    subjects = _subjects(args) if is_made else ()
    plan = _plan(args, broker)
    texts = render_broker_files(plan, are_certificates_there=not is_made)
    write = partial(
        write_broker_files,
        texts,
        is_forced=args.force,
        grown=(plan.acl,) if stations_of(plan.acl, args.collector) else (),
    )
    write(is_dry_run=True)  # nothing is made where a file would be refused
    if subjects and not args.dry_run:
        now = datetime.now(UTC)
        made = make_certificates(args.certificates, subjects, days=args.days, now=now)
        _print_certificates(made, args.collector)
    outcomes = write(is_dry_run=args.dry_run)
    for path, outcome in outcomes.items():
        print_line(f"{outcome}: {path}")
        if args.dry_run:
            print(texts[path])
        elif path != plan.config:
            _note(give_to(path, BROKER_USER))
    if not args.dry_run:
        _finish(plan, broker, outcomes)
    return ExitCode.OK


def _plan(args: argparse.Namespace, broker: InstalledBroker | None) -> BrokerPlan:
    folder, tls = args.certificates, None
    if args.make_certificates is not None:
        names = (f"{CA_STEM}.pem", f"{BROKER_STEM}.pem", f"{BROKER_STEM}-key.pem")
        tls = TlsFiles(*(folder / name for name in names))
    elif args.tls:
        tls = TlsFiles(*args.tls)
    is_with_plugin = broker is not None and broker.has_plugins
    return BrokerPlan(
        folder=args.out,
        port=args.port or (TLS_PORT if tls else PLAIN_PORT),
        listen=args.listen,
        data=args.data,
        collector=args.collector,
        tls=tls,
        crl=args.crl,
        acl_plugin=find_acl_plugin() if is_with_plugin else None,
        main=main_file_of(args.out, INCLUDED_NAME),
        stations=_stations(args),
    )


def _stations(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the stations of the access list: those in it, and those given."""
    before = stations_of(args.out / ACL_NAME, args.collector)
    given = [*(args.make_certificates or ()), *args.stations]
    for name in given:
        _refuse_no_station(name)
    names = [name.removesuffix(f"/{AGENT}") for name in given]
    return tuple(dict.fromkeys([*before, *names]))


def _refuse_no_station(name: str) -> None:
    levels = name.removesuffix(f"/{AGENT}").split("/")
    if len(levels) != 3:
        raise ConfigError(
            f"{name}: is not the name of a station.",
            why=f"Expected SITE/LINE/STATION; of its agent SITE/LINE/STATION/{AGENT}.",
            fix="Give the three names of [station] in its edge.toml.",
        )
    StationTopics(*levels)


def _subjects(args: argparse.Namespace) -> tuple[Subject, ...]:
    """Return whom certificates are for.

    Raises:
        ConfigError: The name of a host is not valid.
    """
    own = [socket.gethostname(), *THIS_MACHINE]
    if args.listen not in EVERYWHERE:
        own.append(args.listen)
    hosts = tuple(dict.fromkeys([*args.host, *own]))
    wrong = [
        host for host in hosts if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", host)
    ]
    if wrong or not 1 <= args.days <= 36_500:
        raise ConfigError(
            "The certificates cannot be made.",
            why=f"Not the name of a host: {wrong}." if wrong else "--days is 1..36500.",
            fix="See graftline broker-config --help.",
        )
    names = (args.collector, *dict.fromkeys(args.make_certificates))
    return (Subject(BROKER_STEM, hosts), *map(Subject, names))


def _print_certificates(made: list[CertificateReport], collector: str) -> None:
    """Print what was made, and give each key to the program that uses it.

    The keys of stations elsewhere stay with root: the daemon of this machine has no use
    for them.
    """
    here = station_of_this_machine()
    owners = {BROKER_STEM: BROKER_USER, collector: DASHBOARD_USER}
    owners |= {here: DAEMON_USER, f"{here}/{AGENT}": DAEMON_USER} if here else {}
    for each in made:
        day = each.expires.date().isoformat()
        print_line(f"{each.outcome}: {each.certificate} ({each.name}) until {day}")
        if each.name in owners:
            _note(give_to(each.key, owners[each.name]))
        elif "/" in each.name and each.outcome is not CertificateOutcome.KEPT:
            carried = f"{CA_STEM}.pem, {each.certificate.name}, {each.key.name}"
            print_line(f"  its PC needs {carried}: see docs/how-to/broker.md")


def _finish(
    plan: BrokerPlan, broker: InstalledBroker | None, outcomes: dict[Path, FileOutcome]
) -> None:
    """Let mosquitto test the configuration, and print how it is taken.

    Raises:
        ConfigError: mosquitto refuses it.
    """
    if plan.tls is not None:
        _note(unreadable(plan.tls.key, BROKER_USER))
    if plan.tls is not None and plan.acl_plugin is not None and not plan.stations:
        _note("this mosquitto lets no station in that is not named: give --stations")
    if broker is not None and (fault := fault_of(broker, plan.started)):
        raise ConfigError(
            f"{plan.started}: mosquitto refuses it.",
            why=fault,
            fix="Correct that file, then give this command again.",
        )
    if plan.main is None:
        print_line(f"next: mosquitto -c {plan.config}")
    elif outcomes[plan.config] is FileOutcome.WRITTEN:
        print_line("next: systemctl restart mosquitto")
    else:
        print_line("next: systemctl reload mosquitto")


def _note(text: str) -> None:
    if text:
        print_step(f"note: {text}")
