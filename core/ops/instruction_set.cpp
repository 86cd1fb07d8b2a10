#include "core/ops/instruction_set.h"

#include <cstdlib>
#include <string>

#include "core/base/error.h"
#include "core/ops/log_mel.h"

namespace xp::ops {
namespace {

struct Choice {
  std::string_view name;
  const Kernel* kernel;
};

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

Choice choose() {
  const char* set = std::getenv("EXP_CPU");
  const std::string wish = set ? set : "";
  if (!wish.empty() && wish != "baseline" && wish != "avx2" && wish != "avx512") {
    throw Error("EXP_CPU is '" + wish + "': it can be baseline, avx2 or avx512");
  }
  for (std::string_view name : {"avx512", "avx2"}) {
    if (name == "avx512" && !wish.empty() && wish != "avx512") continue;
    if (name == "avx2" && wish == "baseline") continue;
    if (const Kernel* kernel = kernel_named(name)) return {name, kernel};
  }
  return {"baseline", &kLogMelBaseline};
}

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

}  // namespace

const Kernel* kernel_named(std::string_view name) {
#if defined(__x86_64__)
  if (name == "avx512" && has_avx512()) return &kLogMelAvx512;
  if (name == "avx2" && has_avx2()) return &kLogMelAvx2;
#endif
  return name == "baseline" ? &kLogMelBaseline : nullptr;
}

const Kernel& best_kernel() { return *chosen().kernel; }

std::string_view instruction_set() { return chosen().name; }

}  // namespace xp::ops
