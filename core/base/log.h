#pragma once

#include <filesystem>
#include <string_view>

#include <fmt/format.h>

namespace xp::log {

enum class Level { kDebug, kInfo, kWarning, kError };

/// Messages below this level are not printed on stderr (the log file takes all). Default kInfo.
void set_level(Level level);

/// Every message also goes to this file, with time and level, until the process ends. Throws Error
/// (kFailed) when it cannot be opened.
void set_file(const std::filesystem::path& file);

/// Colours are used on a terminal only, never with NO_COLOR set.
bool colours(int descriptor);

/// One line on stderr. Any thread; lines never mix. A progress line on the terminal is cleared
/// before it.
void write(Level level, std::string_view text);

/// The same with one text for stderr, as it is, and another one for the log file: for what programs
/// read.
void write_bare(Level level, std::string_view for_stderr, std::string_view for_file);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace xp::log
