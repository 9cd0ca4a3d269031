# SPDX-License-Identifier: MIT
"""Reads a report's page as strictly as a test should: what is foreign may be text and nothing else."""

import html.parser
import re

VOID = {"meta", "br", "hr", "img", "link", "input"}
ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "nav", "a", "section", "dl", "dt", "dd",
            "div", "table", "thead", "tbody", "tr", "th", "td", "p", "pre", "svg", "g", "path", "rect", "text"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# C0 but for the newline, DEL, C1, and what turns or breaks lines.
UNSHOWN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffd]")


class Page(html.parser.HTMLParser):
    """After feed_all(): `text`, all of it, and `sections`, by id."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.text, self.sections, self.policy, self._open, self._section = "", {}, None, [], None

    def feed_all(self, data):
        """`data`: bytes. AssertionError says what is wrong."""
        text = data.decode("utf-8")
        assert not UNSHOWN.search(text), f"a character that must be escaped: {UNSHOWN.search(text)}"
        assert text.startswith("<!DOCTYPE html>\n<html")
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"
        assert self.policy == POLICY, self.policy
        return self

    def handle_starttag(self, tag, attrs):
        assert tag in ELEMENTS, f"<{tag}>"
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} {name}"
            if name in ("href", "src", "action", "data", "xlink:href"):
                assert name == "href" and re.fullmatch(r"#[a-z]+", value), f"{name}={value}"
            assert "url(" not in value and "javascript:" not in value, f"{name}={value}"
        names = dict(attrs)
        if names.get("http-equiv") == "Content-Security-Policy":
            self.policy = names["content"]
        if tag == "section":
            self._section = names["id"]
        if tag not in VOID:
            self._open.append(tag)

    handle_startendtag = html.parser.HTMLParser.handle_startendtag

    def handle_endtag(self, tag):
        assert self._open and self._open[-1] == tag, f"</{tag}> in {self._open}"
        self._open.pop()
        if tag == "section":
            self._section = None

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            assert "url(" not in data and "@import" not in data and "http" not in data
            return
        self.text += data
        if self._section:
            self.sections[self._section] = self.sections.get(self._section, "") + data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")
