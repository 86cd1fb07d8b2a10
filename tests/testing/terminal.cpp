#include "tests/testing/terminal.h"

#include <array>
#include <cctype>
#include <stdexcept>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace xp::testing {

Terminal::Terminal(int columns) : columns_(static_cast<size_t>(columns)) {
  master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  std::array<char, 128> name{};
  if (master_ < 0 || ::grantpt(master_) != 0 || ::unlockpt(master_) != 0 ||
      ::ptsname_r(master_, name.data(), name.size()) != 0)
    throw std::runtime_error("no pseudo-terminal");
  const int slave = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) throw std::runtime_error("no pseudo-terminal");
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = 24;
  ::ioctl(slave, TIOCSWINSZ, &size);
  saved_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  ::dup2(slave, STDERR_FILENO);
  ::close(slave);
  thread_ = std::thread([this] { read(); });
}

Terminal::~Terminal() {
  ::dup2(saved_, STDERR_FILENO);  // the last that had the other end: the reader's ends
  ::close(saved_);
  thread_.join();
  ::close(master_);
}

std::vector<std::string> Terminal::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out = rows_;
  for (std::string& row : out) row.erase(row.find_last_not_of(' ') + 1);
  return out;
}

void Terminal::read() {
  std::array<char, 4096> block{};
  while (true) {
    const ssize_t got = ::read(master_, block.data(), block.size());
    if (got <= 0) return;
    const std::lock_guard lock(mutex_);
    for (ssize_t i = 0; i < got; ++i) take(block[static_cast<size_t>(i)]);
  }
}

void Terminal::take(char c) {
  if (!sequence_.empty() || c == '\033') {
    sequence_ += c;
    if (sequence_.size() > 2 && std::isalpha(static_cast<unsigned char>(c)) != 0) escape();
    return;
  }
  if (c == '\r') {
    column_ = 0;
  } else if (c == '\n') {
    rows_.emplace_back();
  } else {
    if (column_ == columns_) {  // a line that is too long goes on in the next row
      rows_.emplace_back();
      column_ = 0;
    }
    std::string& row = rows_.back();
    if (row.size() <= column_) row.resize(column_ + 1, ' ');
    row[column_++] = c;
  }
}

void Terminal::escape() {
  if (sequence_ == "\033[K" && column_ < rows_.back().size()) rows_.back().resize(column_);
  sequence_.clear();  // the others are colours
}

}  // namespace xp::testing
