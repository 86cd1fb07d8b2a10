#pragma once

#include <cstdint>
#include <string>

namespace xp {

/// Nanoseconds since 1970 (wall clock; may jump).
int64_t wall_ns();
/// Nanoseconds of the monotonic clock: for durations only.
int64_t steady_ns();
/// "2026-01-31T12:00:00Z" of a wall-clock time.
std::string utc_text(int64_t wall_ns);
/// "850 ms", "12.3 s", "4 min 10 s", "2 h 05 min": a duration for people.
std::string duration_text(double seconds);

/// A ULID: 26 letters that sort by time and never collide in practice (48 bits of ms, 80 random
/// bits).
std::string make_ulid();

}  // namespace xp
