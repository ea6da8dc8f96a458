// Text that others wrote (a pod's last words, a server's answer, names in a file), made fit for a
// terminal, where control characters move the cursor, change what has been printed, or answer as
// if a person had typed.
#pragma once

#include <string>
#include <string_view>

namespace elephas {

// `text` as valid UTF-8 in which nothing but printable characters and line breaks is left. In place
// of each control character (ESC and its likes beyond ASCII, U+0080 to U+009F, included), of each
// that turns the writing direction around or breaks lines in a way of its own, and of each byte that
// is no UTF-8 there is one `substitute`.
std::string TerminalText(std::string_view text, char substitute = ' ');
// The same for JSON as it is written: what is no ASCII control character is allowed inside its
// strings, and is escaped there. Precondition: `json` is valid JSON.
std::string TerminalJson(std::string_view json);

}  // namespace elephas
