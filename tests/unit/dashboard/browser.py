"""A browser without a page: it keeps cookies and sends what a script would send."""

from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.access.roles import Role
from dashboard.access.secrets import csrf_token
from dashboard.access.users import add_user
from tests.unit.dashboard.asgi import Answer, get, post_json
from tests.unit.dashboard.sim_site import SimSite

PASSWORD = "correct horse battery"


@dataclass
class SimBrowser:
    """Keeps the cookies of one site.

    Attributes:
        address: IP address that its requests come from.
        scheme: As the page's address has it.
    """

    app: ASGIApp
    address: str = "192.0.2.7"
    scheme: str = "http"
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def session(self) -> str:
        """The secret of its session; empty = it has none."""
        return next(
            (value for name, value in self.cookies.items() if "graftline" in name), ""
        )

    def open(self, url: str, **headers: str) -> Answer:
        """Open a page."""
        names = {"accept": "text/html", **headers}
        return self._kept(get(self._app, url, headers=self._sent(names)))

    def read(self, url: str) -> Answer:
        """Read JSON, as a script does."""
        return self._kept(get(self._app, url, headers=self._sent({})))

    def post(self, url: str, content: object, **headers: str) -> Answer:
        """Send JSON with the CSRF token, unless the headers have another one."""
        token = {"x-csrf-token": csrf_token(self.session)} if self.session else {}
        names = self._sent(
            {**token, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        return self._kept(post_json(self._app, url, content, headers=names))

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        """Send name and password."""
        return self.post("/api/login", {"name": name, "password": password})

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.update(client=(self.address, 1), scheme=self.scheme)
        await self.app(scope, receive, send)

    def _sent(self, headers: dict[str, str]) -> dict[str, str]:
        if not self.cookies:
            return headers
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"cookie": pairs, **headers}

    def _kept(self, answer: Answer) -> Answer:
        for name, morsel in SimpleCookie(answer.headers.get("set-cookie", "")).items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return answer


def add_users(site: SimSite, **roles: Role) -> None:
    """Add users by name, all with ``PASSWORD``; the first one must be an admin."""
    for name, role in roles.items():
        hashed = site.passwords.hash(PASSWORD)
        with site.database.write() as connection:
            add_user(connection, "test", name, role, hashed)


def logged_in(site: SimSite, name: str) -> SimBrowser:
    """Return a browser in which a user is logged in."""
    browser = SimBrowser(site.bare_app)
    assert browser.log_in(name).status == 200
    return browser
