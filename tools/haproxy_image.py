"""The image `berth/haproxy:latest`: the demo image, and Debian's HAProxy with the libraries that it loads.

python -m tools.haproxy_image [DOCKER_HOST]      make it; for: berth apply -f manifests/load-balancer
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import quote

from tools.docker_http import request
from tools.errors import SetupError, ToolError
from tools.image import image_tar, require_busybox

IMAGE = "berth/haproxy:latest"
DEFAULT_HOST = "unix:///var/run/docker.sock"
PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))


def ensure_haproxy_image(host: str) -> None:
    """Import the image into an engine. Raises ToolError."""
    content = image_content(require_busybox(), require_haproxy())
    name, _, tag = IMAGE.partition(":")
    query = f"fromSrc=-&repo={quote(name)}&tag={tag}&changes={quote('ENV PATH=/bin:/sbin')}"
    answer = request(host, "POST", f"/images/create?{query}", body=content)
    if b'"error"' in answer:
        raise SetupError(f"can't import {IMAGE}: {answer.decode(errors='replace')}")


def require_haproxy() -> Path:
    """Return HAProxy, or say how to get it."""
    found = shutil.which("haproxy", path=PLACES)
    if found is None:
        raise SetupError("haproxy is not installed; run: make setup (or install the package haproxy)")
    return Path(found)


def image_content(busybox: Path, haproxy: Path) -> bytes:
    """Return the file system of the image as a tar."""
    buffer = io.BytesIO(image_tar(busybox))
    with tarfile.open(fileobj=buffer, mode="a", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "sbin/haproxy", haproxy)
        for library in libraries_of(haproxy):
            _add(archive, library.lstrip("/"), Path(library))
    return buffer.getvalue()


def libraries_of(program: Path) -> list[str]:
    """Return the paths of what the loader needs for a program, the loader itself included."""
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def _add(archive: tarfile.TarFile, name: str, source: Path) -> None:
    content = source.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(content)
    archive.addfile(entry, io.BytesIO(content))


def main(arguments: list[str]) -> int:
    """Run the command line."""
    ensure_haproxy_image(arguments[0] if arguments else os.environ.get("DOCKER_HOST", DEFAULT_HOST))
    print(f"made the image {IMAGE}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolError as error:
        sys.exit(f"error: {error}")
