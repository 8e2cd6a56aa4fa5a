"""Finds out who sends a request, and starts and ends sessions.

Without users, who started the dashboard is its only user: its token of the first run is
printed at the start, and opens the page on this machine only. The first user that is
added ends that.
"""

import hmac
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from dashboard.access import audit
from dashboard.access.backoff import LoginAttempt, LoginBackoff
from dashboard.access.passwords import Passwords, TooManyLoginsError, check_new_password
from dashboard.access.roles import Role, User
from dashboard.access.secrets import (
    SECRET_MAX_CHARS,
    csrf_token,
    digest_of,
    new_secret,
)
from dashboard.access.sessions import (
    LONGEST_KIOSK_MS,
    LONGEST_MS,
    Client,
    Owner,
    Session,
    end_session,
    end_sessions_of,
    find_session,
    note_session_use,
    sessions_of,
    start_session,
)
from dashboard.access.tokens import (
    TokenKind,
    find_token,
    is_note_due,
    note_token_use,
)
from dashboard.access.users import (
    LOCAL,
    Account,
    find_user,
    has_users,
    replace_hash,
    role_of,
    set_password,
)
from dashboard.config import ServerSettings
from dashboard.history.database import Database
from dashboard.status import now_ms
from models.errors import ConfigError
from models.shown_text import on_one_line

MS_PER_HOUR: Final = 3600 * 1000
NAME_SHOWN_CHARS: Final = 64  # of a name that is typed at the login
FIRST_RUN: Final = Owner()

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows.

    Attributes:
        cookie: Secret of a session; empty = none.
        bearer: Secret of a token in the header; empty = none.
    """

    cookie: str = ""
    bearer: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request, and how that is known.

    Attributes:
        owner: Whose session it is; None for a token in the header.
        session: Digest of the session; empty for a token in the header.
        csrf: What changes must send back; empty for a token in the header.
    """

    user: User
    owner: Owner | None = None
    session: str = ""
    csrf: str = ""

    @property
    def has_password(self) -> bool:
        """Whether it is a person with a password."""
        return self.owner is not None and self.owner.user_id is not None


@dataclass(frozen=True, slots=True)
class LoginResult:
    """What became of a login.

    Attributes:
        cookie: Secret of the new session; empty = name or password is wrong, or
            it was not checked.
        wait_s: For how long nothing is checked, after wrong passwords.
    """

    cookie: str = ""
    wait_s: float = 0.0


class Logins:
    """Knows who sends a request; from any thread.

    Args:
        clock_ms: Wall clock, milliseconds since 1970, UTC.

    Attributes:
        first_run_token: Opens the page while there are no users. It is made at each
            start and never kept.
    """

    def __init__(
        self,
        database: Database,
        server: ServerSettings,
        passwords: Passwords | None = None,
        backoff: LoginBackoff | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._database, self._server, self._now_ms = database, server, clock_ms
        self.passwords = passwords or Passwords()
        self._backoff = backoff or LoginBackoff()
        self._idle_ms = int(server.session_hours * MS_PER_HOUR)
        self.first_run_token = new_secret()
        self._first_run_digest = digest_of(self.first_run_token)

    def is_first_run(self) -> bool:
        """Return whether the token of the first run opens the page."""
        if not self._server.is_loopback:
            return False
        with self._database.read() as connection:
            return not has_users(connection)

    def identify(self, credentials: Credentials) -> Identity | None:
        """Return who sent a request; None = somebody unknown.

        A token in the header counts before a cookie.
        """
        if max(len(credentials.bearer), len(credentials.cookie)) > SECRET_MAX_CHARS:
            return None
        if credentials.bearer:
            return self._by_bearer(credentials.bearer)
        return self._by_cookie(credentials.cookie) if credentials.cookie else None

    def _by_bearer(self, secret: str) -> Identity | None:
        if self._is_first_run_token(secret):
            return Identity(_local()) if self.is_first_run() else None
        at_ms = self._now_ms()
        with self._database.read() as connection:
            token = find_token(connection, secret, at_ms)
        if token is None:
            return None
        if is_note_due(token.used_ms, at_ms):
            self._note(lambda each: note_token_use(each, token.id, at_ms))
        return Identity(_user_of_token(token.name, token.role))

    def _by_cookie(self, cookie: str) -> Identity | None:
        at_ms = self._now_ms()
        with self._database.read() as connection:
            session = find_session(connection, cookie, at_ms, self._idle_ms)
            if session is None:
                return None
            is_local = session.owner == FIRST_RUN
            if is_local and (not self._server.is_loopback or has_users(connection)):
                return None
        if is_note_due(session.used_ms, at_ms):
            self._note(lambda each: note_session_use(each, session.digest, at_ms))
        user = _user_of_session(session)
        return Identity(user, session.owner, session.digest, csrf_token(cookie))

    def enter_first_run(self, secret: str, client: Client, cookie: str) -> str:
        """Return the cookie of a session that the token of the first run opens.

        Args:
            secret: From the URL.
            cookie: The one that the request had; its session ends.

        Returns:
            Empty = it is not that token, or there are users.
        """
        if not self._is_first_run_token(secret) or not self.is_first_run():
            return ""
        at_ms = self._now_ms()
        with self._database.write() as connection:
            end_session(connection, digest_of(cookie))
            audit.append(connection, LOCAL, "session.start", LOCAL, _origin(client))
            expires_ms = at_ms + LONGEST_MS
            return start_session(connection, FIRST_RUN, client, at_ms, expires_ms)

    def enter_kiosk(self, secret: str, client: Client, cookie: str) -> str:
        """Return the cookie of a session that a kiosk token opens; empty = none."""
        at_ms = self._now_ms()
        with self._database.read() as connection:  # strangers must not wait for writers
            token = find_token(connection, secret, at_ms)
        if token is None or token.kind is not TokenKind.KIOSK:
            return ""
        with self._database.write() as connection:
            end_session(connection, digest_of(cookie))
            note_token_use(connection, token.id, at_ms)
            user = _user_of_token(token.name, token.role).name
            audit.append(connection, user, "session.start", user, _origin(client))
            longest_ms = at_ms + LONGEST_KIOSK_MS
            expires_ms = min(token.expires_ms or longest_ms, longest_ms)
            owner = Owner(token_id=token.id)
            return start_session(connection, owner, client, at_ms, expires_ms)

    def log_in(
        self, name: str, password: str, client: Client, cookie: str
    ) -> LoginResult:
        """Check a password and start a session.

        The work and the answer are the same whether there is such a user or not.

        Args:
            cookie: The one that the request had; its session ends.

        Raises:
            TooManyLoginsError: Too many passwords are being checked.
        """
        attempt = LoginAttempt(
            name.strip().lower()[:NAME_SHOWN_CHARS], _counted(client.address)
        )
        if wait_s := self._backoff.begin(attempt):
            return LoginResult(wait_s=wait_s)
        with self._database.read() as connection:
            account = find_user(connection, name)
        if not self._is_right(attempt, account, password) or account is None:
            self._note_refusal(attempt, client)
            return LoginResult()
        return LoginResult(self._start(account, password, client, cookie))

    def _is_right(
        self, attempt: LoginAttempt, account: Account | None, password: str
    ) -> bool:
        try:
            hashed = account.password if account else None
            is_right = self.passwords.verify(hashed, password)
        except TooManyLoginsError:
            self._backoff.cancel(attempt)
            raise
        if is_right:
            self._backoff.succeed(attempt)
        return is_right

    def _start(
        self, account: Account, password: str, client: Client, cookie: str
    ) -> str:
        is_outdated = self.passwords.is_outdated(account.password)
        new_hash = self.passwords.hash(password) if is_outdated else ""
        at_ms = self._now_ms()
        with self._database.write() as connection:
            now = find_user(connection, account.name)
            if now is None or (now.id, now.password) != (account.id, account.password):
                return ""  # removed, or another password since it was checked
            if new_hash:
                replace_hash(connection, account, new_hash)
            end_session(connection, digest_of(cookie))
            name = account.name
            audit.append(connection, name, "session.start", name, _origin(client))
            owner = Owner(user_id=account.id)
            expires_ms = at_ms + LONGEST_MS
            return start_session(connection, owner, client, at_ms, expires_ms)

    def log_out(self, identity: Identity, *, everywhere: bool) -> None:
        """End the session of a request, or all sessions of its user."""
        with self._database.write() as connection:
            if everywhere and identity.owner and identity.owner.token_id is None:
                end_sessions_of(connection, identity.owner)
            end_session(connection, identity.session)
            name, details = identity.user.name, {"everywhere": everywhere}
            audit.append(connection, name, "session.end", name, details)

    def change_password(
        self, identity: Identity, old: str, new: str, client: Client
    ) -> LoginResult:
        """Change the password of who asks for it; the other sessions end.

        Wrong passwords count as those of a login: who has stolen a session could else
        guess here.

        Returns:
            ``cookie`` is that of a new session, which replaces that of the request.

        Raises:
            ConfigError: The new password is not accepted.
            TooManyLoginsError: Too many passwords are being checked.
        """
        name = identity.user.name
        check_new_password(name, new)
        attempt = LoginAttempt(name, _counted(client.address))
        if wait_s := self._backoff.begin(attempt):
            return LoginResult(wait_s=wait_s)
        with self._database.read() as connection:
            account = find_user(connection, name)
        if account is None or not self._is_right(attempt, account, old):
            self._note_refusal(attempt, client)
            return LoginResult()
        new_hash, at_ms = self.passwords.hash(new), self._now_ms()
        owner, expires_ms = Owner(user_id=account.id), at_ms + LONGEST_MS
        with self._database.write() as connection:
            now = find_user(connection, name)
            if now is None or (now.id, now.password) != (account.id, account.password):
                return LoginResult()  # removed, or another password since the check
            open_sessions = sessions_of(connection, owner, at_ms)
            if identity.session not in {each.digest for each in open_sessions}:
                return LoginResult()  # logged out since the check
            set_password(connection, name, name, new_hash)
            return LoginResult(
                start_session(connection, owner, client, at_ms, expires_ms)
            )

    def _note_refusal(self, attempt: LoginAttempt, client: Client) -> None:
        name = on_one_line(attempt.name)
        logger.warning("login_refused user=%s address=%s", name, client.address)
        with self._database.write() as connection:
            audit.append(connection, "", "session.refuse", name, _origin(client))

    def _note(self, change: Callable[[Connection], None]) -> None:
        """Write down a use; a full disk must not close the page."""
        try:
            with self._database.write() as connection:
                change(connection)
        except SQLAlchemyError:
            return

    def _is_first_run_token(self, secret: str) -> bool:
        return hmac.compare_digest(digest_of(secret), self._first_run_digest)


def require_users(database: Database, server: ServerSettings) -> None:
    """Refuse to open the page to a network without users.

    Raises:
        ConfigError: There are none, and others can reach the page.
    """
    with database.read() as connection:
        if server.is_loopback or has_users(connection):
            return
    raise ConfigError(
        f"[server] host = {server.host}: the page has no users yet.",
        why="Every computer in the network could open it.",
        fix="Add one with: graftline dashboard-user add NAME --role admin --config "
        "FILE. Or keep the page on this machine: host = 127.0.0.1.",
    )


def _counted(address: str) -> str:
    """Return the address that failures are counted by; empty = none.

    Behind a reverse proxy on this machine, all clients come from there.
    """
    try:
        return "" if ipaddress.ip_address(address).is_loopback else address
    except ValueError:
        return address


def _origin(client: Client) -> dict[str, str]:
    return {"address": client.address}


def _local() -> User:
    return User(LOCAL, Role.ADMIN)


def _user_of_token(name: str, role: Role) -> User:
    # No user's name has a space: the two cannot be confused.
    return User(f"token {name}", role)


def _user_of_session(session: Session) -> User:
    if session.owner == FIRST_RUN:
        return _local()
    role = role_of(session.role)
    if session.owner.token_id is not None:
        return _user_of_token(session.name, role)
    return User(session.name, role)
