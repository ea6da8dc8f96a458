#include "common/base/terminal_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace elephas {
namespace {

using nlohmann::json;

TEST(TerminalTextTest, WhatIsPrintableStays) {
  for (const char* text : {"", "plain", "two\nlines", "élan 象 🐘", "~ {\"a\": 1}"}) {
    EXPECT_EQ(TerminalText(text), text);
  }
}

TEST(TerminalTextTest, WhatMovesATerminalIsReplaced) {
  EXPECT_EQ(TerminalText("a\x1b[2Jb\rc\td\ae\x7f"), "a [2Jb c d e ");
  EXPECT_EQ(TerminalText(std::string_view("a\0b", 3)), "a b");
  // CSI, DCS, OSC and next line in one character, as UTF-8 and as a single byte.
  EXPECT_EQ(TerminalText("a\xc2\x9b"
                         "31mb\xc2\x90\xc2\x9d\xc2\x85"),
            "a 31mb   ");
  EXPECT_EQ(TerminalText("a\x9b"
                         "31mb"),
            "a 31mb");
  // Right to left, line and paragraph separators, a byte order mark.
  EXPECT_EQ(TerminalText("a\u202Eb\u2028c\u2029d\u2066e\u2069f\u200Fg\uFEFF"), "a b c d e f g ");
}

TEST(TerminalTextTest, WhatIsNoUtf8IsReplacedByteByByte) {
  EXPECT_EQ(TerminalText("a\xff\xc3", '?'), "a??");
  EXPECT_EQ(TerminalText("\xc0\x80\xed\xa0\x80\xf5z", '?'), "??????z");
  EXPECT_EQ(TerminalText("\xe8\xb1", '?'), "??");  // a character that is cut off
}

TEST(TerminalTextTest, EveryByteGivesTextThatIsJson) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = {'a', static_cast<char>(byte), 'b'};
    EXPECT_NO_THROW((void)json(TerminalText(text)).dump()) << byte;
  }
}

TEST(TerminalTextTest, JsonMeansTheSameAndMovesNothing) {
  const json value{{"a\x1b", "b\xc2\x9b\x7f 象 \u202E"}, {"n", {1, 2}}};
  for (const int indent : {-1, 4}) {
    const std::string written = TerminalJson(value.dump(indent));
    EXPECT_EQ(json::parse(written), value);
    std::string shown = written;
    std::erase(shown, '\n');
    EXPECT_EQ(TerminalText(shown), shown);
    EXPECT_NE(written.find("象"), std::string::npos);
  }
}

}  // namespace
}  // namespace elephas
