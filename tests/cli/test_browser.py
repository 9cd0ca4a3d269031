#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page of kcoredump report in headless Chromium, full of markup that must stay text.

test_browser.py PROGRAM
"""

import html.parser
import json
import shutil
import subprocess
import unittest

import cli
import elf_core

BROWSER = shutil.which("chromium")
HOSTILE = ("<script>document.title='owned'</script>\"'><img src=x onerror=\"document.title='owned'\">"
           "<svg onload=\"document.title='owned'\"><link rel=stylesheet href=//127.0.0.1:1/x>")


class Elements(html.parser.HTMLParser):
    """What elements a document came to have."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.names, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@unittest.skipUnless(BROWSER, "chromium is not installed")
class Browser(cli.TestCase):
    def setUp(self):
        super().setUp()
        core = elf_core.small_core()
        meta = json.dumps({"host": HOSTILE, "boot_id": HOSTILE}).encode()
        core.notes = elf_core.vmcoreinfo(release="6.1" + HOSTILE) + elf_core.note(b"KCOREDUMP", 1, meta)
        self.page = self.path("page.html")
        self.expect(cli.COMPLETE, "report", core.write(self.path(HOSTILE[:8] + "\u202ecore")), "-o", self.page)

    def browse(self, *words):
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                               "--hide-scrollbars", "--window-size=1200,1600", f"--user-data-dir={self.path('profile')}",
                               *words, self.page.as_uri()], capture_output=True, text=True, check=True, timeout=90)
        # What a page is refused, and every script error, is a line of the console.
        self.assertNotIn("CONSOLE", done.stderr)
        return done.stdout

    def test_markup_stays_text(self):
        dom = self.browse("--dump-dom")
        elements = Elements(dom)
        self.assertEqual(set(), elements.names & {"script", "img", "link", "iframe", "object"})
        self.assertEqual([], [name for name in elements.attributes if name.startswith("on")])
        self.assertNotIn("<title>owned", dom)
        self.assertIn("&lt;script&gt;document.title=", dom)
        self.assertIn("\\xe2\\x80\\xaecore", dom)

    def test_it_is_drawn_in_the_light_in_the_dark_and_on_paper(self):
        shots = {}
        for name, scheme in (("light", 1), ("dark", 0)):
            shot = self.path(f"{name}.png")
            self.browse(f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={scheme}")
            shots[name] = shot.read_bytes()
            self.assertGreater(len(shots[name]), 20000, "a blank page")
        self.assertNotEqual(shots["light"], shots["dark"])
        self.browse(f"--print-to-pdf={self.path('paper.pdf')}")
        self.assertTrue(self.path("paper.pdf").read_bytes().startswith(b"%PDF-"))


if __name__ == "__main__":
    cli.main()
