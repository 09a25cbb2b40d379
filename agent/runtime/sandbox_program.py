"""The program of a sandbox container, and the image around it: a few instructions that wait for SIGTERM. Pure.

A sandbox needs an image from no registry, and a host may have no compiler and no static shell. So the program is
here, instruction by instruction: it blocks SIGTERM and SIGINT (as process 1 it would not get them otherwise), waits
for one of them, and ends.
"""

import io
import struct
import tarfile

PROGRAM = "sandbox"  # its path in the image

_X86_64 = """
    b8 0e 00 00 00          mov eax, 14             ; rt_sigprocmask(
    31 ff                   xor edi, edi            ;   SIG_BLOCK,
    48 8d 35 32 00 00 00    lea rsi, [rip + set]    ;   &set,
    31 d2                   xor edx, edx            ;   0,
    41 ba 08 00 00 00       mov r10d, 8             ;   8)
    0f 05                   syscall
    b8 80 00 00 00    wait: mov eax, 128            ; rt_sigtimedwait(
    48 8d 3d 1c 00 00 00    lea rdi, [rip + set]    ;   &set,
    31 f6                   xor esi, esi            ;   0,
    31 d2                   xor edx, edx            ;   0,
    41 ba 08 00 00 00       mov r10d, 8             ;   8)
    0f 05                   syscall
    85 c0                   test eax, eax
    78 e4                   js wait                 ; interrupted
    b8 e7 00 00 00          mov eax, 231            ; exit_group(
    31 ff                   xor edi, edi            ;   0)
    0f 05                   syscall
    00 00 00                                        ; up to a multiple of 8
    02 40 00 00 00 00 00 00 set: .quad 1<<1 | 1<<14 ; SIGINT, SIGTERM
"""
_AARCH64 = """
    00 00 80 d2             mov x0, 0               ; rt_sigprocmask(SIG_BLOCK,
    e1 01 00 10             adr x1, set             ;   &set,
    02 00 80 d2             mov x2, 0               ;   0,
    03 01 80 d2             mov x3, 8               ;   8)
    e8 10 80 d2             mov x8, 135
    01 00 00 d4             svc 0
    40 01 00 10       wait: adr x0, set             ; rt_sigtimedwait(&set,
    01 00 80 d2             mov x1, 0               ;   0,
    02 00 80 d2             mov x2, 0               ;   0,
    03 01 80 d2             mov x3, 8               ;   8)
    28 11 80 d2             mov x8, 137
    01 00 00 d4             svc 0
    40 ff ff 37             tbnz w0, 31, wait       ; interrupted
    00 00 80 d2             mov x0, 0               ; exit_group(0)
    c8 0b 80 d2             mov x8, 94
    01 00 00 d4             svc 0
    02 40 00 00 00 00 00 00 set: .quad 1<<1 | 1<<14 ; SIGINT, SIGTERM
"""
_MACHINES = {"amd64": (62, _X86_64), "arm64": (183, _AARCH64)}  # Docker's names -> e_machine of ELF, code
_CODE_COLUMNS = slice(4, 28)
_BASE = 0x400000  # where the file is mapped; a multiple of any page size
_EHDR, _PHDR = "<16sHHIQQQIHHHHHH", "<IIQQQQQQ"  # elf(5)


def supports(architecture: str) -> bool:
    """Say whether there is a program for an engine of that architecture (`amd64`, `arm64`)."""
    return architecture in _MACHINES


def program(architecture: str) -> bytes:
    """Return the static ELF file. Raises KeyError for an architecture that `supports` denies."""
    machine, listing = _MACHINES[architecture]
    code = b"".join(_bytes_of(line) for line in listing.strip("\n").splitlines())
    offset = struct.calcsize(_EHDR) + struct.calcsize(_PHDR)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, little endian, version 1
    head = (ident, 2, machine, 1, _BASE + offset, struct.calcsize(_EHDR), 0, 0)
    sizes = (struct.calcsize(_EHDR), struct.calcsize(_PHDR), 1, 0, 0, 0)
    size = offset + len(code)
    segment = (1, 5, 0, _BASE, _BASE, size, size, 0x10000)  # PT_LOAD, readable and executable
    return struct.pack(_EHDR, *head, *sizes) + struct.pack(_PHDR, *segment) + code


def _bytes_of(line: str) -> bytes:
    """Return the code of one line of a listing, which stands in its first columns."""
    return bytes.fromhex(line[_CODE_COLUMNS].split("wait")[0])


def image_tar(architecture: str) -> bytes:
    """Return the image's file system: one file."""
    content = program(architecture)
    info = tarfile.TarInfo(PROGRAM)
    info.size, info.mode = len(content), 0o755
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
