"""An authority that signs, lets expire and revokes certificates."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Keeps its certificate, those it signed and its list of revoked ones in a folder.

    Args:
        folder: Where; it is made. Its name is the authority's.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.certificate_file, self.crl_file = folder / "ca.pem", folder / "crl.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(folder.name)
        self._revoked: list[int] = []
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        self.certificate_file.write_bytes(_pem(certificate))
        self.write_crl()

    def issue(
        self,
        name: str,
        *,
        is_expired: bool = False,
        days_left: int = 100,
        is_revoked: bool = False,
        hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
    ) -> tuple[Path, Path]:
        """Return files of a certificate and its key.

        Args:
            name: Common name; slashes are allowed.
            is_expired: It was valid until yesterday.
            days_left: Until it expires, else.
            is_revoked: It is on the authority's list, which is written again.
            hosts: Addresses and names that it is good for.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now, serial = datetime.now(UTC), x509.random_serial_number()
        builder = (
            x509.CertificateBuilder(self._name, _name(name), key.public_key())
            .serial_number(serial)
            .not_valid_before(now - 5 * DAY)
            .not_valid_after(now - DAY if is_expired else now + days_left * DAY)
            .add_extension(x509.SubjectAlternativeName(map(_host, hosts)), False)
        )
        stem = f"{name.replace('/', '.')}-{serial % 10_000}"
        certificate_file = self.folder / f"{stem}.pem"
        key_file = self.folder / f"{stem}.key"
        signed = builder.sign(self._key, hashes.SHA256())
        certificate_file.write_bytes(_pem(signed))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        if is_revoked:
            self._revoked.append(serial)
            self.write_crl()
        return certificate_file, key_file

    def write_crl(self) -> None:
        """Write the list of revoked certificates."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(
            self._name, now - DAY, now + DAY
        )
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder(serial, now - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(self._key, hashes.SHA256())
        self.crl_file.write_bytes(crl.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
