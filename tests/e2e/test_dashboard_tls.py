"""The page for a network: it needs users, and speaks TLS."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboard.web.connections import REQUEST_LIMIT_S
from tests.command import REPOSITORY
from tests.simulators.broker import free_port
from tests.simulators.certificates import Authority
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PASSWORD = "correct horse battery"
LIMIT_S = 60.0


def graftline(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "graftline", *arguments]


def test_page_for_a_network_needs_users_and_serves_them_over_tls(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("dashboard")
    port = free_port()
    config = tmp_path / "dashboard.toml"
    config.write_text(
        f'[broker]\nport = 1\n[server]\nhost = "0.0.0.0"\nport = {port}\n'
        f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    )
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    command = graftline("dashboard", "--config", config)
    refused = subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert refused.returncode == 3
    assert "the page has no users yet" in refused.stderr
    assert "graftline dashboard-user add" in refused.stderr
    words = ("dashboard-user", "add", "ann", "--role", "admin", "--config", config)
    added = graftline(*words, "--password-file", tmp_path / "password")
    subprocess.run(added, cwd=REPOSITORY, check=True, timeout=LIMIT_S)
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=output, stderr=output
        )
    try:
        until(lambda: "dashboard: https" in log.read_text(), "it is up", LIMIT_S)
        assert f"dashboard: https://0.0.0.0:{port}/\n" in log.read_text()
        assert "warning" not in log.read_text()
        log_in_over_tls(authority, port)
        refuse_what_is_no_tls(port)
        close_who_never_begins(port)
    finally:
        process.terminate()
        process.wait(LIMIT_S)
    assert "Traceback" not in log.read_text()


def log_in_over_tls(authority: Authority, port: int) -> None:
    context = ssl.create_default_context(cafile=authority.certificate_file)
    page = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    body = json.dumps({"name": "ann", "password": PASSWORD})
    headers = {"content-type": "application/json"}
    page.request("POST", "/api/login", body, headers)
    answer = page.getresponse()
    answer.read()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-graftline_{port}=")
    assert "; Secure" in cookie
    page.request("GET", "/api/summary", headers={"cookie": cookie.split(";")[0]})
    assert page.getresponse().status == 200
    page.close()


def refuse_what_is_no_tls(port: int) -> None:
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    page.request("GET", "/healthz")
    with pytest.raises((http.client.HTTPException, OSError)):
        page.getresponse()
    page.close()


def close_who_never_begins(port: int) -> None:
    """No protocol sees a client whose TLS never begins, but it takes a file too."""
    started_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.settimeout(REQUEST_LIMIT_S + 15)
        assert silent.recv(1) == b""
    assert time.monotonic() - started_s < REQUEST_LIMIT_S + 10
