#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace xp {

/// Nanoseconds since 1970 (wall clock; may jump).
int64_t wall_ns();
/// Nanoseconds of the monotonic clock: for durations only.
int64_t steady_ns();
/// What wall_ns() was when this process first asked, going on evenly from there: for times that are
/// compared with others of this process. A clock that is set back or ahead does not reach them.
int64_t timeline_ns();
/// "2026-01-31T12:00:00Z" of a wall-clock time.
std::string utc_text(int64_t wall_ns);
/// "850 ms", "12.3 s", "4 min 10 s", "2 h 05 min": a duration for people.
std::string duration_text(double seconds);

/// A ULID: 26 letters that sort by time and never collide in practice (48 bits of ms, 80 random
/// bits).
std::string make_ulid();
/// One that sorts behind `newest` too, also where the clock says that this one is older. `newest`
/// may be anything: what is no ULID counts as none.
std::string make_ulid_after(std::string_view newest);

}  // namespace xp
