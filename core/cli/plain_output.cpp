#include "core/cli/plain_output.h"

#include <cstring>
#include <utility>

#include <unistd.h>

#include "core/base/error.h"
#include "core/base/printable.h"

namespace xp::cli {
namespace {

FILE* behind_stdout = nullptr;  // of the PlainOutput that lives

bool flushed(FILE* stream) { return std::fflush(stream) == 0 && std::ferror(stream) == 0; }

}  // namespace

PlainOutput::PlainOutput() : behind_(stdout) {
  std::fflush(stdout);
  front_ = ::fopencookie(this, "w", {nullptr, &PlainOutput::write, nullptr, nullptr});
  XP_CHECK(front_ != nullptr, "no memory for a stream");
  std::setvbuf(front_, nullptr, ::isatty(STDOUT_FILENO) != 0 ? _IOLBF : _IOFBF, BUFSIZ);
  stdout = front_;
  behind_stdout = behind_;
}

PlainOutput::~PlainOutput() {
  std::fclose(front_);
  const std::string rest = printable(unfinished_);
  std::fwrite(rest.data(), 1, rest.size(), behind_);
  std::fflush(behind_);
  stdout = behind_;
  behind_stdout = nullptr;
}

bool flush_output() {
  return flushed(stdout) && (behind_stdout == nullptr || flushed(behind_stdout));
}

ssize_t PlainOutput::write(void* self, const char* bytes, size_t size) {
  auto& output = *static_cast<PlainOutput*>(self);
  std::string text = std::exchange(output.unfinished_, "") + std::string(bytes, size);
  const size_t unfinished = unfinished_bytes(text);
  output.unfinished_ = text.substr(text.size() - unfinished);
  text.resize(text.size() - unfinished);
  const std::string shown = output.json_ ? printable_json(text) : printable_lines(text);
  const bool written = std::fwrite(shown.data(), 1, shown.size(), output.behind_) == shown.size() &&
                       std::fflush(output.behind_) == 0;
  return written ? static_cast<ssize_t>(size) : 0;
}

void print_control(const char* codes) {
  std::fflush(stdout);
  const size_t size = std::strlen(codes);
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, codes, size);
}

}  // namespace xp::cli
