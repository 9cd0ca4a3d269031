# SPDX-License-Identifier: MIT
"""Dumps that other tools made, page by page: makedumpfile's in every form, and QEMU's kdump."""

import json
import shutil
import struct
import subprocess

from vmlab.elf import PAGE, Core, differing_pages
from vmlab.errors import Skip, check
from vmlab.kdump import COMPRESSED, Kdump, excluded_of_elf

from .context import capture, fill_with_noise, prepare_pattern

# makedumpfile's options, and what `info` must call the result.
FORMS = (
    ("-c -d 0", "kdump", "zlib"),
    ("-l -d 0", "kdump", "lzo"),
    ("-d 1", "kdump", None),
    ("-l -d 31", "kdump", "lzo"),
    ("-E -d 31", "elf", None),
    ("-F -c -d 31", "flattened kdump", "zlib"),
    ("-F -E -d 1", "flattened elf", None),
)
COMMANDS = (("log",), ("mod",), ("sym", "linux_banner", "do_exit"), ("vtop", "linux_banner"))
LIME_HEADER = struct.Struct("<IIQQQ")


def run(context):
    """One guest; its dump in every form has the same pages, and is understood the same."""
    if not shutil.which("makedumpfile"):
        raise Skip("makedumpfile is not installed")
    core_path, truth_path = take(context)
    core = Core(core_path)
    said = {command: look(context, core_path, command) for command in COMMANDS}
    tasks = task_names(context, core_path)
    for options, name, codec in FORMS:
        dump = make(context, core_path, options)
        compare(context, core, dump, options, name, codec)
        check_commands(context, dump, said, tasks, options)
        dump.unlink()
    split_set(context, core, core_path)
    foreign_kdump(context, Core(truth_path))
    for dump in (lime(context, core), raw(context, core)):
        compare_all(context, core, dump)
        check_commands(context, dump, said, tasks, dump.name)


def take(context):
    """A capture of a guest, unpacked, and the hypervisor's dump and kdump of it."""
    image = context.disk()
    with context.guest([context.need("pattern")], disks=[image], memory=320, la57=False) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt")
        prepare_pattern(guest)
        fill_with_noise(guest, 8)
        capture(guest, "-o /mnt/x.elf.zst").expect(0)
        guest.must("sync")
        truth = context.folder / "truth"
        guest.freeze_and_dump(truth)
        guest.qmp.command("dump-guest-memory", timeout=300, paging=False, format="kdump-zlib",
                          protocol=f"file:{context.folder / 'qemu-kdump'}")
        snapshot = context.pull(image, "/x.elf.zst")
    return context.unpack(snapshot), truth


def make(context, core_path, options):
    """makedumpfile OPTIONS on the unpacked capture; the path of what it wrote."""
    target = context.folder / f"dump{options.replace(' ', '')}"
    words = ["makedumpfile", *options.split(), str(core_path)]
    if "-F" in words:
        with open(target, "wb") as output:
            done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, check=False)
    else:
        done = subprocess.run([*words, str(target)], capture_output=True, check=False)
    check(done.returncode == 0, f"{' '.join(words)} exits {done.returncode}: {done.stderr.decode()[-500:]}")
    return target


def compare(context, core, dump, options, name, codec):
    """Every page is right or excluded, just as the file's own structures say."""
    info = context.info(dump)
    check(info["format"] == name, f"{options}: info calls it {info['format']}")
    check(info["compression"] == ([codec] if codec else []), f"{options}: compression {info['compression']}")
    check(info["complete"] is True and info["kernel"]["release"] == context.kernel.release, f"{options}: {info}")
    if "-E" not in options:
        check(info["dump_level"] == int(options.split()[-1]), f"{options}: dump level {info['dump_level']}")
        check(info["register_notes"] >= 1, f"{options}: {info['register_notes']} register notes")
    different, counts = recaptured(context, core, dump)
    excluded = excluded_by(context, dump, options)
    check(counts["excluded"] == len(excluded) == info["pages"]["excluded"],
          f"{options}: {counts['excluded']} pages excluded in the capture, {info['pages']['excluded']} by info, "
          f"{len(excluded)} by the file's own structures")
    check(different <= excluded, f"{options}: {len(different - excluded)} pages have other bytes, "
          f"first at {min(different - excluded, default=0):#x}")
    check(counts["read"] == core.page_count() - len(excluded), f"{options}: {counts}")
    check(not excluded or "-d 0" not in options, f"{options}: {len(excluded)} pages are excluded")
    check_hole(context, dump, excluded)
    context.host("verify", dump)
    print(f"makedumpfile {options}: {counts['read']} pages identical, {len(excluded)} excluded, "
          f"{dump.stat().st_size / 1e6:.1f} MB", flush=True)


def recaptured(context, core, dump):
    """Pages that a capture made from the dump has differently, and the capture's page counts."""
    snapshot = context.folder / "again.elf.zst"
    report = json.loads(context.host("capture", "-f", dump, "-o", snapshot, "--force", "--json"))
    check(report["status"] == "complete" and report["holes"] == [], f"a capture of {dump.name}: {report['status']}")
    again = context.unpack(snapshot)
    different = differing_pages(core, Core(again))
    again.unlink()
    return different, report["pages"]


def excluded_by(context, dump, options):
    """What the dump leaves out, by its own bitmaps or program headers."""
    if "-F" in options:
        plain = context.folder / "rearranged"
        plain.unlink(missing_ok=True)
        with open(dump, "rb") as handle:
            done = subprocess.run(["makedumpfile", "-R", str(plain)], stdin=handle, capture_output=True, check=False)
        check(done.returncode == 0, f"makedumpfile -R: {done.stderr.decode()[-500:]}")
        dump = plain
    if "-E" in options:
        return excluded_of_elf(Core(dump))
    kdump = Kdump(dump)
    codecs = [name for flag, name in COMPRESSED.items() if kdump.status & flag]
    check(len(codecs) <= 1, f"{options}: status {kdump.status:#x}")
    return kdump.excluded


def check_hole(context, dump, excluded):
    """Reading what was left out is an error that says so."""
    for address in list(sorted(excluded))[:1]:
        done = context.host_any("read", "--phys", "--raw", hex(address), 16, "-f", dump)
        check(done.returncode == 3 and done.stdout == b"" and b"was excluded" in done.stderr,
              f"read of an excluded page exits {done.returncode}: {done.stdout} {done.stderr.decode()}")


def look(context, dump, command):
    """A command's standard output."""
    return context.host(*command, "-f", dump)


def task_names(context, dump):
    """(pid, name) of every task; what processes were called with may be excluded."""
    done = context.host_any("ps", "-f", dump, "--json")
    check(done.returncode in (0, 3), f"ps exits {done.returncode}: {done.stderr.decode()}")
    return sorted((task["pid"], task["comm"]) for task in json.loads(done.stdout)["tasks"])


def check_commands(context, dump, said, tasks, name):
    """Every inspect command says of this form what it says of the ELF core."""
    for command, expected in said.items():
        got = look(context, dump, command)
        check(got == expected, f"{name}: {' '.join(command)} says\n{got.decode()[:600]}\nand of the ELF core\n"
              f"{expected.decode()[:600]}")
    got = set(task_names(context, dump))
    check(got == set(tasks), f"{name}: ps lists {sorted(got - set(tasks))} and lacks {sorted(set(tasks) - got)}")


def split_set(context, core, core_path):
    """Parts of a set, opened by any of them; without one of them its pages are not reached."""
    folder = context.folder / "split"
    folder.mkdir(exist_ok=True)
    parts = [folder / name for name in ("z", "y", "x")]
    done = subprocess.run(["makedumpfile", "-c", "-d", "0", "--split", str(core_path), *map(str, parts)],
                          capture_output=True, check=False)
    check(done.returncode == 0, f"makedumpfile --split: {done.stderr.decode()[-500:]}")
    for part in parts:
        different, counts = recaptured(context, core, part)
        check(not different and counts["read"] == core.page_count(), f"split: {len(different)} pages differ, {counts}")
    pages = {part: held(Kdump(part)) for part in parts}
    check(sum(pages.values()) == core.page_count(), f"split: the parts hold {pages}")
    full = max(parts, key=pages.get)
    full.rename(context.folder / "elsewhere")
    done = context.host_any("info", "-f", next(part for part in parts if part != full), "--json")
    info = json.loads(done.stdout)
    check(done.returncode == 5 and info["complete"] is False and "split set" in info["reason"],
          f"split: info of an incomplete set exits {done.returncode}, reason {info['reason']}")
    check(info["pages"]["not_reached"] == pages[full], f"split: {info['pages']}, missing {pages[full]}")
    print(f"split: {[pages[part] for part in parts]} pages in the parts", flush=True)
    shutil.rmtree(folder)


def held(kdump):
    """How many pages a part of a set holds itself."""
    begin, end = kdump.part
    return sum(begin <= page // PAGE < end for page in kdump.dumped)


def foreign_kdump(context, truth):
    """QEMU's own kdump of the stopped guest, which is flattened, has every page of its ELF core."""
    dump = context.folder / "qemu-kdump"
    info = context.info(dump)
    check(info["format"] == "flattened kdump" and info["compression"] == ["zlib"], f"QEMU's kdump: {info['format']}")
    different, counts = recaptured(context, truth, dump)
    check(not different and counts["excluded"] == 0, f"QEMU's kdump: {len(different)} pages differ, {counts}")
    check(counts["read"] == truth.page_count(), f"QEMU's kdump: {counts}, the ELF core has {truth.page_count()}")
    context.host("verify", dump)
    print(f"QEMU kdump-zlib: {counts['read']} pages identical", flush=True)


def lime(context, core):
    """The core as a LiME file, by LiME's published layout."""
    path = context.folder / "memory.lime"
    with open(path, "wb") as output:
        for segment in core.ram:
            output.write(LIME_HEADER.pack(0x4C694D45, 1, segment.paddr, segment.paddr + segment.filesz - 1, 0))
            output.write(core.data[segment.offset:segment.offset + segment.filesz])
    return path


def raw(context, core):
    """The core as padded memory, and the ranges beside it."""
    path = context.folder / "memory.raw"
    ranges = []
    with open(path, "wb") as output:
        for segment in core.ram:
            output.seek(segment.paddr)
            output.write(core.data[segment.offset:segment.offset + segment.filesz])
            ranges.append({"start": f"{segment.paddr:#x}", "end": f"{segment.paddr + segment.filesz:#x}",
                           "offset": segment.paddr})
    sidecar = {"format": "kcoredump-ranges", "version": 1, "page_bytes": PAGE, "ranges": ranges}
    (context.folder / "memory.raw.ranges.json").write_text(json.dumps(sidecar))
    return path


def compare_all(context, core, dump):
    """A form that holds every page and nothing else: the kernel is found in memory."""
    info = context.info(dump)
    check(info["kernel"]["release"] == context.kernel.release and info["architecture"] == "x86_64",
          f"{dump.name}: info names {info['kernel']} {info['architecture']}")
    different, counts = recaptured(context, core, dump)
    check(not different and counts["read"] == core.page_count(), f"{dump.name}: {len(different)} differ, {counts}")
    context.host("verify", dump)
    print(f"{dump.name}: {counts['read']} pages identical", flush=True)
