# SPDX-License-Identifier: MIT
"""A live capture against the hypervisor's own dump of the same guest."""

import filecmp
import json
import time

from vmlab import kernels
from vmlab.elf import EM_X86_64, ET_CORE, PAGE, PT_HIOS, PT_LOAD, PT_LOOS, PT_NOTE, Core, differing_pages
from vmlab.errors import Skip, check
from vmlab.pattern import PAGES, WRITTEN_PAGES, check_pattern, parse_runs

from . import honest
from .context import SEEK_TABLE_MAGIC, capture, check_accounts, prepare_pattern, zstd_test

LEAST_EQUAL = 94.0
MEMORY_KIB, FRAME_BYTES = 64 << 10, 16
# Most that was ever resident, as long as the capture runs.
WATCH_MEMORY = ("(while sleep 0.1; do grep VmHWM /proc/$(pidof kcoredump)/status; done >/tmp/hwm 2>/dev/null) & "
                "watcher=$!;")
SYMBOLS = ("_stext", "_etext", "__start_rodata", "__end_rodata", "linux_banner", "_sdata", "_end")


def run(context, la57):
    """Capture to a disk, then compare structure and every page. With five levels there is a writer in the guest, and
    the capture reads what is volatile first and says how much had changed."""
    pattern = context.need("pattern")
    if la57 and not kernels.has_five_levels(context.kernel):
        raise Skip(f"{context.kernel.release} is built without 5-level page tables; live-4level covers it")
    image = context.disk()
    events = context.folder / "events"
    with context.guest([pattern], disks=[image], cpus=2, la57=la57, port=events) as guest:
        levels = guest.run("grep -qw la57 /proc/cpuinfo")[0] == 0
        check(levels == la57, f"the guest's CPU has la57={levels}, this test wants {la57}")
        guest.must("mount -t ext4 /dev/vda /mnt")
        words = prepare_pattern(guest, "--write" if la57 else "")
        pages = parse_runs(words)
        written = parse_runs(words, "written", WRITTEN_PAGES) if la57 else []
        symbols = read_symbols(guest)
        ram_pages = iomem_pages(guest.must("cat /proc/iomem"))
        check_live_commands(context, guest)
        outcome, witness = honest.capture_and_dump(
            guest, f"-o /mnt/x.elf.zst {honest.OPTIONS if la57 else ''}", WATCH_MEMORY, events, context.folder / "truth")
        guest.must("kill $watcher; sync")
        peak = max(int(line.split()[1]) for line in guest.must("cat /tmp/hwm").splitlines())
        cached = honest.read_meminfo(guest)["Cached"]
        again = capture(guest, "-o /mnt/y.elf.zst --base /mnt/x.elf.zst").expect(0)
        cached = honest.read_meminfo(guest)["Cached"] - cached
        check(cached < honest.MOST_CACHED_KIB, f"the page cache has grown by {cached} KiB: its base was read through it")
        guest.must("sync")
        snapshot, second, *flags = (context.pull(image, name)
                                    for name in ("/x.elf.zst", "/y.elf.zst", "/flags", "/flags_after"))
    honest.check_page_cache(witness, outcome.report, snapshot)
    honest.check_peak(peak, outcome.report)
    check_memory(peak, context.info(snapshot)["frames"])
    check_report(outcome.report, context, snapshot)
    zstd_test(snapshot)
    core, truth = Core(context.unpack(snapshot)), Core(context.folder / "truth")
    check_structure(core, truth)
    check(core.page_count() == ram_pages == outcome.report["pages"]["total"],
          f"pages: snapshot {core.page_count()}, /proc/iomem {ram_pages}, report {outcome.report['pages']['total']}")
    different = compare_pages(core, truth, symbols, set(written))
    check_pattern(core, truth, pages)
    if la57:
        kinds = [honest.kinds_of_pages(each) for each in flags]
        honest.check_smear(outcome.report, kinds[0], core, different, written)
        honest.check_order(context, snapshot, core, symbols, witness.pids, *kinds)
    folded = check_incremental(context, again.report, snapshot, second)
    check_pattern(Core(context.unpack(folded)), truth, pages)
    check_commands(context, snapshot, truth, core, symbols, pages)
    print(f"capture: {outcome.report['seconds']} s, {snapshot.stat().st_size / 1e6:.1f} MB, "
          f"{outcome.report['pages']}")


def check_incremental(context, report, base, snapshot):
    """A second capture of the same guest, made from the first: smaller, and the same once it is folded."""
    check(report["base"]["name"] == base.name and report["base"]["referenced_frames"] > 100, f"base: {report['base']}")
    check(context.info(snapshot)["base"]["referenced_frames"] == report["base"]["referenced_frames"], "info: base")
    folded = context.folder / "folded.elf.zst"
    for arguments in (["verify", snapshot], ["convert", snapshot, folded], ["verify", folded]):
        context.host(*arguments)
    sizes = snapshot.stat().st_size, folded.stat().st_size
    check(sizes[0] < sizes[1] // 2, f"{sizes[0]} bytes refer to a base, and whole they are {sizes[1]}")
    raw = [context.folder / f"{source.name}.raw" for source in (snapshot, folded)]
    for source, target in zip((snapshot, folded), raw):
        context.host("convert", source, target)
    check(filecmp.cmp(*raw, shallow=False), "folding changed memory")
    print(f"incremental: {sizes[0] / 1e6:.1f} MB for {sizes[1] / 1e6:.1f} MB, {report['seconds']} s, {report['base']}")
    return folded


def check_live_commands(context, guest):
    """info and read on the running kernel itself."""
    text = guest.must("kcoredump info")
    check(context.kernel.release in text and "(kcore)" in text, f"info on the live kernel says:\n{text}")
    banner = guest.must("kcoredump read linux_banner 64 --raw | cat")
    check(f"Linux version {context.kernel.release}" in banner, f"linux_banner of the live kernel reads {banner}")


def check_memory(peak_kib, frames):
    """A capture stays below 64 MiB resident plus 16 bytes a frame, on a live kernel with its notes, too."""
    limit = MEMORY_KIB + frames * FRAME_BYTES // 1024
    check(0 < peak_kib < limit, f"the capture had {peak_kib} KiB resident, its limit is {limit}")
    print(f"memory: at most {peak_kib / 1024:.1f} MiB resident")


def read_symbols(guest):
    """Addresses of the symbols that bound text and rodata, from the guest's kallsyms."""
    names = "|".join(SYMBOLS)
    lines = guest.must(f"grep -E ' ({names})$' /proc/kallsyms").splitlines()
    return {words[2]: int(words[0], 16) for words in map(str.split, lines)}


def iomem_pages(text):
    """Whole pages of System RAM in /proc/iomem, whose ends are inclusive."""
    pages = 0
    for line in text.splitlines():
        span, _, name = line.partition(" : ")
        if name == "System RAM" and not span.startswith(" "):
            first, last = (int(part, 16) for part in span.split("-"))
            pages += max(0, (last + 1) // PAGE - -(-first // PAGE))
    return pages


def check_report(report, context, snapshot):
    """The JSON report of a complete capture."""
    check(report["status"] == "complete" and report["reason"] is None, f"status {report['status']}: {report['reason']}")
    check(report["source"] == "/proc/kcore" and report["output"].endswith("x.elf.zst"), f"report: {report}")
    check(report["compressed_bytes"] == snapshot.stat().st_size,
          f"the report says {report['compressed_bytes']} bytes, the file has {snapshot.stat().st_size}")
    check(report["holes"] == [] and report["kallsyms"] == "included", f"report: {report}")
    check(report["iomem"]["state"] == "agrees", f"iomem: {report['iomem']}")
    check(report["around_page_cache"] is True, "the snapshot went through the page cache")
    check_accounts(report)
    info = context.info(snapshot)
    check(info["complete"] is True, "info does not call the snapshot complete")
    check(info["kernel"]["release"] == context.kernel.release, f"info names kernel {info['kernel']}")
    check(info["pages"]["total"] == report["pages"]["total"], f"info counts {info['pages']}")


def check_structure(core, truth):
    """The shape that crash, drgn, makedumpfile and gdb need."""
    check(core.type == ET_CORE and core.machine == EM_X86_64, "not an x86-64 ET_CORE file")
    kinds = [segment.type for segment in core.segments]
    check(kinds.count(PT_NOTE) == 1, f"{kinds.count(PT_NOTE)} PT_NOTE segments")
    check(all(segment.align == 0 for segment in core.loads), "a PT_LOAD has a p_align other than 0")
    images = [segment.is_image for segment in core.loads]
    check(any(images) and images == sorted(images), "the kernel image's PT_LOAD is missing or before RAM")
    check(not any(kind == PT_LOAD for kind in kinds[kinds.index(PT_LOAD) + len(core.loads):]),
          "the PT_LOAD segments do not stand together")
    for segment in core.loads:
        if segment.is_image:
            check(segment.offset == core.offset_of(segment.paddr), "the image is no alias of RAM's bytes")
        check(segment.filesz == segment.memsz, "a PT_LOAD's filesz is not its memsz")
    vendor = core.segments[-1]
    check(PT_LOOS <= vendor.type <= PT_HIOS, f"the last segment has type {vendor.type:#x}, not a vendor's")
    ours = list(core.notes(vendor))
    check(ours and {owner for owner, _, _ in ours} == {"KCOREDUMP"}, "the vendor segment has no KCOREDUMP notes")
    check_our_notes({kind: text for _, kind, text in reversed(ours)})
    check_standard_notes(core, truth)


def check_our_notes(notes):
    """What makes the snapshot self-describing, by note type (lib/format/snapshot/FORMAT.md)."""
    missing = set(range(1, 9)) - set(notes)
    check(not missing, f"KCOREDUMP notes of types {sorted(missing)} are missing")
    json.loads(notes[1])
    check(b" linux_banner\n" in notes[2], "the kallsyms note has no linux_banner")
    name, _, btf = notes[3].partition(b"\0")
    check(name == b"vmlinux" and btf.lstrip(b"\0")[:2] == b"\x9f\xeb", "the first BTF note is not vmlinux's BTF")
    for kind, words in ((4, b"virtio_blk "), (5, b"vmalloc"), (6, b"System RAM"), (7, b"console="), (8, b"Linux version")):
        check(words in notes[kind], f"the KCOREDUMP note of type {kind} does not say {words.decode()!r}")


def check_standard_notes(core, truth):
    """kcore's own notes are kept, and VMCOREINFO is the very text the guest gave the hypervisor."""
    notes = core.standard_notes()
    check([kind for owner, kind, _ in notes if owner == "CORE"][:1] == [1], "kcore's PRSTATUS note is not kept")
    mine = [text for owner, _, text in notes if owner == "VMCOREINFO"]
    check(len(mine) == 1, f"{len(mine)} VMCOREINFO notes")
    theirs = [text for owner, _, text in truth.standard_notes() if owner == "VMCOREINFO"]
    check(len(theirs) == 1, "the hypervisor's dump has no VMCOREINFO (qemu_fw_cfg not loaded?)")
    check(vmcoreinfo_lines(mine[0]) == vmcoreinfo_lines(theirs[0]), "VMCOREINFO differs from the hypervisor's")


def vmcoreinfo_lines(text):
    """The lines of a VMCOREINFO note."""
    return text.rstrip(b"\0").decode().splitlines()


def compare_pages(core, truth, symbols, written):
    """Text and rodata identical, and nearly everything else but what is `written` to. Returns what is not."""
    started = time.monotonic()
    different = differing_pages(core, truth)
    for first, last in (("_stext", "_etext"), ("__start_rodata", "__end_rodata")):
        start = core.physical_of_image(symbols[first]) // PAGE * PAGE
        end = core.physical_of_image(symbols[last] - 1) + 1
        wrong = sorted(page for page in different if start <= page < end)
        check(not wrong, f"{first}..{last}: {len(wrong)} pages differ, first at {wrong[:1] and hex(wrong[0])}")
        print(f"{first}..{last}: {(end - start + PAGE - 1) // PAGE} pages identical")
    total = core.page_count()
    equal = 100 * (total - len(different - written)) / total
    print(f"all: {equal:.2f} % of {total} pages identical "
          f"(compared in {time.monotonic() - started:.1f} s)")
    check(equal >= LEAST_EQUAL, f"only {equal:.2f} % of all pages are identical")
    return different


def check_commands(context, snapshot, truth, core, symbols, pages):
    """verify, info and read on the host, judged by the hypervisor's dump."""
    context.host("verify", snapshot)
    text = context.host("info", "-f", snapshot).decode()
    check(context.kernel.release in text, f"info does not name the kernel:\n{text}")
    stext = core.physical_of_image(symbols["_stext"])
    spots = [(stext, 4096), (stext + 5, 9000), (pages[0], 4096), (pages[PAGES // 2] + 4090, 6), (pages[7] + 1, 1)]
    for address, length in spots:
        got = context.host("read", "--phys", "--raw", hex(address), length, "-f", snapshot)
        check(got == truth.read_physical(address, length), f"read --phys {address:#x} {length} gives other bytes")
    banner = context.host("read", "--raw", hex(symbols["linux_banner"]), 64, "-f", snapshot)
    check(banner.startswith(b"Linux version " + context.kernel.release.encode()), f"linux_banner reads {banner}")
    dump = context.host("read", "--phys", hex(pages[3]), 32, "-f", snapshot).decode().splitlines()
    check("|!nrettaP" in dump[0] and dump[0].split()[1:3] == ["21", "6e"], f"not as hexdump -C shows it: {dump[0]}")


def pipe(context):
    """Stream through a pipe to another machine's file."""
    arrived = context.folder / "arrived.elf.zst"
    with context.guest(port=arrived) as guest:
        guest.must(f"{{ kcoredump capture -o - 2>/tmp/messages; echo $? >/tmp/status; }} | "
                   f"cat >{guest.port_node}", timeout=240)
        status, messages = int(guest.must("cat /tmp/status")), guest.must("cat /tmp/messages")
        check(status == 0, f"capture -o - exits {status}: {messages}")
        # The last buffers may still be on their way through the port.
        for _ in range(50):
            if arrived.stat().st_size and arrived.read_bytes()[-4:] == SEEK_TABLE_MAGIC:
                break
            time.sleep(0.2)
    check(arrived.stat().st_size > 0, "nothing arrived")
    zstd_test(arrived)
    context.host("verify", arrived)
    check(context.info(arrived)["complete"] is True, "the streamed snapshot is not complete")
    core = Core(context.unpack(arrived))
    check(core.type == ET_CORE and core.page_count() > 0, "what arrived is no core file")
    print(f"pipe: {arrived.stat().st_size / 1e6:.1f} MB, {core.page_count()} pages")


# Ways to kcore that do not end in its name; the shell opens descriptor 9.
OTHER_NAMES = ("/tmp/link", "/dev/core", "/dev/fd/9", "/tmp/bound")


def other_names(context):
    """kcore is kcore, whatever leads there: read with its labels, its kallsyms and a descriptor a thread."""
    with context.guest(cpus=2, disks=[context.disk(512)]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt; ln -s /proc/kcore /tmp/link; ln -sf /proc/kcore /dev/core;"
                   "ln -sfn /proc/self/fd /dev/fd; touch /tmp/bound; mount --bind /proc/kcore /tmp/bound; exec 9</proc/kcore")
        for name in OTHER_NAMES:
            outcome = capture(guest, f"-f {name} -o /mnt/x.elf.zst --force --threads 2").expect(0)
            report = outcome.report
            check(report["page_flags"] == "used", f"{name}: page_flags is {report['page_flags']}")
            check(report["kallsyms"] == "included", f"{name}: kallsyms is {report['kallsyms']}")
            info = json.loads(guest.must(f"kcoredump info -f {name} --json"))
            check(info["format"] == "kcore", f"{name} is taken for {info['format']}")
            print(f"{name}: {report['pages']}")
