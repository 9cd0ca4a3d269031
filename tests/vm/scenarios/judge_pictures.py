# SPDX-License-Identifier: MIT
"""Maps and reports: struct pages tell of a dump what /proc/kpageflags told of the live kernel."""

import json
import pathlib
import sys

from vmlab.errors import check

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from strict_html import Page  # noqa: E402  (its folder is not this one's)

# Pages of these change little between two looks; of the rest a capture's own buffers make a difference.
STEADY = {"reserved": 0.02, "slab": 0.3, "cache": 0.3, "page tables": 0.6}
FEW_PAGES = 64
SECTIONS = {"kernel", "map", "timeline", "processes", "modules", "log"}


def check_maps(sources):
    """Every source's account of its pages against the live kernel's; what is wrong."""
    maps = {answers.name: json.loads(answers.ask("map").output) for answers, *_ in sources}
    totals = {name: {kind["name"]: kind["pages"] for kind in one["kinds"]} for name, one in maps.items()}
    print(f"maps: {totals}")
    wrong = [f"map of {name}: {one['notes']}" for name, one in maps.items() if one["notes"]]
    for name, pages in totals.items():
        for kind, share in STEADY.items():
            live = totals["live"][kind]
            if abs(pages[kind] - live) > FEW_PAGES + share * live:
                wrong.append(f"map of {name}: {pages[kind]} pages are {kind}, kpageflags said {live}")
        if pages["page tables"] == 0:
            wrong.append(f"map of {name}: no page tables")
    return wrong


def check_report(answers):
    """The page of a file is nothing but text, and has every section."""
    answer = answers.ask("report")
    page = Page().feed_all(answer.output)
    check(SECTIONS <= set(page.sections), f"the report has only {sorted(page.sections)}")
    for name, words in (("processes", "kthreadd"), ("log", "<script>alert(1)</script> &lt;"), ("modules", "virtio")):
        check(words in page.sections[name], f"the report's {name} are {page.sections[name][:200]!r}")
    return "report"
