#include <cstdlib>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "core/graph/stage.h"
#include "core/train/hooks.h"

namespace xp::train {
namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

}  // namespace

void ProfileHook::after_update(Loop& loop) {
  if (!loop.first_rank()) return;
  ++seen_;
  if (seen_ == first_ && !running_) {
    ::setenv("KINETO_LOG_LEVEL", "99", 0);  // it reports a missing GPU as an error
    std::set<ActivityType> activities{ActivityType::CPU};
    if (loop.device().is_cuda()) activities.insert(ActivityType::CUDA);
    const profiler::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO,
                                          /*report_input_shapes=*/true);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
    running_ = true;
  } else if (running_ && seen_ == first_ + count_) {
    finish(&loop);
  }
}

void ProfileHook::finish(Loop* loop) {
  if (!running_) return;
  running_ = false;
  const std::unique_ptr<profiler::ProfilerResult> result = profiler::disableProfiler();
  result->save(file_);
  if (loop != nullptr)
    loop->context().say(
        fmt::format("trace of {} steps: {} (open it in chrome://tracing)", count_, file_));
}

ProfileHook::~ProfileHook() { finish(nullptr); }

}  // namespace xp::train
