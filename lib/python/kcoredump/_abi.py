# SPDX-License-Identifier: MIT
"""The C ABI as ctypes sees it: kcoredump.h, struct by struct."""

import contextlib
import ctypes
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_double, c_int, c_int32,
                    c_size_t, c_uint, c_uint8, c_uint32, c_uint64, c_void_p)

PHYSICAL, KERNEL, PROCESS = range(3)
UNKNOWN = 2**64 - 1
UNKNOWN32 = 2**32 - 1
CODES = ("ok", "not-found", "permission", "corrupt", "unsupported", "invalid", "io", "unreadable",
         "limit", "cancelled", "no-memory")


class Error(Exception):
    """`code`: a word of CODES; `errno` and `address`: 0 where there is none."""

    def __init__(self, status, message, system_errno, address):
        super().__init__(message)
        self.code = CODES[-status] if -status < len(CODES) else str(status)
        self.errno = system_errno
        self.address = address


class _Error(Structure):
    _fields_ = [("size", c_size_t), ("code", c_int32), ("system_errno", c_int32),
                ("address", c_uint64), ("message", c_char * 488)]


class Address(Structure):
    _fields_ = [("address", c_uint64), ("space", c_uint32), ("pid", c_uint32)]


class Page(Structure):
    _fields_ = [("outcome", c_uint32), ("system_errno", c_int32)]


class Read(Structure):
    _fields_ = [("size", c_size_t), ("at", Address), ("length", c_uint64), ("out", c_void_p),
                ("pages", POINTER(Page)), ("page_capacity", c_uint64), ("page_count", c_uint64),
                ("hole_pages", c_uint64), ("status", c_int32), ("reserved", c_uint32)]


class Segment(Structure):
    _fields_ = [("size", c_size_t), ("virt", c_uint64), ("phys", c_uint64), ("bytes", c_uint64),
                ("kind", c_char_p)]


class Symbol(Structure):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("module", c_char_p), ("address", c_uint64),
                ("offset", c_uint64), ("bytes", c_uint64), ("type", c_char)]


class Member(Structure):
    _fields_ = [("size", c_size_t), ("bit_offset", c_uint64), ("bytes", c_uint64),
                ("bitfield_bits", c_uint32), ("reserved", c_uint32)]


class Task(Structure):
    _fields_ = [("size", c_size_t), ("address", c_uint64), ("start_ns", c_uint64),
                ("rss_bytes", c_uint64), ("comm", c_char_p), ("command", c_char_p),
                ("pid", c_uint32), ("tgid", c_uint32), ("ppid", c_uint32), ("uid", c_uint32),
                ("cpu", c_uint32), ("threads", c_uint32), ("state", c_char),
                ("kernel_thread", c_uint8)]


class Level(Structure):
    _fields_ = [("size", c_size_t), ("level", c_char_p), ("kind", c_char_p), ("flags", c_char_p),
                ("table", c_uint64), ("index", c_uint64), ("entry_address", c_uint64),
                ("entry", c_uint64)]


class Progress(Structure):
    _fields_ = [("size", c_size_t), ("done_bytes", c_uint64), ("total_bytes", c_uint64),
                ("compressed_bytes", c_uint64), ("hole_pages", c_uint64), ("seconds", c_double),
                ("phase", c_uint32), ("reserved", c_uint32)]


PROGRESS = CFUNCTYPE(None, POINTER(Progress), c_void_p)
EVENT = CFUNCTYPE(None, c_char_p, c_void_p)
CANCELLED = CFUNCTYPE(c_int, c_void_p)


class Range(Structure):
    _fields_ = [("begin", c_uint64), ("end", c_uint64)]


class CaptureOptions(Structure):
    _fields_ = [("size", c_size_t), ("source", c_char_p), ("output", c_char_p),
                ("format", c_char_p), ("codec", c_char_p), ("exclude", c_char_p),
                ("only_ranges", POINTER(Range)), ("only_range_count", c_size_t),
                ("on_progress", PROGRESS), ("on_event", EVENT), ("cancelled", CANCELLED), ("user", c_void_p),
                ("level", c_int32), ("threads", c_uint32), ("force", c_uint32),
                ("only_kernel", c_uint32), ("base", c_char_p), ("smear_pages", c_uint64),
                ("max_bytes_per_second", c_uint64), ("hashes", c_uint32), ("volatile_first", c_uint32)]


lib = ctypes.CDLL("libkcoredump.so.0")

_HANDLE = POINTER(c_void_p)
_FUNCTIONS = {  # what each returns, and takes besides the error at its end
    "kcd_open": [c_char_p, _HANDLE],
    "kcd_open_fd": [c_int, _HANDLE],
    "kcd_open_live": [_HANDLE],
    "kcd_info_json": [c_void_p, _HANDLE],
    "kcd_vmcoreinfo": [c_void_p, _HANDLE],
    "kcd_caveats": [c_void_p, _HANDLE],
    "kcd_segment_get": [c_void_p, c_size_t, POINTER(Segment)],
    "kcd_reader_open": [c_void_p, _HANDLE],
    "kcd_read_pieces": [c_void_p, POINTER(Read), c_size_t],
    "kcd_read_bytes": [c_void_p, Address, c_void_p, c_uint64],
    "kcd_symbols_find": [c_void_p, c_char_p, c_size_t, _HANDLE],
    "kcd_symbols_get": [c_void_p, c_size_t, POINTER(Symbol)],
    "kcd_resolve": [c_void_p, c_char_p, POINTER(Address)],
    "kcd_type_size": [c_void_p, c_char_p, POINTER(c_uint64)],
    "kcd_type_member": [c_void_p, c_char_p, c_char_p, POINTER(Member)],
    "kcd_value_json": [c_void_p, c_char_p, c_uint, _HANDLE],
    "kcd_tasks_list": [c_void_p, c_uint32, _HANDLE],
    "kcd_tasks_get": [c_void_p, c_size_t, POINTER(Task)],
    "kcd_translate": [c_void_p, Address, _HANDLE],
    "kcd_translation_level": [c_void_p, c_size_t, POINTER(Level)],
    "kcd_capture": [POINTER(CaptureOptions), _HANDLE],
}
_PLAIN = {
    "kcd_version": (c_char_p, []),
    "kcd_page_bytes": (c_uint64, [c_void_p]),
    "kcd_segment_count": (c_size_t, [c_void_p]),
    "kcd_symbols_count": (c_size_t, [c_void_p]),
    "kcd_tasks_count": (c_size_t, [c_void_p]),
    "kcd_tasks_incomplete": (c_int, [c_void_p]),
    "kcd_tasks_notes": (c_char_p, [c_void_p]),
    "kcd_translation_level_count": (c_size_t, [c_void_p]),
    "kcd_translation_physical": (c_uint64, [c_void_p]),
    "kcd_translation_page_bytes": (c_uint64, [c_void_p]),
    "kcd_capture_report_status": (c_int, [c_void_p]),
    "kcd_capture_report_output": (c_char_p, [c_void_p]),
    "kcd_capture_report_json": (c_char_p, [c_void_p]),
    **{f"kcd_{what}_free": (None, [c_void_p]) for what in
       ("image", "reader", "symbols", "tasks", "translation", "capture_report", "string")},
}
for _name, _arguments in _FUNCTIONS.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = c_int, [*_arguments, POINTER(_Error)]
for _name, (_result, _arguments) in _PLAIN.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


def sized(kind):
    """A struct with its size set."""
    return kind(size=ctypes.sizeof(kind))


def call(name, *arguments):
    """Call a function; raise what it reports."""
    error = sized(_Error)
    status = getattr(lib, name)(*arguments, byref(error))
    if status != 0:
        message = error.message.decode("utf-8", "backslashreplace")
        raise Error(status, message, error.system_errno, error.address)


@contextlib.contextmanager
def owned(name, free, *arguments):
    """What `name` gives at its end, freed at the block's end."""
    handle = c_void_p()
    call(name, *arguments, byref(handle))
    try:
        yield handle
    finally:
        getattr(lib, free)(handle)


def text(name, *arguments):
    """A text that the library allocated, as bytes; None: it gave none."""
    with owned(name, "kcd_string_free", *arguments) as pointer:
        return ctypes.string_at(pointer.value) if pointer.value else None


def items(handle, kind, count, get):
    """The structs of a list; their strings end with its handle."""
    for index in range(getattr(lib, count)(handle)):
        item = sized(kind)
        call(get, handle, index, byref(item))
        yield item
