"""The image `berth/demo:latest`, made from a static busybox, so that no image registry is needed.

It has busybox with a link for each applet (sh, sleep, httpd, wget, nc, ...), the users root and nobody,
a world-writable /tmp, and a page in /www for `httpd -f -p 8080 -h /www`. The same busybox gives the same bytes.
"""

import hashlib
import io
import json
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import quote

from tools import BUILD
from tools.docker_http import image_labels, request
from tools.errors import DockerError, SetupError

IMAGE = "berth/demo:latest"
REVISION_LABEL = "org.opencontainers.image.revision"  # the hash of the content; not a `berth.` label
PAGE = "<!doctype html>\n<title>Berth</title>\n<h1>Hello from a container that Berth runs</h1>\n"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "www/index.html": PAGE,
}
FOLDERS = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755, "www": 0o755}
PT_INTERP = 3  # elf(5): a program header that names a dynamic loader
UNPACKED = BUILD / "busybox"  # where `tools.setup` unpacks the package


def ensure_demo_image(host: str, busybox: Path | None = None) -> bool:
    """Import the demo image unless the engine has this very one; return True if it was imported."""
    content = image_tar(busybox or require_busybox())
    revision = hashlib.sha256(content).hexdigest()
    if (image_labels(host, IMAGE) or {}).get(REVISION_LABEL) == revision:
        return False
    name, _, tag = IMAGE.partition(":")
    changes = (f"LABEL {REVISION_LABEL}={revision}", "ENV PATH=/bin", 'CMD ["sh"]')
    query = f"fromSrc=-&repo={quote(name)}&tag={tag}" + "".join(f"&changes={quote(line)}" for line in changes)
    _check_progress(request(host, "POST", f"/images/create?{query}", body=content))
    return True


def remove_demo_image(host: str) -> None:
    """Remove the demo image; one that a container still uses stays."""
    try:
        request(host, "DELETE", f"/images/{quote(IMAGE)}")
    except DockerError as error:
        print(f"image {IMAGE} stays: {error}")


def _check_progress(answer: bytes) -> None:
    """Raise if the engine reported an error in its stream of progress, which comes with status 200."""
    for line in answer.splitlines():
        if line.strip() and "error" in json.loads(line):
            raise DockerError(f"can't import {IMAGE}: {json.loads(line)['error']}")


def image_tar(busybox: Path) -> bytes:
    """Return the file system of the image as a tar; the same busybox gives the same bytes."""
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return build_tar(busybox.read_bytes(), applets)


def build_tar(busybox: bytes, applets: list[str]) -> bytes:
    """Return the tar of the image, given the program and the names that it answers to. Pure."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder, mode in sorted(FOLDERS.items()):
            archive.addfile(_entry(folder, mode, tarfile.DIRTYPE))
        _add_file(archive, "bin/busybox", busybox, mode=0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            link = _entry(f"bin/{applet}", 0o777, tarfile.SYMTYPE)
            link.linkname = "busybox"
            archive.addfile(link)
        for path, text in sorted(FILES.items()):
            _add_file(archive, path, text.encode(), mode=0o644)
    return buffer.getvalue()


def _entry(path: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    """A member without times and owners of the build machine: TarInfo's own defaults are 0 and root."""
    entry = tarfile.TarInfo(path)
    entry.mode, entry.type = mode, kind
    return entry


def _add_file(archive: tarfile.TarFile, path: str, content: bytes, *, mode: int) -> None:
    entry = _entry(path, mode, tarfile.REGTYPE)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def require_busybox() -> Path:
    """Return a static busybox, or say how to get one."""
    found = find_busybox()
    if found is None:
        raise SetupError("no static busybox found; run: make setup (or install the package busybox-static)")
    return found


def find_busybox() -> Path | None:
    """Return a static busybox: the one that set-up unpacked, or the system's."""
    system = shutil.which("busybox")
    candidates = [UNPACKED / "bin/busybox", UNPACKED / "usr/bin/busybox", *([Path(system)] if system else [])]
    return next((path for path in candidates if path.is_file() and is_static(path.read_bytes())), None)


def is_static(program: bytes) -> bool:
    """The bytes are a 64-bit little-endian ELF program that needs no dynamic loader."""
    if program[:6] != b"\x7fELF\x02\x01":
        return False
    (offset,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, offset + size * index)[0] for index in range(count)]
    return PT_INTERP not in kinds
