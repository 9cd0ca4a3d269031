// SPDX-License-Identifier: MIT
#include "inspect/picture/html.h"

#include <gtest/gtest.h>

#include "inspect/picture/markup.h"
#include "kcoredump/report.h"

namespace kcoredump {
namespace {

using namespace std::string_literals;

TEST(MarkupText, WhatMeansSomethingToABrowserIsWrittenAsAReference) {
  EXPECT_EQ(MarkupText("<script>alert('1')</script> & \"x\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;");
  EXPECT_EQ(MarkupText("&lt;"), "&amp;lt;");
  EXPECT_EQ(MarkupText("plain, größer 日本"), "plain, größer 日本");
}

TEST(MarkupText, WhatCannotBeShownIsSpelled) {
  EXPECT_EQ(MarkupText("a\0b"s), "a\\x00b");
  EXPECT_EQ(MarkupText("\x1b[31m\x07\n\r\t\x7f"), "\\x1b[31m\\x07\\x0a\\x0d\\x09\\x7f");
  EXPECT_EQ(MarkupText("\xff\xc0\xaf\xed\xa0\x80<"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80&lt;");
  EXPECT_EQ(MarkupText("\xc2\x9b"), "\\xc2\\x9b") << "C1";
}

TEST(MarkupText, NothingTurnsTheTextAround) {
  EXPECT_EQ(MarkupText("a\u202egnp.exe"), "a\\xe2\\x80\\xaegnp.exe");
  EXPECT_EQ(MarkupText("\u2066x\u2069"), "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9");
  EXPECT_EQ(MarkupText("\u2028"), "\\xe2\\x80\\xa8");
}

TEST(MarkupText, ASequenceCutShortTakesNoMarkupAlong) {
  EXPECT_EQ(MarkupText("\xe2<b>"), "\\xe2&lt;b&gt;");
  EXPECT_EQ(MarkupText("\xf0\x9f\""), "\\xf0\\x9f&quot;");
}

TEST(HtmlTable, CellsAreText) {
  HtmlTable table({{"<N>", true}, {"NAME"}});
  table.AddRow({"1", "</td><script>\n"});
  const std::string html = table.Html();
  EXPECT_NE(html.find("<th class=\"number\">&lt;N&gt;</th>"), std::string::npos);
  EXPECT_NE(html.find("<td>&lt;/td&gt;&lt;script&gt;\\x0a</td></tr>"), std::string::npos);
}

TEST(HtmlTable, MissingCellsAreEmptyAndRowsPastTheLimitCounted) {
  HtmlTable table({{"A"}, {"B"}});
  for (size_t i = 0; i < kMaxReportRows + 12; ++i) table.AddRow({"x"});
  const std::string html = table.Html();
  EXPECT_NE(html.find("<tr><td>x</td><td></td></tr>"), std::string::npos);
  EXPECT_NE(html.find("and 12 more"), std::string::npos);
}

TEST(HtmlLines, EachLineIsTextAndTheLastOnesStay) {
  EXPECT_NE(
      HtmlLines("[1] <b>\t\x1b[0m\n[2] x\n").find("<pre>[1] &lt;b&gt; \\x1b[0m\n[2] x\n</pre>"),
      std::string::npos);
  std::string many;
  for (size_t i = 0; i < kMaxReportRows + 3; ++i) many += std::to_string(i) + "\n";
  const std::string html = HtmlLines(many);
  EXPECT_NE(html.find("3 lines before these are left out"), std::string::npos);
  EXPECT_NE(html.find("<pre>3\n4\n"), std::string::npos);
}

TEST(HtmlFacts, EmptyValuesAreLeftOut) {
  EXPECT_EQ(HtmlFacts({{"a", ""}, {"b", "<>"}}), "<dl>\n<dt>b</dt><dd>&lt;&gt;</dd>\n</dl>\n");
}

TEST(HtmlDocument, NothingMayBeLoadedAndNothingRun) {
  const std::string html = HtmlDocument("</title><script>", "");
  EXPECT_NE(html.find("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""),
            std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("url("), std::string::npos);
}

}  // namespace
}  // namespace kcoredump
