#include "core/train/loop.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dist/device.h"
#include "core/dist/group.h"
#include "core/graph/stage.h"
#include "core/train/evidence.h"
#include "tracker/run_sink.h"

namespace xp::train {
namespace {

std::vector<at::Tensor> tensors_of(const std::vector<Trained>& trained) {
  std::vector<at::Tensor> tensors;
  for (const Trained& tensor : trained) tensors.push_back(tensor.tensor);
  return tensors;
}

int64_t limited(int64_t steps, int64_t limit) { return limit > 0 ? std::min(steps, limit) : steps; }

}  // namespace

Loop::Loop(const LoopOptions& options,
           std::vector<std::pair<std::string, at::Tensor>> model_tensors,
           std::vector<Trained> trained, int64_t layers, Task& task, batches::Batches& batches,
           std::vector<Hook*> hooks, graph::StageContext& context, at::Device device,
           dist::Group* group)
    : options_(options),
      model_tensors_(std::move(model_tensors)),
      task_(task),
      batches_(batches),
      hooks_(std::move(hooks)),
      context_(context),
      device_(device),
      group_(group),
      steps_per_epoch_(limited(batches.steps_per_epoch(), options.train.max_steps)),
      optimiser_(options.optimiser, std::move(trained), layers),
      schedule_(options.schedule, options.optimiser.lr, std::max<int64_t>(1, steps_per_epoch_)),
      scale_(options.train.precision == schema::Precision::kFp16, device),
      checkpoints_(context.output),
      micro_(options.micro_batch),
      saved_at_ns_(steady_ns()) {
  if (steps_per_epoch_ == 0)
    throw Error("the training split has no clips: an epoch has no steps", Exit::kData);
  passes(batches.clips(0), micro_);  // throws before anything is computed
  if (group_ == nullptr) return;
  // Buffers too: ranks start from rank 0's values.
  for (auto& [name, tensor] : model_tensors_) group_->broadcast(tensor);
  // Batch norm makes sums over the ranks in the backward pass: nothing may come between them.
  const bool after = options.train.activation_checkpointing || options.norm_group > 0;
  const auto when = after ? dist::Averaging::kAfterwards : dist::Averaging::kMeanwhile;
  reducer_ =
      std::make_unique<dist::GradientReducer>(*group_, tensors_of(optimiser_.tensors()), when);
}

Loop::~Loop() = default;

bool Loop::first_rank() const { return group_ == nullptr || group_->first(); }

States Loop::states() const {
  States states;
  for (const auto& [name, tensor] : model_tensors_) states["weights"].tensors[name] = tensor;
  states["optimiser"] = optimiser_.state();
  states["schedule"] = schedule_.state();
  states["loss_scale"] = scale_.state();
  State& loop = states["loop"];
  loop.facts["step"] = step_;
  loop.facts["epoch"] = epoch_;
  loop.facts["step_in_epoch"] = step_in_epoch_;
  loop.facts["ended"] = static_cast<int64_t>(ended_);
  loop.facts["hooks_done"] = hooks_done_;
  for (const Hook* hook : hooks_) states["hook." + hook->name()] = hook->state();
  return states;
}

void Loop::load(const States& states) {
  const auto of = [&](const std::string& name) -> const State& {
    const auto found = states.find(name);
    if (found == states.end())
      throw Error(fmt::format("the checkpoint lacks the state '{}'", name), Exit::kData);
    return found->second;
  };
  const State& weights = of("weights");
  for (const auto& [name, tensor] : model_tensors_) copy_into(tensor, weights.tensor(name), name);
  optimiser_.load(of("optimiser"));
  schedule_.load(of("schedule"));
  scale_.load(of("loss_scale"));
  const State& loop = of("loop");
  step_ = loop.integer("step");
  epoch_ = loop.integer("epoch");
  step_in_epoch_ = loop.integer("step_in_epoch");
  ended_ = loop.integer("ended") != 0;
  hooks_done_ = loop.integer("hooks_done");
  schedule_.go_on(epoch_, step_ - step_in_epoch_);
  for (Hook* hook : hooks_) {
    // One without a state may be new: what is kept or profiled is not part of the stage's key.
    const State now = hook->state();
    const bool none = now.facts.empty() && now.tensors.empty();
    if (!none || states.count("hook." + hook->name()) > 0) hook->load(of("hook." + hook->name()));
  }
  saved_step_ = step_;
  if (first_rank()) context_.sink->resumed(step_, epoch_);
}

void Loop::run() {
  while (hooks_done_ != kNoEpochEnds || (epoch_ < epochs() && !ended_)) {
    if (hooks_done_ == kNoEpochEnds) {
      run_epoch();
      if (options_.stop_after_steps > 0 && step_ >= options_.stop_after_steps) return;
      ++epoch_;
      step_in_epoch_ = 0;
      hooks_done_ = 0;
      share_buffers();
    }
    end_epoch();
    save();
    stop_if_asked();
  }
}

/// The hooks' part of an epoch's end. One that is stopped has changed nothing: the checkpoint says
/// how many were done before it, and the next holder goes on with that one.
void Loop::end_epoch() {
  saved_step_ = -1;  // the hooks' states are not those of a save at this step
  try {
    for (; hooks_done_ < static_cast<int64_t>(hooks_.size()); ++hooks_done_)
      hooks_[static_cast<size_t>(hooks_done_)]->after_epoch(*this);
  } catch (const Stopped&) {
    save();
    throw;
  }
  hooks_done_ = kNoEpochEnds;
}

/// Each rank's batch norm has counted its own clips; what is validated and saved is rank 0's.
void Loop::share_buffers() {
  if (group_ == nullptr) return;
  std::set<std::string_view> trained;
  for (const Trained& tensor : optimiser_.tensors()) trained.insert(tensor.name);
  for (auto& [name, tensor] : model_tensors_)
    if (trained.count(name) == 0) group_->broadcast(tensor);
}

void Loop::run_epoch() {
  if (step_in_epoch_ == 0)
    for (Hook* hook : hooks_) hook->before_epoch(*this);
  batches_.start(epoch_, step_in_epoch_);
  while (step_in_epoch_ < steps_per_epoch_) {
    const std::optional<data::Batch> batch = next_batch();
    if (!batch) break;
    const bool logged = log_due();
    const std::optional<StepResult> result = do_step(*batch);
    ++step_;
    ++step_in_epoch_;
    for (Hook* hook : hooks_) hook->after_update(*this);
    if (result) finish(*result);
    const bool rehearsed = options_.stop_after_steps > 0 && step_ >= options_.stop_after_steps;
    const bool ends = rehearsed || step_in_epoch_ == steps_per_epoch_;
    const bool saves = !ends && save_due();
    if (logged || ends || saves || stop_) settle();
    if (ends) return;  // the end of the epoch saves
    if (saves) save();
    stop_if_asked();
  }
  settle();
}

/// What follows a step whose result is known.
void Loop::finish(const StepResult& result) {
  for (Hook* hook : hooks_) hook->after_step(*this, result);
  report(result);
}

std::optional<data::Batch> Loop::next_batch() {
  const int64_t begin = steady_ns();
  try {
    std::optional<data::Batch> batch = batches_.next();
    waited_ns_ = steady_ns() - begin;
    return batch;
  } catch (const Error&) {
    settle();
    save();  // the data went bad; what was learned from the rest stays
    throw;
  }
}

std::vector<ClipRange> Loop::passes(int64_t clips, int64_t micro) const {
  PassOptions options;
  options.clips = clips;
  options.micro_batch = micro;
  options.norm_group = options_.norm_group;
  if (group_ != nullptr) {
    options.rank = group_->rank();
    options.world = group_->size();
  }
  return train::passes(options);
}

void Loop::fail(const StepResult& result, const std::string& what) {
  // Every rank keeps its share of the batch.
  const std::string rank = first_rank() ? "" : fmt::format("-rank{}", group_->rank());
  const std::string file = fmt::format("broken-step-{:09}{}.safetensors", result.place.step, rank);
  State evidence = evidence_ != nullptr ? *evidence_ : task_.evidence();
  for (const auto& [name, text] : options_.evidence) evidence.facts[name] = text;
  for (const auto& [name, tensor] : model_tensors_) evidence.tensors["weights/" + name] = tensor;
  std::string ids;
  try {
    ids = write_evidence(context_.output / file, evidence, result);
  } catch (const Error& error) {
    ids = fmt::format("; its batch could not be kept: {}", error.message());
  }
  throw Error(what + ids, Exit::kFailed);
}

bool Loop::save_due() const {
  const auto& train = options_.train;
  if (options_.save_every_steps > 0 && step_ % options_.save_every_steps == 0) return true;
  if (train.save_every_min == 0) return false;
  return static_cast<double>(steady_ns() - saved_at_ns_) * 1e-9 >
         static_cast<double>(train.save_every_min) * 60;
}

void Loop::save() {
  saved_at_ns_ = steady_ns();
  if (!first_rank() || saved_step_ == step_) return;
  try {
    checkpoints_.save(step_, states());
    saved_step_ = step_;
    save_problem_.clear();
  } catch (const Error& error) {
    // Hours of training are worth more than this checkpoint: go on with the one before it.
    save_problem_ =
        fmt::format("the checkpoint of step {} was not written: {}", step_, error.message());
    context_.say("WARNING: " + save_problem_ + "; training goes on");
    context_.sink->event(tracker::Level::kError, save_problem_);
  }
}

void Loop::stop_if_asked() {
  if (!stop_) return;
  const StopReason reason = context_.stop_requested();
  save();
  throw Stopped(reason == StopReason::kNone ? StopReason::kRequested : reason);
}

void Loop::report(const StepResult& result) {
  if (!first_rank()) return;
  // Smoothed over some twenty steps, the first one (warm-up of everything) left out.
  const int64_t now = steady_ns();
  if (reported_ns_ > 0 && now > reported_ns_) {
    const auto took = static_cast<double>(now - reported_ns_);
    const auto smooth = [&](double& value, double latest) {
      value = clips_per_s_ == 0 ? latest : 0.95 * value + 0.05 * latest;
    };
    smooth(stall_p_, std::min(1.0, static_cast<double>(waited_ns_) / took));
    smooth(clips_per_s_, static_cast<double>(result.clips) * 1e9 / took);
  }
  reported_ns_ = now;
  context_.progress(
      fmt::format("steps, epoch {}/{}, loss {:.4f}, lr {:.2e}, {:.1f} clips/s, stall {:.0f} %, "
                  "{:.0f} MiB",
                  result.place.epoch + 1, epochs(), result.loss, result.lr, clips_per_s_,
                  100 * stall_p_, dist::memory_mb(device_)),
      static_cast<double>(step_), static_cast<double>(epochs() * steps_per_epoch_));
}

}  // namespace xp::train
