# SPDX-License-Identifier: MIT
"""Memory of live and dead Linux kernels, over the C ABI of libkcoredump.so.0.

    with kcoredump.open("web1.elf.zst") as image:
        print(image.symbol("jiffies"), image.read("jiffies", 8))
        for task in image.tasks():
            print(task.pid, task.comm)

Addresses are an int (kernel virtual), a Physical or Process, or a text as on the command line
("init_task+0x10", "phys:0x1000", "pid:1:0x7ffc…"). Any thread may use an Image. Errors are
kcoredump.Error, with `code`, `errno` and `address`.
"""

import contextlib
import ctypes
import json
import os
import threading
import weakref
from typing import NamedTuple, Optional

from . import _abi
from ._abi import Error

OK, ZERO, EXCLUDED, UNREADABLE, POISONED, OFFLINE, ABSENT, RETRIED, NOT_REACHED, UNMAPPED = range(10)
OUTCOMES = ("ok", "zero", "excluded", "unreadable", "poisoned", "offline", "absent", "retried",
            "not-reached", "unmapped")
_HELD = (OK, ZERO, RETRIED)


class Physical(int):
    """A physical address."""


class Process(NamedTuple):
    """An address of a process."""

    pid: int
    address: int


class Page(NamedTuple):
    """What became of a page."""

    outcome: int
    errno: int

    @property
    def held(self):
        """Whether its bytes are there."""
        return self.outcome in _HELD

    @property
    def name(self):
        """The outcome as a word."""
        return OUTCOMES[self.outcome] if self.outcome < len(OUTCOMES) else "hole"


class Symbol(NamedTuple):
    """A symbol, or a place in one; `bytes` is None where it is not known."""

    name: str
    module: str
    address: int
    offset: int
    bytes: Optional[int]
    type: str


class Task(NamedTuple):
    """A process or thread; None where something is not known."""

    pid: int
    tgid: int
    ppid: int
    uid: Optional[int]
    cpu: Optional[int]
    state: str
    comm: str
    command: str
    kernel_thread: bool
    start_ns: Optional[int]
    rss_bytes: Optional[int]
    address: int


class Segment(NamedTuple):
    """A range of the image's program headers; `phys` is None where there is none."""

    kind: str
    virt: int
    phys: Optional[int]
    bytes: int


class Level(NamedTuple):
    """One step of a page-table walk."""

    level: str
    kind: str
    flags: str
    table: int
    index: int
    entry_address: int
    entry: int


class Translation(NamedTuple):
    """`physical` is None: not mapped."""

    physical: Optional[int]
    page_bytes: int
    levels: list


class Capture(NamedTuple):
    """`status`: "complete", "complete-with-holes" or "partial"; `report` as capture --json."""

    status: str
    output: str
    report: dict


def _text(raw):
    return raw.decode("utf-8", "backslashreplace")


def _known(value, unknown=_abi.UNKNOWN):
    return None if value == unknown else value


def _free(handle, readers):
    for reader in readers:
        _abi.lib.kcd_reader_free(reader)
    _abi.lib.kcd_image_free(handle)


class Tasks(list):
    """Task objects; `incomplete`: some are missing, for memory was missing or damaged; `notes` say
    what weakens the list."""

    incomplete = False
    notes = ()


class Image:
    """An open image: see kcoredump.open."""

    def __init__(self, handle):
        self._handle = handle
        self._readers = []  # that nobody uses now; lists may be shared by threads
        self._closing = weakref.finalize(self, _free, handle, self._readers)
        self.page_bytes = _abi.lib.kcd_page_bytes(handle)

    def close(self):
        """Free it. Nothing may use it any more, in any thread."""
        self._handle = None
        self._closing()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _address(self, where):
        if isinstance(where, str):
            found = _abi.Address()
            _abi.call("kcd_resolve", self._handle, os.fsencode(where), ctypes.byref(found))
            return found
        if isinstance(where, Physical):
            return _abi.Address(where, _abi.PHYSICAL, 0)
        if isinstance(where, Process):
            return _abi.Address(where.address, _abi.PROCESS, where.pid)
        return _abi.Address(where, _abi.KERNEL, 0)

    def resolve(self, where):
        """The address that a text names, as an int, Physical or Process."""
        found = self._address(where)
        if found.space == _abi.PHYSICAL:
            return Physical(found.address)
        return Process(found.pid, found.address) if found.space == _abi.PROCESS else found.address

    @contextlib.contextmanager
    def _reader(self):
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = ctypes.c_void_p()
            _abi.call("kcd_reader_open", self._handle, ctypes.byref(reader))
        try:
            yield reader
        finally:
            self._readers.append(reader)

    def read(self, where, length):
        """`length` bytes; Error (UNREADABLE, `address`) when any of them is in a hole."""
        out = ctypes.create_string_buffer(length)
        with self._reader() as reader:
            _abi.call("kcd_read_bytes", reader, self._address(where), out, length)
        return out.raw

    def read_pages(self, where, length):
        """(bytes, [Page…]): as far as memory can be read, holes as zeros, an outcome a page."""
        out = ctypes.create_string_buffer(max(length, 1))
        pages = (_abi.Page * (length // self.page_bytes + 2))()
        piece = _abi.sized(_abi.Read)
        piece.at = self._address(where)
        piece.length, piece.out = length, ctypes.cast(out, ctypes.c_void_p)
        piece.pages, piece.page_capacity = pages, len(pages)
        with self._reader() as reader:
            _abi.call("kcd_read_pieces", reader, ctypes.byref(piece), 1)
        return out.raw[:length], [Page(p.outcome, p.system_errno) for p in pages[:piece.page_count]]

    def info(self):
        """What `kcoredump info --json` prints, as a dict."""
        return json.loads(_abi.text("kcd_info_json", self._handle))

    def vmcoreinfo(self):
        """The bytes of VMCOREINFO; None: the image has none."""
        return _abi.text("kcd_vmcoreinfo", self._handle)

    def caveats(self):
        """What weakens all answers."""
        return _text(_abi.text("kcd_caveats", self._handle)).splitlines()

    def segments(self):
        """The image's ranges."""
        for index in range(_abi.lib.kcd_segment_count(self._handle)):
            found = _abi.sized(_abi.Segment)
            _abi.call("kcd_segment_get", self._handle, index, ctypes.byref(found))
            yield Segment(_text(found.kind), found.virt, _known(found.phys), found.bytes)

    def symbols(self, query, most=10000):
        """What a name, glob or address (0x…) names."""
        query = hex(query) if isinstance(query, int) else query
        with _abi.owned("kcd_symbols_find", "kcd_symbols_free", self._handle,
                        os.fsencode(query), most) as found:
            return [Symbol(_text(s.name), _text(s.module), s.address, s.offset, _known(s.bytes),
                           _text(s.type))
                    for s in _abi.items(found, _abi.Symbol, "kcd_symbols_count", "kcd_symbols_get")]

    def symbol(self, query):
        """The first of them; KeyError when there is none."""
        found = self.symbols(query)
        if not found:
            raise KeyError(query)
        return found[0]

    def type_size(self, name):
        """Bytes of a type as C writes it."""
        size = ctypes.c_uint64()
        _abi.call("kcd_type_size", self._handle, os.fsencode(name), ctypes.byref(size))
        return size.value

    def offset(self, name, path):
        """Bytes from the beginning of a type to a member."""
        found = _abi.sized(_abi.Member)
        _abi.call("kcd_type_member", self._handle, os.fsencode(name), os.fsencode(path),
                  ctypes.byref(found))
        return found.bit_offset // 8

    def value(self, expression, depth=1):
        """What `kcoredump print --json` prints of TYPE@WHERE, as a dict."""
        return json.loads(_abi.text("kcd_value_json", self._handle, os.fsencode(expression), depth))

    def tasks(self, threads=False):
        """Processes, or all threads."""
        with _abi.owned("kcd_tasks_list", "kcd_tasks_free", self._handle, int(threads)) as found:
            tasks = Tasks(Task(t.pid, t.tgid, t.ppid, _known(t.uid, _abi.UNKNOWN32),
                         _known(t.cpu, _abi.UNKNOWN32), _text(t.state), _text(t.comm),
                         _text(t.command), bool(t.kernel_thread), _known(t.start_ns),
                         _known(t.rss_bytes), t.address)
                          for t in _abi.items(found, _abi.Task, "kcd_tasks_count", "kcd_tasks_get"))
            tasks.incomplete = bool(_abi.lib.kcd_tasks_incomplete(found))
            tasks.notes = _text(_abi.lib.kcd_tasks_notes(found)).splitlines()
            return tasks

    def translate(self, where):
        """The page-table walk of a virtual address."""
        with _abi.owned("kcd_translate", "kcd_translation_free", self._handle,
                        self._address(where)) as found:
            levels = [Level(_text(step.level), _text(step.kind), _text(step.flags), step.table,
                            step.index, step.entry_address, step.entry)
                      for step in _abi.items(found, _abi.Level, "kcd_translation_level_count",
                                             "kcd_translation_level")]
            return Translation(_known(_abi.lib.kcd_translation_physical(found)),
                               _abi.lib.kcd_translation_page_bytes(found), levels)


def open(path=None):  # pylint: disable=redefined-builtin
    """An Image of a file of any format, of a descriptor (an int), or of the live kernel."""
    handle = ctypes.c_void_p()
    if path is None:
        _abi.call("kcd_open_live", ctypes.byref(handle))
    elif isinstance(path, int):
        _abi.call("kcd_open_fd", path, ctypes.byref(handle))
    else:
        _abi.call("kcd_open", os.fsencode(path), ctypes.byref(handle))
    return Image(handle)


def capture(output=None, source=None, *, format=None, codec=None, level=0, threads=0, force=False,  # pylint: disable=redefined-builtin
            exclude=None, only_kernel=False, only_ranges=(), base=None, hashes=False, smear_pages=0,
            max_bytes_per_second=0, volatile_first=False, on_progress=None, on_event=None):
    """Capture `source` (default: the live kernel) and return a Capture. `exclude` is as --exclude
    takes it; `only_ranges` are (begin, end) of physical addresses. `base`, `hashes`, `smear_pages`,
    `max_bytes_per_second` and `volatile_first` are --base, --hashes, --smear, --max-rate and --order volatile. `on_progress(done, total)`
    is called some ten times a second, in a thread of the capture's; when it returns True, or raises, the capture ends as
    partial, and what it raised is raised again. `on_event(dict)` is told what `capture --events`
    writes, and may do the same."""
    raised = []
    stop = []

    def ask(function, *arguments):
        try:
            if function and not raised and function(*arguments):
                stop.append(True)
        except BaseException as error:  # pylint: disable=broad-except  # C is no place for it
            raised.append(error)

    @_abi.PROGRESS
    def progress(now, _):
        ask(on_progress, now.contents.done_bytes, now.contents.total_bytes)

    @_abi.EVENT
    def event(text, _):
        ask(on_event, json.loads(text))

    @_abi.CANCELLED
    def cancelled(_):
        return bool(raised or stop)

    options = _abi.sized(_abi.CaptureOptions)
    ranges = (_abi.Range * len(only_ranges))(*only_ranges)
    options.only_ranges, options.only_range_count = ranges, len(only_ranges)
    for name, value in (("source", source), ("output", output), ("format", format), ("codec", codec),
                        ("exclude", exclude), ("base", base)):
        setattr(options, name, None if value is None else os.fsencode(value))
    options.level, options.threads = level, threads
    options.force, options.only_kernel = int(force), int(only_kernel)
    options.hashes, options.volatile_first = int(hashes), int(volatile_first)
    options.smear_pages, options.max_bytes_per_second = smear_pages, max_bytes_per_second
    options.on_progress, options.on_event, options.cancelled = progress, event, cancelled
    done, failed = [], []

    def run():
        try:
            with _abi.owned("kcd_capture", "kcd_capture_report_free", ctypes.byref(options)) as report:
                status = _abi.lib.kcd_capture_report_status(report)
                done.append(Capture(("complete", "complete-with-holes", "partial")[status],
                                    os.fsdecode(_abi.lib.kcd_capture_report_output(report)),
                                    json.loads(_abi.lib.kcd_capture_report_json(report))))
        except BaseException as error:  # pylint: disable=broad-except  # raised again by the caller
            failed.append(error)

    # Ctrl-C comes to the main thread, and within a callback it would be lost.
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as error:  # pylint: disable=broad-except  # KeyboardInterrupt
            raised.append(error)
    for error in (*raised, *failed):
        raise error
    return done[0]


def version():
    """The library's version."""
    return _text(_abi.lib.kcd_version())
