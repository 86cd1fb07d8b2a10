#include "core/ops/instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>

#include "core/base/error.h"
#include "core/ops/log_mel.h"

namespace xp::ops {
namespace {

constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512"};  // worst to best

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

const Kernel* kernel_named(std::string_view name) {
#if defined(__x86_64__)
  if (name == "avx512" && has_avx512()) return &kLogMelAvx512;
  if (name == "avx2" && has_avx2()) return &kLogMelAvx2;
#endif
  return name == "baseline" ? &kLogMelBaseline : nullptr;
}

std::string_view best_set(std::string_view limit) {
  if (!limit.empty() &&
      std::find(std::begin(kNames), std::end(kNames), limit) == std::end(kNames)) {
    throw Error("EXP_CPU is '" + std::string(limit) + "': it can be baseline, avx2 or avx512");
  }
  std::string_view best = kNames[0];
  for (std::string_view name : kNames) {
    if (kernel_named(name)) best = name;
    if (name == limit) break;
  }
  return best;
}

std::string_view instruction_set() {
  static const std::string_view chosen = [] {
    const char* limit = std::getenv("EXP_CPU");
    return best_set(limit ? limit : "");
  }();
  return chosen;
}

const Kernel& best_kernel() { return *kernel_named(instruction_set()); }

}  // namespace xp::ops
