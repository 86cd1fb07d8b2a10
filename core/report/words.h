#pragma once

#include <string>

#include "core/report/comparison.h"

namespace xp::report {

/// What a comparison says, in plain words computed from its numbers: for one swept number what it
/// costs and brings ("tome.r = 16 is 1.70x faster than 0 at -0.003 mAP; beyond 32 mAP falls off"),
/// the same under each of few other settings (with and without a teacher), for two groups what
/// differs; "no measurable effect" where the interval of a difference covers 0; "no
/// difference" for equal runs. Says where an interval is missing.
std::string plain_words(const Comparison& comparison);

}  // namespace xp::report
