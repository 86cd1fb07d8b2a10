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

std::string make_ulid() {
  static constexpr char kLetters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  auto ms = static_cast<uint64_t>(wall_ns() / 1'000'000);
  std::array<unsigned char, 16> random{};
  XP_CHECK(getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()),
           "no random bytes");
  std::string out(26, '0');
  for (int i = 9; i >= 0; --i) {
    out[static_cast<size_t>(i)] = kLetters[ms & 31U];
    ms >>= 5U;
  }
  for (size_t i = 0; i < 16; ++i) out[10 + i] = kLetters[random[i] & 31U];
  return out;
}

}  // namespace xp
