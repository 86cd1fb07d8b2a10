#include "core/base/log.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/printable.h"
#include "core/base/progress.h"

namespace xp::log {
namespace {

struct State {
  std::mutex mutex;
  Level level = Level::kInfo;
  FILE* file = nullptr;
};

State& state() {
  static State instance;
  return instance;
}

constexpr const char* name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "?";
}

constexpr const char* colour(Level level) {
  switch (level) {
    case Level::kWarning:
      return "\033[33m";
    case Level::kError:
      return "\033[31m";
    default:
      return "";
  }
}

}  // namespace

void set_level(Level level) {
  const std::lock_guard lock(state().mutex);
  state().level = level;
}

void set_file(const std::filesystem::path& file) {
  FILE* opened = std::fopen(file.c_str(), "ae");
  if (opened == nullptr) {
    throw Error(fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)),
                Exit::kFailed);
  }
  const std::lock_guard lock(state().mutex);
  if (state().file != nullptr) std::fclose(state().file);
  state().file = opened;
}

bool colours(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  return (no_color == nullptr || *no_color == '\0') && isatty(descriptor) != 0;
}

namespace {

void put(Level level, std::string_view for_stderr, std::string_view for_file) {
  const std::lock_guard lock(state().mutex);
  if (state().file != nullptr) {
    fmt::print(state().file, "{} {} {}\n", utc_text(wall_ns()), name(level),
               printable_lines(for_file));
    std::fflush(state().file);
  }
  if (level < state().level) return;
  clear_progress_line();
  std::fwrite(for_stderr.data(), 1, for_stderr.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void write(Level level, std::string_view text) {
  // Information is the bare text: it is what a person reads; the others say what they are.
  const bool plain = level == Level::kInfo;
  const bool paint = !plain && colours(STDERR_FILENO);
  const std::string shown = printable_lines(text);
  const std::string line = plain ? fmt::format("{}\n", shown)
                                 : fmt::format("{}{}:{} {}\n", paint ? colour(level) : "",
                                               name(level), paint ? "\033[0m" : "", shown);
  put(level, line, text);
}

void write_bare(Level level, std::string_view for_stderr, std::string_view for_file) {
  put(level, fmt::format("{}\n", for_stderr), for_file);
}

}  // namespace xp::log
