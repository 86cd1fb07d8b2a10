#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Text that comes from outside (paths, names and ids out of files) as people are shown it: no
/// control character and no escape code reaches a terminal, so that no file writes to it.
namespace xp {

/// Control characters (C0, DEL, C1) and what is no UTF-8 as "\x1b".
std::string printable(std::string_view text);

/// The same of several lines: their ends and tabs stay.
std::string printable_lines(std::string_view text);

/// JSON whose strings hold control characters that JSON itself lets through (DEL, C1): as "\u009b".
std::string printable_json(std::string_view text);

/// True for text that `printable` leaves as it is.
bool is_printable(std::string_view text);

/// Bytes at the end of `text` that begin a UTF-8 character which is not whole: 0 to 3.
size_t unfinished_bytes(std::string_view text);

}  // namespace xp
