# SPDX-License-Identifier: MIT
"""A hole in vmalloc space: raw reads of kcore may show an old page there (Linux up to 6.3), ours must not."""

import base64

from vmlab.elf import PAGE
from vmlab.errors import check
from vmlab.pattern import parse_runs, pattern_page
from vmlab.texts import parse_vmallocinfo

from .context import capture, prepare_pattern
from .stage import kcore_headers

KNOWN_PAGE = 7
MOST_HOLES = 12


def run(context):
    """The guard pages of areas and the gaps between areas, live and from a snapshot."""
    image = context.disk(512)
    with context.guest([context.need("pattern")], disks=[image]) as guest:
        guest.must("mount -t ext4 /dev/vda /mnt; echo 1 >/proc/sys/kernel/kptr_restrict")
        known = parse_runs(prepare_pattern(guest))[KNOWN_PAGE]
        before = parse_vmallocinfo(guest.must("cat /proc/vmallocinfo"))
        core = kcore_headers(context, guest)
        guards, gaps = choose_guards(before), choose_gaps(before, core)
        for what, holes in (("guard pages", guards), ("gaps between areas", gaps)):
            stale = sum(raw_hole(guest, core, known, hole) == pattern_page(KNOWN_PAGE) for hole in holes)
            print(f"{what}: a raw read shows the page read before in {stale} of {len(holes)}", flush=True)
        check_holes(lambda *words: live(guest, *words), guards, gaps)
        capture(guest, "-o /mnt/x.elf.zst").expect(0)
        guest.must("sync")
        after = parse_vmallocinfo(guest.must("cat /proc/vmallocinfo"))
        snapshot = context.pull(image, "/x.elf.zst")
    check_still_holes([*guards, *gaps], after)
    check_holes(lambda *words: from_file(context, snapshot, *words), guards, gaps)
    print(f"{len(guards)} guard pages and {len(gaps)} gaps are errors, live and from a snapshot")


def choose_guards(areas):
    """The guard pages of areas that stay, with pages up to there."""
    chosen = [end - PAGE for (start, end), (caller, pages) in areas.items()
              if pages and (pages + 1) * PAGE == end - start and "clone" not in caller and "fork" not in caller]
    check(chosen, "no area of vmalloc space has a guard page")
    return chosen[:MOST_HOLES]


def choose_gaps(areas, core):
    """The middle pages of the widest gaps between areas; new areas are put at a gap's start."""
    bounds = sorted(areas)
    gaps = sorted((following - end, end) for (_, end), (following, _) in zip(bounds, bounds[1:])
                  if end < following and segment_of(core, end) and segment_of(core, end) is segment_of(core, following))
    check(gaps, "there is no gap between areas of vmalloc space")
    return [end + width // 2 // PAGE * PAGE for width, end in gaps[-MOST_HOLES:]]


def check_still_holes(holes, areas):
    """What was put there meanwhile would be no hole any more."""
    taken = [hex(hole) for hole in holes for start, end in areas if start <= hole < end - PAGE]
    check(not taken, f"areas were made at {taken} meanwhile: the test proves nothing")


def raw_hole(guest, core, known, hole):
    """What kcore gives for `hole` right after `known`, through one open file."""
    first = core.offset_of(known) // PAGE
    segment = segment_of(core, hole)
    second = (segment.offset + hole - segment.vaddr) // PAGE
    # dd skips from where the one before stopped.
    text = guest.must(f"exec 3</proc/kcore; dd bs={PAGE} skip={first} count=1 <&3 2>/dev/null >/dev/null\n"
                      f"dd bs={PAGE} skip={second - first - 1} count=1 <&3 2>/dev/null | base64; exec 3<&-")
    return base64.b64decode(text)


def segment_of(core, address):
    """kcore's segment that holds a kernel virtual address; None: none does."""
    return next((each for each in core.loads if each.vaddr <= address < each.vaddr + each.memsz), None)


def live(guest, *words):
    """(exit status, output, messages) of the product in the guest."""
    status, messages = guest.run(f"kcoredump {' '.join(map(str, words))} 2>&1 >/tmp/output")
    return status, base64.b64decode(guest.must("base64 /tmp/output")), messages


def from_file(context, snapshot, *words):
    """The same of the product on the host."""
    done = context.host_any(*words, "-f", snapshot)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def check_holes(ask, guards, gaps):
    """Each is an error, what lies before a guard page is not, and a search does not look into them."""
    for hole in [*guards, *gaps]:
        status, output, messages = ask("read", hex(hole), PAGE, "--raw")
        check((status, output) == (3, b"") and "not mapped" in messages,
              f"read {hole:#x}, a hole: status {status}, {len(output)} bytes, {messages}")
    for hole in guards:
        status, output, messages = ask("read", hex(hole - PAGE), 2 * PAGE, "--raw")
        check(status == 3 and len(output) == PAGE and f"{hole:#x} is not mapped" in messages,
              f"read {hole - PAGE:#x} into a hole: status {status}, {len(output)} bytes, {messages}")
    status, output, messages = ask("vtop", *map(hex, [*guards, *gaps]))
    check(status == 0 and output.count(b"is not mapped") == len(guards) + len(gaps),
          f"vtop of holes: status {status}, {output}, {messages}")
    for hole in (guards[0], gaps[-1]):
        status, output, messages = ask("search", "nrettaP", "--range", f"{hole:#x}:{PAGE}")
        check(status == 0 and not output and "not mapped" in messages,
              f"search at {hole:#x}: status {status}, {output}, {messages}")
