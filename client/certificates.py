"""What certificate files say: whose they are, how long they hold, and who may read the keys."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """One file of a context. use: `cacert`, `cert` or `key`.

    error: why it can't be read, "" if it can. not_before, not_after: seconds since the epoch, 0 for keys.
    problem: what does not fit the other files. mode: permissions of a key, 0 for certificates.
    """

    use: str
    path: str
    error: str = ""
    common_name: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    problem: str = ""
    mode: int = 0


def common_name(path: str) -> str:
    """Return the CN of a certificate, which etcd takes for the user; "" if it has none. Raises OSError, ValueError."""
    return _common_name(_load(path))


def inspect_files(ca_file: str, cert_file: str, key_file: str) -> tuple[CertificateFile, ...]:
    """Return what is known of the files that are named; none of it raises."""
    found = []
    if ca_file:
        found.append(_inspect_certificate("cacert", ca_file, ""))
    if cert_file:
        found.append(_inspect_certificate("cert", cert_file, ca_file))
    if key_file:
        found.append(_inspect_key(key_file, cert_file))
    return tuple(found)


def _load(path: str) -> "x509.Certificate":
    from cryptography import x509

    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def _common_name(certificate: "x509.Certificate") -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _inspect_certificate(use: str, path: str, ca_file: str) -> CertificateFile:
    try:
        certificate = _load(path)
    except (OSError, ValueError) as error:
        return CertificateFile(use, path, error=_words(error))
    return CertificateFile(
        use,
        path,
        common_name=_common_name(certificate),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        problem=_issued_by_another(certificate, ca_file) if ca_file else "",
    )


def _issued_by_another(certificate: "x509.Certificate", ca_file: str) -> str:
    """Return what is wrong where no certificate of `ca_file` signed this one; "" also if the CA can't be read."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        authorities = x509.load_pem_x509_certificates(Path(ca_file).read_bytes())
    except (OSError, ValueError):
        return ""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ""
    return f"it was not issued by the CA of {ca_file}"


def _inspect_key(path: str, cert_file: str) -> CertificateFile:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    try:
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        key = load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        return CertificateFile("key", path, error=_words(error))
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        fits = not cert_file or (
            key.public_key().public_bytes(*form) == _load(cert_file).public_key().public_bytes(*form)
        )
    except (OSError, ValueError):
        fits = True  # the certificate's own trouble, told there
    return CertificateFile(
        "key", path, problem="" if fits else f"it is not the key of {cert_file}", mode=mode
    )


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return " ".join(str(error).split())[:200] or type(error).__name__
