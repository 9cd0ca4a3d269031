#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kcoredump mount: a folder through real FUSE, byte for byte what convert writes."""

import errno
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading
import time
import unittest

import cli
import dumps
import elf_core
from elf_core import PAGE, Core, Load

NAMES = ["btf", "dmesg", "info.json", "kallsyms", "memory.lime", "memory.raw", "proc", "vmcore", "vmcore.kdump"]
NOBODY = 65534


def why_not():
    """Why this machine cannot mount; None: it can."""
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    if os.geteuid() == 0:
        with open("/proc/self/status", encoding="ascii") as file:
            have = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
        return None if have >> 21 & 1 else "root without CAP_SYS_ADMIN"
    return None if shutil.which("fusermount3") else "not root, and no fusermount3"


def is_mounted(folder):
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return any(line.split()[1] == str(folder) for line in file)


def unmount_words(folder):
    return ["umount", folder] if os.geteuid() == 0 else ["fusermount3", "-u", folder]


@unittest.skipIf(why_not(), f"no FUSE mount here: {why_not()}")
class MountCase(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))
        self.count = 0

    def mount(self, image, *words):
        """The mounted folder; its process is self.server."""
        self.count += 1
        folder = self.path(f"mount{self.count}")
        folder.mkdir()
        self.server = cli.start("mount", "-f", image, folder, *words)
        self.addCleanup(self.end, self.server, folder)
        end = time.monotonic() + cli.TIMEOUT_S
        while not is_mounted(folder):
            if self.server.poll() is not None or time.monotonic() > end:
                self.fail(f"not mounted: {self.server.communicate(timeout=5)}")
            time.sleep(0.01)
        return folder

    def end(self, server, folder, number=signal.SIGTERM):
        """Unmounts and returns (status, out, err)."""
        if server.stdout.closed:
            return None
        server.send_signal(number)
        try:
            out, err = server.communicate(timeout=cli.TIMEOUT_S)
        finally:
            server.kill()
        self.assertFalse(is_mounted(folder))
        return server.returncode, out, err.decode()

    def convert(self, image, name, *words, status=cli.COMPLETE):
        self.expect(status, "convert", image, self.path(name), "--force", *words)
        return self.path(name).read_bytes()


def vendor_segment(image):
    return next(s for s in elf_core.parse(image) if s.kind == elf_core.VENDOR_SEGMENT)


def without_metadata(image):
    """An ELF image without the note that tells when, where and by which command it was made."""
    vendor = vendor_segment(image)
    notes = elf_core.notes_of(image, elf_core.VENDOR_SEGMENT)
    headers = [s for s in elf_core.parse(image) if s != vendor]
    memory = min(s.offset for s in headers if s.kind == elf_core.PT_LOAD)
    assert notes[-1][1] == 1 and json.loads(notes[-1][2])["tool"] == "kcoredump"
    return headers, notes[:-1], elf_core.notes_of(image, elf_core.PT_NOTE), image[memory:]


class Bytes(MountCase):
    """Sources of several formats, with and without holes."""

    def sources(self):
        content = elf_core.mixed_bytes(64)
        pages = {i: content[i * PAGE:(i + 1) * PAGE] for i in (*range(3, 20), *range(40, 64))}
        self.path("kdump").write_bytes(dumps.kdump(pages, excluded=(1, 2, 25, 26, 39, 70)))
        self.path("lime").write_bytes(dumps.lime({0x1000: content[:40 * PAGE], 0x80000: content[40 * PAGE:]}))
        Core(content=content, loads=[
            Load(i * 64 * PAGE, i * 2 * PAGE, 4 * PAGE, file_size=2 * PAGE) for i in range(4)
        ]).write(self.path("holed"))
        torn = elf_core.small_core().write(self.path("torn"))
        with open(torn, "r+b") as file:
            file.truncate(torn.stat().st_size - 5 * PAGE - 100)
        self.capture(self.core, "snapshot", "--frame-size", "16KiB")
        self.capture(self.path("holed"), "holed-snapshot")
        yield from (self.path(name) for name in
                    ("core", "snapshot", "holed", "holed-snapshot", "kdump", "lime"))
        yield self.path("torn")

    def test_are_those_that_convert_writes(self):
        for source in self.sources():
            status = cli.HOLES if source.name == "torn" else cli.COMPLETE
            folder = self.mount(source)
            elf = self.convert(source, "x.elf", status=status)
            mounted = (folder / "vmcore").read_bytes()
            self.assertEqual(len(elf), len(mounted), source)
            self.assertEqual(without_metadata(elf), without_metadata(mounted), source)
            for name, suffix in (("memory.raw", ".raw"), ("memory.lime", ".lime")):
                self.assertEqual(self.convert(source, "x" + suffix, status=status),
                                 (folder / name).read_bytes(), f"{source} {name}")
            self.check_kdump(source, folder / "vmcore.kdump", status)
            self.assertEqual(0, self.end(self.server, folder)[0])

    def check_kdump(self, source, mounted, status):
        """The same pages as a converted kdump, each with its content."""
        converted = self.path("x.kdump")
        self.convert(source, converted.name, "--codec", "none", status=status)
        pages = [parse_kdump(path.read_bytes()) for path in (converted, mounted)]
        self.assertEqual(*pages, source)
        self.expect(cli.COMPLETE, "verify", mounted)
        # Both headers but for the time and the status.
        for head in (slice(0, 402), slice(428, 2 * PAGE)):
            self.assertEqual(converted.read_bytes()[head], mounted.read_bytes()[head])

    def test_at_random_offsets(self):
        self.capture(self.core, "snapshot", "--frame-size", "8KiB")
        folder = self.mount(self.path("snapshot"))
        rand = random.Random(7)
        for name in ("vmcore", "vmcore.kdump", "memory.raw", "memory.lime"):
            whole = (folder / name).read_bytes()
            for flags in (0, os.O_DIRECT):
                file = os.open(folder / name, os.O_RDONLY | flags)
                for _ in range(150):
                    at = rand.randrange(len(whole) + 100)
                    count = rand.choice((1, 31, 33, 500, 5000, 70000))
                    self.assertEqual(whole[at:at + count], os.pread(file, count, at), (name, at, count))
                os.close(file)

    def test_many_readers_at_once(self):
        core = Core(content=random.Random(3).randbytes(16 << 20), loads=[Load(0x100000, 0, 16 << 20)])
        snapshot = self.capture(core.write(self.path("large")))
        folder = self.mount(snapshot)
        content = (folder / "memory.raw").read_bytes()[0x100000:]
        wrong = []

        def read(seed):
            rand = random.Random(seed)
            # Past the page cache: each read reaches the server.
            with open(folder / "memory.lime", "rb", buffering=0, opener=lambda path, flags: os.open(
                    path, flags | os.O_DIRECT)) as file:
                for _ in range(40):
                    at = rand.randrange(len(content) - 300000)
                    if os.pread(file.fileno(), 300000, at + 32) != content[at:at + 300000]:
                        wrong.append((seed, at))

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], wrong)

    def test_gaps_are_holes_of_the_file(self):
        folder = self.mount(self.core)
        file = os.open(folder / "memory.raw", os.O_RDONLY)
        self.addCleanup(os.close, file)
        self.assertEqual(0x1000, os.lseek(file, 0, os.SEEK_DATA))
        self.assertEqual(0x29000, os.lseek(file, 0x1000, os.SEEK_HOLE))
        self.assertEqual(0x1000000, os.lseek(file, 0x29000, os.SEEK_DATA))
        self.assertEqual(0x1018000, os.lseek(file, 0x1000000, os.SEEK_HOLE))
        self.assertEqual(64 * 8, os.stat(folder / "memory.raw").st_blocks)

    def test_open_in_this_program_again(self):
        folder = self.mount(self.core)
        for name in ("vmcore", "vmcore.kdump", "memory.lime"):
            again = self.expect(cli.COMPLETE, "read", "--raw", "--phys", "0x1000", 40 * PAGE, "-f", folder / name)
            self.assertEqual(elf_core.mixed_bytes(40), again.out, name)


def parse_kdump(data):
    """{page number: content} of a kdump of plain pages, by the layout of FORMAT.md."""
    sub_blocks, bitmap_blocks = struct.unpack_from("<iI", data, 432)
    bitmap = (1 + sub_blocks) * PAGE + bitmap_blocks // 2 * PAGE
    descriptors = bitmap + bitmap_blocks // 2 * PAGE
    present = [byte * 8 + bit for byte in range(bitmap_blocks // 2 * PAGE) for bit in range(8)
               if data[bitmap + byte] >> bit & 1]
    pages = {}
    for rank, page in enumerate(present):
        offset, size, flags, _ = dumps.DESCRIPTOR.unpack_from(data, descriptors + rank * dumps.DESCRIPTOR.size)
        assert (size, flags) == (PAGE, 0)
        pages[page] = data[offset:offset + PAGE]
    memory = data[(1 + sub_blocks) * PAGE:bitmap]
    return memory, pages


class Damage(MountCase):
    def test_an_image_that_is_truncated_meanwhile_gives_eio(self):
        core = Core(content=elf_core.mixed_bytes(512), loads=[Load(0x100000, 0, 512 * PAGE)]).write(self.path("c"))
        folder = self.mount(core)
        file = os.open(folder / "memory.raw", os.O_RDONLY)
        self.addCleanup(os.close, file)
        os.truncate(core, core.stat().st_size - 100 * PAGE)
        content = elf_core.mixed_bytes(512)
        with self.assertRaises(OSError) as raised:
            os.pread(file, PAGE, 0x100000 + 500 * PAGE)
        self.assertEqual(errno.EIO, raised.exception.errno)
        # What is still there is read, up to the very page.
        got = os.pread(file, 200 * PAGE, 0x100000 + 400 * PAGE)
        self.assertEqual(content[400 * PAGE:412 * PAGE], got[:12 * PAGE])
        self.assertEqual(12 * PAGE, len(got))
        with self.assertRaises(OSError):
            (folder / "vmcore").read_bytes()
        status, _, err = self.end(self.server, folder)
        self.assertEqual(0, status)
        self.assertIn("cannot be read: the file ends before it", err)

    def test_a_damaged_frame_is_eio_and_no_zeros(self):
        snapshot = self.capture(Core(content=random.Random(1).randbytes(64 * PAGE), loads=[Load(0, 0, 64 * PAGE)])
                                .write(self.path("c")), "snapshot", "--frame-size", "16KiB")
        with open(snapshot, "r+b") as file:
            file.seek(100000)
            file.write(b"\xff" * 4)
        folder = self.mount(snapshot)
        with self.assertRaises(OSError) as raised:
            (folder / "memory.raw").read_bytes()
        self.assertEqual(errno.EIO, raised.exception.errno)

    def test_without_btf_and_notes_files_say_so(self):
        self.path("lime").write_bytes(dumps.lime({0x1000: elf_core.mixed_bytes(8)}))
        folder = self.mount(self.path("lime"))
        for name in ("btf/vmlinux", "kallsyms", "dmesg"):
            with self.assertRaises(OSError, msg=name):
                (folder / name).read_bytes()
        with self.assertRaises(OSError):
            os.listdir(folder / "proc")
        self.assertEqual("lime", json.loads((folder / "info.json").read_text())["format"])
        self.assertIn("BTF", self.end(self.server, folder)[2])


class Folder(MountCase):
    def test_what_stands_there(self):
        folder = self.mount(self.core)
        self.assertEqual(NAMES, sorted(os.listdir(folder)))
        self.assertEqual(["vmlinux"], os.listdir(folder / "btf"))
        self.assertEqual("elf", json.loads((folder / "info.json").read_text())["format"])
        for name in NAMES:
            status = os.lstat(folder / name)
            self.assertEqual((0o500 if name in ("btf", "proc") else 0o400, os.geteuid()),
                             (status.st_mode & 0o7777, status.st_uid), name)

    def test_names_that_are_not_there(self):
        folder = self.mount(self.core)
        for name in ("x", "proc/0", "proc/1x", "proc/01", "proc/4294967296", "proc/-1", "btf/x", "vmcore "):
            self.assertFalse(os.path.lexists(folder / name), name)

    def test_nothing_can_be_written(self):
        folder = self.mount(self.core)
        vmcore = folder / "vmcore"
        for write in (lambda: open(vmcore, "r+b"), lambda: open(folder / "new", "wb"), lambda: os.unlink(vmcore),
                      lambda: os.mkdir(folder / "new"), lambda: os.rename(vmcore, folder / "new"),
                      lambda: os.truncate(vmcore, 0), lambda: os.utime(vmcore), lambda: os.chmod(vmcore, 0o777),
                      lambda: os.symlink("x", folder / "new"), lambda: os.setxattr(vmcore, "user.x", b"x")):
            with self.assertRaises(OSError) as raised:
                write()
            self.assertEqual(errno.EROFS, raised.exception.errno)

    def test_mount_options(self):
        folder = self.mount(self.core)
        with open("/proc/self/mounts", encoding="utf-8") as file:
            line = next(line.split() for line in file if line.split()[1] == str(folder))
        self.assertEqual("fuse.kcoredump", line[2])
        self.assertLessEqual({"ro", "nosuid", "nodev", "noexec", "default_permissions"}, set(line[3].split(",")))
        self.assertNotIn("allow_other", line[3])

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_other_users_are_refused(self):
        folder = self.mount(self.core)
        os.chmod(self.folder, 0o755)
        for words in (["ls", folder], ["cat", folder / "vmcore"], ["cat", folder / "info.json"]):
            done = subprocess.run(words, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True,
                                  check=False, timeout=cli.TIMEOUT_S)
            self.assertNotEqual(0, done.returncode)
            self.assertEqual(b"", done.stdout)
            self.assertIn(b"Permission denied", done.stderr)


class End(MountCase):
    def test_signals_unmount(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            folder = self.mount(self.core)
            status, _, err = self.end(self.server, folder, number)
            self.assertEqual(0, status, err)
            self.assertIn("is unmounted", err)
            self.assertEqual([], os.listdir(folder))

    def test_a_signal_while_files_are_open(self):
        folder = self.mount(self.core)
        file = os.open(folder / "vmcore", os.O_RDONLY)
        self.addCleanup(os.close, file)
        os.pread(file, 100, 0)
        self.assertEqual(0, self.end(self.server, folder)[0])

    def test_umount_ends_the_program(self):
        folder = self.mount(self.core)
        subprocess.run(unmount_words(folder), check=True, timeout=cli.TIMEOUT_S)
        self.assertEqual(0, self.server.wait(timeout=cli.TIMEOUT_S))

    def test_what_a_killed_program_leaves_behind(self):
        folder = self.mount(self.core)
        self.server.kill()
        self.server.communicate(timeout=cli.TIMEOUT_S)
        result = self.expect(cli.USAGE, "mount", "-f", self.core, folder)
        self.assertIn("umount", result.err)
        subprocess.run(unmount_words(folder), check=True, timeout=cli.TIMEOUT_S)

    def test_events_as_json(self):
        folder = self.mount(self.core, "--json")
        _, out, _ = self.end(self.server, folder)
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(["ready", "gone"], [event["event"] for event in events if event["event"] != "note"])
        self.assertEqual(str(folder), events[-1]["text"])


class Refusals(cli.TestCase):
    def setUp(self):
        super().setUp()
        self.core = elf_core.small_core().write(self.path("core"))
        self.path("empty").mkdir()

    def refused(self, status, word, *words, **options):
        result = self.expect(status, "mount", *words, **options)
        self.assertIn(word, result.err)

    @unittest.skipIf(why_not(), f"no FUSE mount here: {why_not()}")
    def test_what_is_no_empty_folder(self):
        self.refused(cli.USAGE, "not empty", "-f", self.core, self.folder)
        self.refused(cli.USAGE, "No such file", "-f", self.core, self.path("none"))
        self.refused(cli.USAGE, "is no folder", "-f", self.core, self.core)

    @unittest.skipIf(why_not(), f"no FUSE mount here: {why_not()}")
    def test_what_is_no_image(self):
        self.refused(cli.IO, "none", "-f", self.path("none"), self.path("empty"))
        self.path("junk").write_bytes(b"junk" * 100)
        self.refused(cli.CORRUPT, "junk", "-f", self.path("junk"), self.path("empty"))

    def refused_with(self, preparation, word, *, user=0):
        """`preparation`, shell text, changes what the program sees: in a mount namespace of its own."""
        os.chmod(self.folder, 0o755)
        os.chown(self.path("empty"), user, user)
        shutil.copy(cli.program, self.path("kcoredump"))
        self.path("device").touch()
        words = ["unshare", "-m", "sh", "-ec", preparation + '\nexec "$@"', self.path("device"), "setpriv",
                 f"--reuid={user}", f"--regid={user}", "--clear-groups", self.path("kcoredump"), "mount", "-f",
                 self.core, self.path("empty")]
        done = subprocess.run(words, capture_output=True, check=False, timeout=cli.TIMEOUT_S)
        self.assertEqual(cli.REFUSED, done.returncode, done.stderr)
        self.assertIn(word, done.stderr.decode())

    @unittest.skipUnless(os.geteuid() == 0 and not why_not(), "hiding things takes root")
    def test_without_what_it_takes(self):
        if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
            self.skipTest("no mount namespaces here: in a chroot, / must be a mount point")
        hide = "test ! -e /usr/bin/fusermount3 || mount --bind /dev/null /usr/bin/fusermount3"
        self.refused_with("mount -t tmpfs none /dev", "modprobe fuse")
        self.refused_with('chmod 600 "$0"; mount --bind "$0" /dev/fuse', "may not open /dev/fuse", user=NOBODY)
        self.refused_with(f'chmod 666 "$0"; mount --bind "$0" /dev/fuse; {hide}', "fusermount3", user=NOBODY)


if __name__ == "__main__":
    cli.main()
