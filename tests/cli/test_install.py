#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `cmake --install` and `cpack` give, used as an embedder would, outside the build.

test_install.py PROGRAM (of a build folder that has everything built)
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import cli
from elf_core import PAGE, Core, Load, note

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINE = REPOSITORY / "tests/data/abi/kcoredump.abi"
DEBIAN_PYTHON = "/usr/bin/python3"


def must(*words, **options):
    done = subprocess.run([os.fspath(word) for word in words], capture_output=True, text=True, check=False,
                          timeout=120, **options)
    if done.returncode != 0:
        raise AssertionError(f"{words} exits {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def setUpModule():
    InstalledTree.tree = Path(tempfile.mkdtemp(prefix="kcoredump-install-"))
    unittest.addModuleCleanup(shutil.rmtree, InstalledTree.tree)
    must("cmake", "--install", Path(cli.program).parent, "--prefix", InstalledTree.tree)


class InstalledTree(cli.TestCase):
    """One tree for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.library = next(cls.tree.rglob("libkcoredump.so.0"))
        cls.environment = {**os.environ, "LD_LIBRARY_PATH": str(cls.library.parent),
                           "PKG_CONFIG_PATH": str(cls.library.parent / "pkgconfig"),
                           "PYTHONPATH": str(cls.tree / "lib/python3/dist-packages"),
                           "PYTHONDONTWRITEBYTECODE": "1"}

    def setUp(self):
        super().setUp()
        self.content = bytes(range(1, 251)) * 17
        self.content = (self.content + bytes(4 * PAGE))[:4 * PAGE]
        self.core = self.path("core")
        Core([Load(0x1000, 0, 4 * PAGE)], self.content).write(self.core)


class Installed(InstalledTree):
    """The files, and programs built on them."""

    def compile(self, source, output, *options):
        flags = must("pkg-config", "--cflags", "--libs", "kcoredump", env=self.environment).split()
        must("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", *options, source, "-o", output, *flags)

    def test_everything_is_there(self):
        for name in ("bin/kcoredump", "include/kcoredump/kcoredump.h", "include/kcoredump/memory.h",
                     "share/bash-completion/completions/kcoredump", "share/zsh/vendor-completions/_kcoredump",
                     "share/fish/vendor_completions.d/kcoredump.fish"):
            self.assertTrue((self.tree / name).is_file(), name)
        said = must("objdump", "-p", self.library)
        self.assertRegex(said, r"SONAME\s+libkcoredump\.so\.0\n")
        self.assertIn("KCOREDUMP_0", said)

    def test_nothing_but_the_abi_is_exported(self):
        header = (self.tree / "include/kcoredump/kcoredump.h").read_text()
        declared = set(re.findall(r"\b(kcd_\w+)\(", header))
        said = must("nm", "-D", "--defined-only", self.library)
        self.assertEqual(declared, set(re.findall(r" T (\S+?)@@KCOREDUMP_0", said)))
        self.assertEqual([], [line for line in said.splitlines() if "@@KCOREDUMP_0" not in line and " A " not in line])

    def test_a_page_for_each_command(self):
        commands = re.findall(r"^  ([a-z]\w*) ", cli.run("--help").text.split("Subcommands:")[1], re.M)
        self.assertGreater(len(commands), 10)
        for command in commands:
            page = (self.tree / f"share/man/man1/kcoredump-{command}.1").read_text()
            for option in re.findall(r"^  (--?[a-z][\w,-]*)", cli.run(command, "--help").text, re.M):
                self.assertIn(option.replace("-", r"\-"), page, command)
        if shutil.which("man"):
            for page in (self.tree / "share/man/man1").iterdir():
                done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True,
                                      timeout=30, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100"})
                self.assertEqual("", done.stderr, page.name)

    def test_a_c_and_a_cpp_program(self):
        build = self.path("build")
        must("cmake", "-S", REPOSITORY / "tests/install", "-B", build, f"-DCMAKE_PREFIX_PATH={self.tree}",
             "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror -pedantic", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        must("cmake", "--build", build, "-j2")
        self.compile(REPOSITORY / "tests/install/program.c", build / "with_pkg_config")
        for name in ("with_shared", "with_static", "with_pkg_config"):
            said = must(build / name, self.core, env=self.environment)
            self.assertEqual(self.content[:4].hex() + "\n", said, name)
            self.assertNotEqual(0, subprocess.run([build / name, "/nonexistent"], env=self.environment, check=False,
                                                  capture_output=True, timeout=30).returncode)

    def test_the_readme_s_debugger(self):
        source = self.path("debugger.c")
        text = (REPOSITORY / "README.md").read_text()
        source.write_text(re.search(r"```c\n(.*?)```", text, re.S).group(1))
        self.assertLessEqual(len(source.read_text().splitlines()), 70)
        self.compile(source, self.path("debugger"))
        done = subprocess.run([self.path("debugger"), self.core, "phys:0x1000"], env=self.environment, check=False,
                              capture_output=True, text=True, timeout=30)
        self.assertIn("page outcome 0", done.stdout, done.stderr)
        self.assertIn(self.content[:16].hex(" "), done.stdout)
        done = subprocess.run([self.path("debugger"), self.core], env=self.environment, check=False,
                              capture_output=True, text=True, timeout=30)
        self.assertEqual(1, done.returncode)
        self.assertIn("tasks: ", done.stderr)


class Abi(InstalledTree):
    """abidiff against the committed baseline; it holds only what the header and the exports hold."""

    def setUp(self):
        super().setUp()
        if not shutil.which("abidiff"):
            self.skipTest("no abidiff (package abigail-tools)")
        headers = self.path("headers")
        headers.mkdir()
        shutil.copy(self.tree / "include/kcoredump/kcoredump.h", headers)
        self.abi = self.path("now.abi")
        # Without paths of this machine; those would tell abidiff, too, which types are private, so it gets two
        # files in which there are none.
        must("abidw", "--drop-private-types", "--exported-interfaces-only", "--no-corpus-path", "--no-comp-dir-path",
             "--no-show-locs", "--headers-dir", headers, "--out-file", self.abi, self.library.resolve())

    def diff(self, baseline):
        return subprocess.run(["abidiff", baseline, self.abi], capture_output=True, text=True, check=False, timeout=60)

    def test_the_abi_is_the_baseline_s(self):
        if os.environ.get("KCOREDUMP_NEW_ABI"):
            shutil.copy(self.abi, BASELINE)
        done = self.diff(BASELINE)
        self.assertEqual(0, done.returncode, f"{done.stdout}\nA symbol that is new goes into a new node of "
                         "lib/abi/kcoredump.map, a new member goes to the end of a struct that begins with its size; "
                         "what went or changed otherwise needs a new SOVERSION. Then run this test with "
                         "KCOREDUMP_NEW_ABI=1 to write the baseline anew.")

    def test_a_change_is_seen(self):
        text = BASELINE.read_text()
        for found, other in (("name='kcd_open_fd'", "name='kcd_open_xx'"),
                             ("name='kcd_task' size-in-bits='640'", "name='kcd_task' size-in-bits='576'"),
                             ("data-member access='public' layout-offset-in-bits='256'",
                              "data-member access='public' layout-offset-in-bits='288'")):
            self.assertIn(found, text)
            forged = self.path("forged.abi")
            forged.write_text(text.replace(found, other))
            self.assertNotEqual(0, self.diff(forged).returncode, found)


class Python(InstalledTree):
    """The module, with Debian's own Python where there is one."""

    def python(self, script, *words):
        python = DEBIAN_PYTHON if Path(DEBIAN_PYTHON).exists() else shutil.which("python3")
        return must(python, "-c", script, *words, env=self.environment)

    def test_read_segments_outcomes_and_capture(self):
        said = self.python("""
import sys, threading, kcoredump
with kcoredump.open(sys.argv[1]) as image:
    data, pages = image.read_pages("phys:0x1800", 0x4000)
    print(data[:4].hex(), [page.name for page in pages], [page.held for page in pages])
    print(image.read(kcoredump.Physical(0x1000), 4).hex(), [s.bytes for s in image.segments()])
    for ask in (lambda: image.read(kcoredump.Physical(0x4000), 0x2000), lambda: image.type_size("struct nothing"),
                lambda: kcoredump.open("/nonexistent")):
        try:
            ask()
        except kcoredump.Error as error:
            print(error.code, hex(error.address))
    print(image.info()["format"], b"OSRELEASE" in image.vmcoreinfo())
    threads = [threading.Thread(target=image.read, args=(kcoredump.Physical(0x1000), 64)) for _ in range(8)]
    [t.start() for t in threads]; [t.join() for t in threads]
seen = []
done = kcoredump.capture(sys.argv[2], sys.argv[1], threads=1, on_progress=lambda done, total: seen.append(total))
print(done.status, done.report["pages"]["total"], bool(seen))
events = []
done = kcoredump.capture(sys.argv[2] + "3", sys.argv[1], exclude="zero", only_ranges=[(0x2000, 0x4000)],
                         on_event=events.append)
print(done.report["pages"]["read"], done.report["pages"]["excluded"], events[0]["event"], events[-1]["status"])
again = kcoredump.capture(sys.argv[2] + "4", sys.argv[1], base=done.output)
print(again.report["base"]["name"])
def fail(done, total): raise ValueError("mine")
try:
    kcoredump.capture(sys.argv[2] + "2", sys.argv[1], threads=1, on_progress=fail)
except ValueError as error:
    print(error)
""", self.core, self.path("x.elf.zst"))
        begin = self.content[0x800:0x804].hex()
        wanted = [f"{begin} ['ok', 'ok', 'zero', 'zero', 'absent'] [True, True, True, True, False]",
                  f"{self.content[:4].hex()} [16384]", "unreadable 0x5000"]
        lines = said.splitlines()
        self.assertEqual(wanted, lines[:3])
        self.assertIn("not-found 0x0", lines)
        self.assertIn("elf True", lines)
        self.assertEqual(["complete 4 True", "1 3 start complete", "x.elf.zst3", "mine"], lines[-4:])

    def test_drgn_reads_without_debuginfo(self):
        if subprocess.run([DEBIAN_PYTHON, "-c", "import drgn"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no drgn (package python3-drgn)")
        said = self.python("""
import sys, drgn, kcoredump.drgn
for path in sys.argv[1:]:
    program = kcoredump.drgn.program(path)
    print(program.read(0x1000, 4, True).hex(), program.read(0xffff888000002000, 4).hex())
    print(bool(program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL))
    try:
        program.read(0x9000, 4, True)
    except drgn.FaultError:
        print("fault")
""", self.kernel_core(), self.kernel_core(notes=b""))
        read = f"{self.content[:4].hex()} {self.content[PAGE:PAGE + 4].hex()}"
        self.assertEqual([read, "True", "fault", read, "False", "fault"], said.splitlines())

    def kernel_core(self, **notes):
        """A core with all of VMCOREINFO that drgn wants, or with other notes."""
        text = ("OSRELEASE=6.1.0-test\nPAGESIZE=4096\nKERNELOFFSET=0\nSYMBOL(swapper_pg_dir)=ffffffff82a10000\n"
                "SYMBOL(_stext)=ffffffff81000000\nNUMBER(pgtable_l5_enabled)=0\n")
        path = self.path(f"kernel{len(notes)}")
        Core([Load(0x1000, 0, 4 * PAGE)], self.content,
             **{"notes": note(b"VMCOREINFO", 0, text.encode()), **notes}).write(path)
        return path


class Package(cli.TestCase):
    """The .deb, unpacked as dpkg does it, into a root that has nothing else."""

    def test_the_deb(self):
        if not shutil.which("dpkg-deb"):
            self.skipTest("no dpkg")
        build = Path(cli.program).parent
        must("cpack", "--config", build / "CPackConfig.cmake", "-B", self.folder)
        package = next(self.folder.glob("kcoredump_0.1.0_*.deb"))
        fields = must("dpkg-deb", "--field", package)
        self.assertRegex(fields, r"Depends: .*libelf1")
        self.assertRegex(fields, r"Depends: .*libc6")
        root = self.path("root")
        root.mkdir()
        (root / "var/lib/dpkg").mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        if os.geteuid() == 0:
            must("dpkg", f"--root={root}", "--log=/dev/null", "--force-depends", "--force-script-chrootless",
                 "--install", package)
            self.assertIn("ok installed", (root / "var/lib/dpkg/status").read_text())
        else:
            must("dpkg-deb", "-x", package, root)
        self.assertIn("kcoredump 0.1.0", must(root / "usr/bin/kcoredump", "--version"))
        self.assertIn("kcoredump", must(DEBIAN_PYTHON, "-B", "-c", "import kcoredump; print(kcoredump.__name__)", env={
            "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
            "LD_LIBRARY_PATH": str(next(root.rglob("libkcoredump.so.0")).parent)}))


if __name__ == "__main__":
    cli.main()
