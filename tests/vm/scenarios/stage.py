# SPDX-License-Identifier: MIT
"""A guest made ready to be asked about: its processes, code and log, and the places chosen in its memory."""

import base64
import dataclasses
import re

from vmlab.elf import PAGE, Core
from vmlab.pattern import MAGIC, PAGES, parse_runs, pattern_page
from vmlab.texts import UNPURGED, parse_kallsyms, parse_modules, parse_vmallocinfo

from . import planted, responder, work
from .answers import BULK
from .context import prepare_pattern

LINES_TO_WRAP_THE_LOG = 4500
LIVE_PATTERN_PAGES = 1024
SEARCH_BYTES = 4 << 20
# Within a page: an address is not only its page.
INSIDE = 0x123

# A traced function, and a kprobe that cannot use ftrace: on the first instruction behind what every function begins
# with. With IBT that is four bytes longer.
MAKE_CODE = r"""
mount -t tracefs tracefs /sys/kernel/tracing; cd /sys/kernel/tracing
echo do_sys_openat2 >set_ftrace_filter; echo function >current_tracer
for offset in 5 9; do echo p:lab/probe kernel_clone+$offset >kprobe_events && break; done 2>/dev/null
echo 1 >events/lab/probe/enable
cd /
"""

# Lines of many lengths, some with odd characters, until the first ones are overwritten. None of level 0, which the
# console shows.
FILL_LOG = r"""
i=0
while [ $i -lt %d ]; do
  i=$((i + 1))
  case $((i %% 5)) in
    0) pad=$(($i * $i)) ;;
    1) pad=0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz ;;
    2) pad= ;;
    3) pad='tab	here, escape here, \ backslash, caf%s, <script>alert(1)</script> &lt;' ;;
    4) pad="$pad $pad $pad" ;;
  esac
  echo "<$((i %% 7 + 1))>lab: line $i $pad"
done >/dev/kmsg
"""


@dataclasses.dataclass
class Stage:
    """The guest's processes and places that questions are about."""

    tasks: dict  # pids by name
    pages: list  # physical addresses of the pattern's pages
    area: int  # its virtual address
    version: str
    symbols: list  # parse_kallsyms()
    process_pages: dict  # (first page, pages, every so many is asked for) of stretches, by the task's name
    kernel_addresses: dict  # physical ones by virtual ones
    vmalloc_pages: dict  # offsets in kcore by virtual address
    inner: dict  # an address within a symbol, by the symbol's
    areas: dict  # an address within an area, by its (start, end)

    def asked_pages(self, name):
        """The virtual addresses of the pages that are asked for of a process."""
        return [page for first, count, step in self.process_pages[name]
                for page in range(first, first + count * PAGE, step * PAGE)]


def prepare(context, guest, image):
    """Start what is to be looked at, and choose the places that will be asked for."""
    guest.must("mount -t ext4 /dev/vda /mnt; mkdir /mnt/lists; echo 1 >/proc/sys/kernel/kptr_restrict\n"
               "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled")
    words = prepare_pattern(guest)
    guest.must(responder.MAKE_MOUNTS)
    guest.must(work.START)
    tasks = start_tasks(guest)
    print(f"clean: {planted.check_clean(guest)}", flush=True)
    guest.must(MAKE_CODE)
    guest.must(FILL_LOG % (LINES_TO_WRAP_THE_LOG, "\u00e9"))
    guest.must("cat /proc/kallsyms >/mnt/kallsyms; cd /mnt/lists\n"
               "awk '!a[$1]++ { print $1 >\"addresses\" } !n[$3]++ { print $3 >\"names\" }' /mnt/kallsyms; sync", 120)
    symbols = parse_kallsyms(context.pull(image, "/kallsyms").read_text())
    areas = parse_vmallocinfo(guest.must("cat /proc/vmallocinfo"))
    modules = parse_modules(guest.must("cat /proc/modules"))
    core = kcore_headers(context, guest)
    pages, area = parse_runs(words), int(re.search(r"^area (0x\w+)", words, re.M)[1], 16)
    stage = Stage(tasks, pages, area, guest.must("cat /proc/version"), symbols,
                  choose_process_pages(guest, tasks, area), choose_kernel_addresses(symbols, core, pages),
                  choose_vmalloc_pages(modules, areas, core), choose_inner(symbols), choose_in_areas(areas))
    write_lists(guest, stage)
    return stage


def start_tasks(guest):
    """Pids by name, of guest_tasks' children and of the pattern's holder."""
    text = guest.must("guest_tasks >/tmp/tasks.log 2>&1 &\n"
                      "for i in $(seq 300); do grep -q ready /tmp/tasks.log && break; sleep 0.1; done\n"
                      "cat /tmp/tasks.log; grep -q ready /tmp/tasks.log; echo pattern $(pidof guest_pattern)")
    return {words[0]: int(words[1]) for words in map(str.split, text.splitlines()) if len(words) == 2}


def kcore_headers(context, guest):
    """The program headers of the guest's kcore."""
    path = context.folder / "kcore-headers"
    path.write_bytes(base64.b64decode(guest.must("dd if=/proc/kcore bs=4096 count=4 2>/dev/null | base64")))
    return Core(path, torn=True)


def choose_process_pages(guest, tasks, area):
    """All of a small process, and parts of large ones."""
    # Where it stopped, and its stack there, are in memory for certain.
    tasks["resting"] = tasks["stopped"]
    rests = [int(word, 16) & -PAGE for word in guest.must(f"cat /proc/{tasks['stopped']}/syscall").split()[-2:]]
    chosen = {"pattern": [(area, 96, 1), (area + (PAGES - 32) * PAGE, 32, 1)], "huge": [], "stopped": [],
              "resting": [(page, 1, 1) for page in sorted(rests)]}
    for name, least, step in (("stopped", 0, 1), ("huge", 1 << 20, 127)):
        for line in guest.must(f"cat /proc/{tasks[name]}/maps").splitlines():
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if end - start >= least and "[vsyscall]" not in line:
                chosen[name].append((start, (end - start) // PAGE, step))
    return chosen


def choose_kernel_addresses(symbols, core, pages):
    """Text, rodata and data of the image, and the direct map."""
    bounds = {name: address for address, _, name, _ in symbols if name in (
        "_stext", "_etext", "__start_rodata", "__end_rodata", "_sdata", "_edata")}
    chosen = {}
    for first, last in (("_stext", "_etext"), ("__start_rodata", "__end_rodata"), ("_sdata", "_edata")):
        inside = [address for address, *_ in symbols if bounds[first] <= address < bounds[last]]
        for address in inside[::max(1, len(inside) // 30)]:
            chosen[address] = core.physical_of_image(address)
    for page in pages[::PAGES // 30]:
        segment = next(segment for segment in core.ram if segment.paddr <= page < segment.paddr + segment.memsz)
        chosen[segment.vaddr + page - segment.paddr + INSIDE] = page + INSIDE
    return chosen


def choose_vmalloc_pages(modules, areas, core):
    """The first text of modules, and the first pages of some areas that have pages of their own."""
    own = [start for (start, _), (_, pages) in areas.items() if pages]
    chosen = {}
    for address in [words[4] for words in modules.values()][:6] + own[::max(1, len(own) // 10)]:
        segment = next(segment for segment in core.loads if segment.vaddr <= address < segment.vaddr + segment.memsz)
        chosen[address] = segment.offset + address - segment.vaddr
    return chosen


def choose_inner(symbols):
    """Addresses in the middle of the kernel's own symbols."""
    own = sorted({address for address, _, _, module in symbols if not module and address >> 63})
    pairs = list(zip(own, own[1:]))[::200]
    taken = {address for address, *_ in symbols}
    chosen = {start: (start + end) // 2 for start, end in pairs if 1 < end - start < 1 << 20}
    return {start: address for start, address in chosen.items() if address not in taken}


def choose_in_areas(areas):
    """An address in each area of vmalloc space that does not go by itself."""
    return {(start, end): start + 0x18 for (start, end), words in areas.items() if words != UNPURGED}


def write_lists(guest, stage):
    """What many questions are about at once, one a line, in the guest's /mnt/lists."""
    lists = {"inner": stage.inner.values(), "areas": stage.areas.values(), "vtop_kernel": stage.kernel_addresses,
             "vtop_vmalloc": stage.vmalloc_pages}
    for name in stage.process_pages:
        lists[f"vtop_{name}"] = [page + INSIDE for page in stage.asked_pages(name)]
    for name, addresses in lists.items():
        text = "\n".join(f"{address:#x}" for address in addresses)
        guest.must(f"cat >/mnt/lists/{name} <<EOF\n{text}\nEOF\n")


def live_questions(stage):
    """What the kernel is asked in its guest, where all is slow: searches only where there is something."""
    around = (stage.pages[5] & -SEARCH_BYTES, SEARCH_BYTES)
    return questions_about(stage, f"--hex '{pattern_page(5)[:16].hex(' ')}' --range phys:{around[0]:#x}:{around[1]}",
                           f"'Linux version' --range linux_banner-0x1000:{SEARCH_BYTES}", LIVE_PATTERN_PAGES)


def file_questions(stage):
    """What files are asked on the host."""
    return {**questions_about(stage, f"--hex '{MAGIC.hex(' ')}' --max 20000", "'Linux version'", PAGES),
            **responder.FILE_QUESTIONS}


def questions_about(stage, search, search_text, pages):
    """Shell text by name: $K the program, $F its -f option, $IN the folder of lists."""
    questions = {
        "symbols": "$K sym '*' --max 0 $F",
        "by_address": f"{BULK} $K sym $F <$IN/addresses",
        "by_name": f"{BULK} $K sym $F <$IN/names",
        "inner": f"{BULK} $K sym --json $F <$IN/inner",
        "areas": f"{BULK} $K sym --json $F <$IN/areas",
        "vmalloc": "$K vmalloc --json $F",
        "vmalloc_memory": "$K vmalloc --from-memory --json $F",
        "mod": "$K mod --json $F",
        "map": "$K map --json $F",
        "ps": "$K ps --threads --json $F",
        "processes": "$K ps --json $F",
        "log": "$K log --json $F",
        "log_text": "$K log $F",
        "banner": f"$K read linux_banner {len(stage.version)} --raw $F",
        "pattern": f"$K read pid:{stage.tasks['pattern']}:{stage.area:#x} {pages * PAGE} --raw $F | md5sum",
        "search": f"$K search {search} --align 4096 --json $F",
        "search_text": f"$K search {search_text} --json $F",
        "vtop_kernel": f"{BULK} $K vtop --json $F <$IN/vtop_kernel",
        "vtop_vmalloc": f"{BULK} $K vtop --json $F <$IN/vtop_vmalloc",
    }
    for name in stage.process_pages:
        questions[f"vtop_{name}"] = f"{BULK} $K vtop --pid {stage.tasks[name]} --json $F <$IN/vtop_{name}"
    for index, address in enumerate(stage.vmalloc_pages):
        questions[f"page_{index}"] = f"$K read {address:#x} {PAGE} --raw $F"
    questions.update(responder.questions(stage))
    questions.update(work.questions(stage))
    return questions
