# SPDX-License-Identifier: MIT
"""Memory and its addresses, held against pagemap, kcore and the hypervisor's dump."""

import re

from vmlab.elf import PAGE
from vmlab.errors import check

from . import judge
from .stage import INSIDE


def check_banner(answers, version):
    """linux_banner is /proc/version."""
    got = answers.ask("banner").text()
    check(got == version, f"read linux_banner gives {got!r}, /proc/version says {version!r}")
    return "linux_banner"


def check_process_pages(answers, stage, before, after):
    """Every page that was asked for is where pagemap has it, or nowhere when pagemap has none."""
    here = absent = 0
    sizes = set()
    for name in stage.process_pages:
        documents = answers.ask(f"vtop_{name}").documents()
        check([int(each["address"], 16) - INSIDE for each in documents] == list(before[name]),
              f"vtop of {name} does not answer what it was asked")
        for document, page in zip(documents, before[name]):
            right = [frame and frame * PAGE + INSIDE for frame in (before[name][page], after[name][page])]
            said = document["physical"] and int(document["physical"], 16)
            check(said in right, f"vtop: {page:#x} of {name} is physical {document['physical']}, pagemap says "
                  f"{right[0] and hex(right[0])}: {document['levels'][-1:]}")
            here, absent = here + (said is not None), absent + (said is None)
            sizes.add(document["page_bytes"])
    check(here > 200 and absent > 0, f"only {here} pages present and {absent} absent: this proves little")
    return f"{here} pages of processes, {absent} absent ones, in sizes {sorted(size for size in sizes if size)}"


def check_kernel_pages(answers, asked):
    """Kernel addresses are where the program headers have them, both by the tables and by arithmetic."""
    documents = answers.ask("vtop_kernel").documents()
    check(len(documents) == len(asked), f"vtop answers {len(documents)} of {len(asked)} kernel addresses")
    for document, (address, physical) in zip(documents, asked.items()):
        check(document["levels"] and document["physical"] and int(document["physical"], 16) == physical,
              f"vtop: {address:#x} is physical {document['physical']}, it is {physical:#x}: {document}")
    return f"{len(asked)} addresses of image and direct map"


def check_vmalloc_pages(answers, addresses, before, after, truth):
    """Pages of modules and vmalloc space: what `read` gives is what kcore gave, and vtop says where that is."""
    documents = answers.ask("vtop_vmalloc").documents()
    # What is freed but not yet unmapped in vmallocinfo has no pages any more.
    areas = [area for area, (_, pages) in judge.stable(before.texts.areas, after.texts.areas).items() if pages]
    same = 0
    for index, address in enumerate(addresses):
        mine = before.kcore[index]
        if mine != after.kcore[index] or not any(start <= address < end for start, end in areas):
            continue
        same += 1
        got = answers.ask(f"page_{index}")
        check(got.status == 0 and got.output == mine, f"read {address:#x} gives other bytes than kcore: status "
              f"{got.status}, {got.messages[-300:]}")
        physical = documents[index]["physical"]
        check(physical, f"vtop: {address:#x} is not mapped, but kcore has bytes there: {documents[index]}")
        check(truth.read_physical(int(physical, 16), PAGE) == mine,
              f"vtop: {address:#x} is said to be physical {physical}, where other bytes are")
    check(same > len(addresses) // 2, f"only {same} of {len(addresses)} pages of vmalloc space stood still")
    return f"{same} pages of vmalloc space"


def check_process_memory(answers, digest):
    """The whole pattern through its process's page tables."""
    got = answers.ask("pattern").text().split()[0]
    check(got == digest, f"read pid:… of the pattern: md5 {got}, it should be {digest}")
    return "the pattern by its process"


def check_search(answers, right):
    """A pattern is found where it is and nowhere else, and linux_banner by its text."""
    found = answers.ask("search").json()
    got = {int(match["physical"], 16) for match in found["matches"]}
    check(found["complete"] and got == right, f"search: of {len(right)} places {len(right - got)} are not found, and "
          f"{len(got - right)} that are none")
    names = {match["symbol"] for match in answers.ask("search_text").json()["matches"]}
    check(any(name and re.match(r"linux_banner\b", name) for name in names),
          f"search: linux_banner is not among {names}")
    return f"{len(got)} places found"
