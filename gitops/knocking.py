"""What is wrong with the certificate of a server, asked once git could not verify it: git does not always say."""

import socket
import ssl
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
HTTPS_PORT = 443
_EXPIRED, _NOT_YET, _OTHER_NAMES = 10, 9, (62, 64)  # OpenSSL's X509_V_ERR_...: host name, address


def certificate_trouble(url: str, ca_file: str) -> str:
    """Return a sentence, empty where nothing is wrong or nobody answers. ca_file: empty for those of this host."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or HTTPS_PORT)
    context = ssl.create_default_context(cafile=ca_file or None)
    try:
        with (
            socket.create_connection(address, TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=address[0]),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {parts.netloc} {_told(error, ca_file)}"
    except OSError:
        return ""


def _told(error: ssl.SSLCertVerificationError, ca_file: str) -> str:
    if error.verify_code == _EXPIRED:
        return "has expired; its owner has to renew it"
    if error.verify_code == _NOT_YET:
        return "is not valid yet; is a clock wrong?"
    if error.verify_code in _OTHER_NAMES:
        return f"is for another name ({error.verify_message.rstrip('.')}); use the name that it is for in spec.url"
    if ca_file:
        return "is not from the authority in ca.crt of the Secret; put the certificate of its authority there"
    return (
        "is from an authority that the leading controller's host does not trust; put the certificate of that authority "
        "into a Secret as ca.crt, and name it in spec.credentials"
    )


def is_authority(content: bytes) -> bool:
    """Say whether there are certificates in PEM form."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True
