#include "core/base/clock.h"

#include <array>
#include <cmath>
#include <ctime>

#include <sys/random.h>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp {
namespace {

int64_t now_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

int64_t wall_ns() { return now_ns(CLOCK_REALTIME); }
int64_t steady_ns() { return now_ns(CLOCK_MONOTONIC); }

int64_t timeline_ns() {
  static const int64_t start = wall_ns() - now_ns(CLOCK_BOOTTIME);
  return start + now_ns(CLOCK_BOOTTIME);
}

std::string utc_text(int64_t wall_ns) {
  const auto seconds = static_cast<time_t>(wall_ns / 1'000'000'000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string duration_text(double seconds) {
  if (seconds < 1.0) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 60.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

namespace {

constexpr std::string_view kUlidLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kTimeLetters = 10;
constexpr size_t kRandomLetters = 16;

std::string ulid_of(uint64_t ms) {
  std::array<unsigned char, kRandomLetters> random{};
  XP_CHECK(getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()),
           "no random bytes");
  std::string out(kTimeLetters + kRandomLetters, '0');
  for (size_t i = kTimeLetters; i-- > 0; ms >>= 5U) out[i] = kUlidLetters[ms & 31U];
  for (size_t i = 0; i < kRandomLetters; ++i) out[kTimeLetters + i] = kUlidLetters[random[i] & 31U];
  return out;
}

}  // namespace

std::string make_ulid() { return ulid_of(static_cast<uint64_t>(wall_ns() / 1'000'000)); }

std::string make_ulid_after(std::string_view newest) {
  std::string out = make_ulid();
  if (newest.size() != out.size() || newest < out) return out;
  uint64_t ms = 0;
  for (const char letter : newest.substr(0, kTimeLetters)) {
    const size_t value = kUlidLetters.find(letter);
    if (value == std::string_view::npos) return out;
    ms = ms << 5U | value;
  }
  return ulid_of(ms + 1);
}

}  // namespace xp
