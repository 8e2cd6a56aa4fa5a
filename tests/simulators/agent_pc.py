"""A workstation with keys, and a line PC that trusts them and has an agent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.agent.agent import Agent
from deploy.agent.installation import Installation
from deploy.flashing import prepared_delivery
from deploy.transports.delivery import FlashOptions, PackageDelivery
from deploy.trust.enrolment import enroll_slot
from deploy.trust.key_changes import NewKeys, make_keys
from deploy.trust.key_repository import KeyRepository
from deploy.trust.release import root_to_carry
from models.files import write_atomically
from models.inbox_files import REQUEST_NAME, FlashRequest
from models.package import Package
from models.slot_files import SlotFolder
from tests.simulators.target import SimTarget, open_passing_installer


@dataclass(frozen=True)
class Workstation:
    """Keys without a passphrase.

    Args:
        keys: The keys.
    """

    keys: KeyRepository

    @classmethod
    def make(cls, folder: Path) -> "Workstation":
        """Make new keys in a folder."""
        return cls(make_keys(NewKeys(folder, secret=b"")))

    def enroll(self, slot: SlotFolder) -> None:
        """Let a slot trust these keys."""
        name = f"local:{slot.root}"
        enroll_slot(slot, root_to_carry(self.keys), target_name=name)

    @contextmanager
    def delivery(self, package: Package) -> Iterator[PackageDelivery]:
        """Yield a signed release of a package."""
        with prepared_delivery(package, self.keys) as delivery:
            yield delivery

    def line_pc(self, root: Path) -> "AgentPc":
        """Return a line PC that trusts these keys."""
        line_pc = AgentPc(root)
        self.enroll(line_pc.slot)
        return line_pc


@dataclass(frozen=True)
class AgentPc(SimTarget):
    """A line PC with an agent whose self-test always passes."""

    @property
    def agent(self) -> Agent:
        """The agent of its slot."""
        return Agent(Installation(self.slot, make_installer=open_passing_installer))

    def bring(
        self, delivery: PackageDelivery, options: FlashOptions | None = None
    ) -> FlashRequest:
        """Put a release into the inbox as a sender does, whole and at once."""
        request = delivery.request(options or FlashOptions())
        inbox = self.agent.inbox.folder
        entry = inbox.partial(request.id)
        (entry / "metadata").mkdir(parents=True)
        inbox.pool.mkdir(exist_ok=True)
        for name in delivery.entry_names():
            (entry / name).write_bytes((delivery.folder / name).read_bytes())
        for sha256 in delivery.sizes():
            (inbox.pool / sha256).write_bytes(delivery.file(sha256).read_bytes())
        write_atomically(entry / REQUEST_NAME, request.model_dump_json().encode())
        entry.rename(inbox.entry(request.id))
        return request
