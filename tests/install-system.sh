#!/usr/bin/env bash
# Installs what the tests need: a real broker, a real browser, what makes system calls
# fail, the library of GigE Vision cameras with its bindings, an ssh server and client, the
# tool that measures what a systemd unit may do, a broker that can be a cluster, and what
# makes a fresh Debian.
#
# Where it may not (no Debian, neither root nor sudo without a password, no
# network) it says loudly which groups of tests will be left out, and goes on.
set -euo pipefail

has() { PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1" >/dev/null; }
has_mosquitto() { has mosquitto; }
has_strace() { has strace; }
has_systemd_analyze() { has systemd-analyze; }
has_openssh_server() { has sshd; }
has_openssh_client() { has ssh && has sftp; }
has_debootstrap() { has debootstrap; }
has_postgresql() { has initdb || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; }
has_nats_server() { has nats-server; }
has_chromium() { has chromium || has chromium-browser || has google-chrome; }

as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi

may_install() {
    has apt-get && "${as_root[@]}" true 2>/dev/null
}

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq \
        -o Acquire::Retries=2 -o Acquire::http::Timeout=30 \
        -o DPkg::Lock::Timeout=120 "$@" >/dev/null
}

# Debian starts mosquitto, sshd and others as services. The tests start their own, and a server
# that nobody asked for must not stay on the machine.
stop_service() {
    if has systemctl; then
        "${as_root[@]}" systemctl disable --now "$1" >/dev/null 2>&1 || true
    elif has service; then
        "${as_root[@]}" service "$1" stop >/dev/null 2>&1 || true
    fi
}

has_package() { dpkg-query --show --showformat '${Status}' "$1" 2>/dev/null | grep -q ' installed$'; }

missing() {
    local program package
    for program in mosquitto chromium strace systemd-analyze openssh-server \
        openssh-client debootstrap postgresql nats-server; do
        "has_${program//-/_}" || echo "$program"
    done
    for package in gir1.2-aravis-0.8 python3-gi; do
        has_package "$package" || echo "$package"
    done
}

before=$(missing)
[ -n "$before" ] || exit 0
if may_install; then
    echo "make test: installing" $before "with apt-get" >&2
    apt update || true # an old list may still be good enough
    for program in $before; do
        # systemd is installed for its analysis only; in a container it never runs.
        apt install --yes --no-install-recommends "${program/systemd-analyze/systemd}" ||
            true
    done
    case $before in *mosquitto*) stop_service mosquitto ;; esac
    case $before in *openssh-server*) stop_service ssh ;; esac
    case $before in *postgresql*) stop_service postgresql ;; esac
    case $before in *nats-server*) stop_service nats-server ;; esac
fi

after=$(missing)
[ -n "$after" ] || exit 0
{
    echo "================================================================"
    echo "make test: could not install:" $after
    for program in $after; do
        case $program in
        mosquitto) echo "  LEFT OUT: delivery, history and the whole line (broker)" ;;
        strace) echo "  LEFT OUT: disks that fail, kill -9 at every call of a write" ;;
        chromium) echo "  LEFT OUT: the dashboard in a real browser" ;;
        gir1.2-aravis-0.8 | python3-gi) echo "  LEFT OUT: GigE Vision cameras ($program)" ;;
        debootstrap) echo "  LEFT OUT: a line PC in a fresh Debian" ;;
        openssh-*) echo "  LEFT OUT: flashing over ssh ($program)" ;;
        postgresql) echo "  LEFT OUT: a history in PostgreSQL" ;;
        nats-server) echo "  LEFT OUT: several collectors on an MQTT cluster" ;;
        systemd-analyze) echo "  LEFT OUT: what the service may do (systemd unit)" ;;
        esac
    done
    echo "  Fix: apt install" ${after/systemd-analyze/systemd}
    echo "================================================================"
} >&2
