# SPDX-License-Identifier: MIT
"""An image of any format in drgn (package python3-drgn), without unpacking or converting it."""

import os
import struct

import drgn

from . import Error, Physical, open as open_image

_MASK = 2**64 - 1
_MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine, by our names
_ARCHITECTURES = {62: drgn.Architecture.X86_64, 183: drgn.Architecture.AARCH64}


class _Memory:
    """drgn's way into an image. drgn may call from any thread, and Image allows that."""

    def __init__(self, image):
        self.image = image

    def physical(self, address, count, _offset, _physical):
        return self._read(Physical(address), address, count)

    def virtual(self, address, count, _offset, _physical):
        return self._read(address, address, count)

    def _read(self, where, address, count):
        try:
            return self.image.read(where, count)
        except Error as error:
            raise drgn.FaultError(str(error), error.address or address) from None


def _core_with(vmcoreinfo, machine):
    """An ELF core of one note and no memory."""
    owner = b"VMCOREINFO\0\0"
    note = struct.pack("<III", 11, len(vmcoreinfo), 0) + owner + vmcoreinfo + bytes(-len(vmcoreinfo) % 4)
    ident = b"\x7fELF\2\1\1" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 4, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), 0, 4) + note


def _program_with(vmcoreinfo, machine):
    """drgn learns VMCOREINFO, and with it KASLR and where the kernel is, only from a core (drgn
    0.0.22 of Debian 12), so it gets one, which vanishes once drgn has opened it. Without
    VMCOREINFO nothing tells drgn that this is a kernel, and memory is all there is."""
    if not vmcoreinfo:
        return drgn.Program(drgn.Platform(_ARCHITECTURES[machine]))
    made = drgn.Program()
    fd = os.memfd_create("vmcoreinfo", os.MFD_CLOEXEC)
    try:
        os.write(fd, _core_with(vmcoreinfo, machine))
        made.set_core_dump(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return made


def program(path=None):
    """A drgn.Program on an image (default: the live kernel). Bytes can be read at once; types and
    helpers want the kernel's debuginfo: program.load_debug_info([vmlinux]). Kernel addresses are
    translated by kcoredump, so modules and vmalloc space are there, too. The image lives as long as
    the program. Exception, drgn's own: a VMCOREINFO that lacks what drgn needs."""
    image = open_image(path)
    architecture = image.info()["architecture"]
    if architecture not in _MACHINES:
        raise ValueError(f"drgn's memory segments are not made for {architecture}")
    made = _program_with(image.vmcoreinfo(), _MACHINES[architecture])
    memory = _Memory(image)
    made.add_memory_segment(0, _MASK, memory.physical, True)
    made.add_memory_segment(0, _MASK, memory.virtual, False)
    return made
