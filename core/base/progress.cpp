#include "core/base/progress.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/printable.h"
#include "core/base/terminal.h"

namespace xp {
namespace {

constexpr int64_t kTerminalEveryNs = 100'000'000;
constexpr int64_t kLogEveryNs = 10'000'000'000;

std::atomic<bool> enabled{true};
std::atomic<bool> line_drawn{false};
std::mutex& draw_mutex() {
  static std::mutex instance;
  return instance;
}

// A line that wraps cannot be rewritten in place: it is cut to what the terminal shows.
std::string fitted(const std::string& line) {
  const size_t width = terminal_columns(STDERR_FILENO);
  if (width < 2) return line;
  size_t columns = 0;
  for (size_t at = 0; at < line.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(line[at]) & 0xC0U) != 0x80U;  // UTF-8
    if (begins && ++columns == width) return line.substr(0, at);
  }
  return line;
}

}  // namespace

struct Progress::State {
  std::string what;
  std::string unit;
  int64_t total = 0;
  std::atomic<int64_t> done{0};
  int64_t started_done = 0;
  int64_t started_ns = steady_ns();
  std::atomic<int64_t> drawn_ns{0};
  std::mutex note_mutex;
  std::string note;
  bool terminal = isatty(STDERR_FILENO) != 0;
  bool finished = false;

  std::string text() {
    const double seconds = static_cast<double>(steady_ns() - started_ns) * 1e-9;
    const int64_t now = done.load();
    const double rate = seconds > 0 ? static_cast<double>(now - started_done) / seconds : 0;
    std::string out = fmt::format("{}: {}", what, now);
    if (total > 0)
      out += fmt::format("/{} ({:.0f} %)", total,
                         100.0 * static_cast<double>(now) / static_cast<double>(total));
    if (!unit.empty()) out += " " + unit;
    out += fmt::format(", {:.3g}/s", rate);
    if (total > now && rate > 0)
      out += fmt::format(", {} left", duration_text(static_cast<double>(total - now) / rate));
    const std::lock_guard lock(note_mutex);
    if (!note.empty()) out += ", " + note;
    return printable(out);
  }

  void draw(bool last) {
    if (!enabled) return;
    const std::string line = text();
    const std::lock_guard lock(draw_mutex());
    if (terminal) {
      fmt::print(stderr, "\r\033[K{}{}", last ? line : fitted(line), last ? "\n" : "");
      line_drawn = !last;
    } else {
      fmt::print(stderr, "{}\n", line);
    }
    std::fflush(stderr);
  }
};

Progress::Progress(std::string what, int64_t total, std::string unit)
    : state_(std::make_unique<State>()) {
  state_->what = std::move(what);
  state_->unit = std::move(unit);
  state_->total = total;
  state_->drawn_ns = steady_ns();
}

Progress::~Progress() { finish(); }

void Progress::add(int64_t done) {
  state_->done += done;
  const int64_t now = steady_ns();
  int64_t last = state_->drawn_ns.load();
  if (now - last < (state_->terminal ? kTerminalEveryNs : kLogEveryNs)) return;
  // One thread wins the right to draw; the others go on at once.
  if (state_->drawn_ns.compare_exchange_strong(last, now)) state_->draw(false);
}

void Progress::start_from(int64_t done) {
  state_->done = done;
  state_->started_done = done;
}

void Progress::note(std::string text) {
  const std::lock_guard lock(state_->note_mutex);
  state_->note = std::move(text);
}

void Progress::finish() {
  if (std::exchange(state_->finished, true)) return;
  state_->draw(true);
}

void clear_progress_line() {
  const std::lock_guard lock(draw_mutex());
  if (line_drawn.exchange(false)) fmt::print(stderr, "\r\033[K");
}

void set_progress_enabled(bool on) { enabled = on; }

}  // namespace xp
