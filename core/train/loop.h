#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/batches/batches.h"
#include "core/schema/optimiser.h"
#include "core/schema/schedule.h"
#include "core/schema/train.h"
#include "core/train/checkpoint_folder.h"
#include "core/train/optimiser.h"
#include "core/train/passes.h"
#include "core/train/schedule.h"
#include "core/train/state.h"
#include "core/train/step_values.h"
#include "data/loader.h"

namespace xp::dist {
class Group;
class GradientReducer;
}  // namespace xp::dist
namespace xp::graph {
struct StageContext;
}

namespace xp::train {

/// Where a step stands: randomness is a function of this and the seed.
struct Place {
  int64_t step = 0;   ///< optimiser steps completed before it
  int64_t epoch = 0;  ///< epochs completed before it
};

/// The loss of some clips: what is minimised, and its parts for the log ("loss_hard", "loss_kd").
struct Loss {
  at::Tensor total;  ///< scalar float32: the mean over the clips
  std::vector<std::pair<std::string, at::Tensor>> parts;
};

/// What is trained: from a batch of the loader to a loss. One implementation for labels, one for
/// pretraining.
class Task {
 public:
  virtual ~Task() = default;
  /// Takes a batch: spectrograms, mixing, targets, on the device.
  virtual void begin(const data::Batch& batch, const Place& place) = 0;
  /// Names of the parts of every loss, in their order: a rank without clips has them as well.
  virtual std::vector<std::string> parts() const { return {}; }
  /// The loss of clips first .. first + count - 1 of that batch. Of no clips, where other ranks'
  /// passes need this one's beside them (batch norm): zero, and gradients of zero.
  virtual Loss loss(int64_t first, int64_t count) = 0;
  /// What a broken step was given: input and targets of the batch, ids of the clips.
  virtual State evidence() const = 0;
};

/// What one optimiser step did; means over all clips of all ranks.
struct StepResult {
  Place place;
  double loss = 0;
  std::vector<std::pair<std::string, double>> parts;
  double lr = 0;
  int64_t clips = 0;
  bool finite_gradient = true;
  bool skipped = false;                ///< not finite, and train.on_nan = "skip" or fp16's scaling
  bool logged = false;                 ///< by train.log_every_steps, or the first or last step
  std::vector<double> gradient_norms;  ///< of each group, at steps that are logged; else empty
};

class Loop;

/// Something that goes along with training. Its state is saved and restored with everything else.
class Hook {
 public:
  virtual ~Hook() = default;
  virtual std::string name() const = 0;  ///< of its State
  virtual void before_epoch(Loop&) {}
  /// With the loss of all ranks known and finite, before the weights change (Loop::fail keeps the
  /// weights that made it); on a device other than the CPU one step late, unless `decides`.
  virtual void before_update(Loop&, const StepResult&) {}
  /// Whether its next `before_update` may end the training; `unread`: results of steps before that
  /// it has not seen.
  virtual bool decides(int64_t /*unread*/) const { return false; }
  /// The weights of the step are there: on a device, work that is given to it now finds them.
  virtual void after_update(Loop&) {}
  /// With the result; on a device one step late, unless it is logged.
  virtual void after_step(Loop&, const StepResult&) {}
  virtual void after_epoch(Loop&) {}
  virtual State state() const { return {}; }
  virtual void load(const State&) {}
};

struct LoopOptions {
  schema::TrainOptions train;
  schema::OptimiserOptions optimiser;
  schema::ScheduleOptions schedule;
  int64_t micro_batch = 0;       ///< 0 = whole batches, halved when memory runs out
  int64_t norm_group = 0;        ///< clips that share statistics of batch norm; 0 = no batch norm
  int64_t save_every_steps = 0;  ///< beside train.save_every_min; 0 = off
  std::map<std::string, std::string> evidence;  ///< texts kept beside a broken step
  int64_t stop_after_steps = 0;  ///< for rehearsals: end after so many steps in all; 0 = off
};

/// loss -> backward -> optimiser, again and again. Everything else is a hook.
///
/// On the CPU each step is looked at before it changes the weights. A GPU is not waited for: it
/// leaves the weights as they are itself where a step is not finite, and with train.on_nan = "stop"
/// in every step after it; the host reads the loss when the next step is under way. Whatever needs
/// the result (a log point, a checkpoint, the end of an epoch, a request to stop, Hook::decides)
/// has it first. Several ranks wait, they exchange their losses anyway.
///
/// Exact: on one machine with the same number of threads and ranks, a run that was killed at any
/// moment and goes on from its newest checkpoint ends with the same bits as one that was not (CPU;
/// on a GPU where its kernels are deterministic). With several ranks every rank makes the same
/// calls; rank 0 writes.
class Loop {
 public:
  /// `model_tensors`: the tensors of the model that a checkpoint holds, by name. `group` null for
  /// one rank.
  Loop(const LoopOptions& options, std::vector<std::pair<std::string, at::Tensor>> model_tensors,
       std::vector<Trained> trained, int64_t layers, Task& task, batches::Batches& batches,
       std::vector<Hook*> hooks, graph::StageContext& context, at::Device device,
       dist::Group* group);
  ~Loop();

  /// Goes on from a full state: of this stage (`load`), or of another run, to train longer.
  void load(const States& states);
  States states() const;

  /// Trains to the end. Throws xp::Stopped after a request to stop, once a checkpoint is written;
  /// Error (kFailed) when the loss is not finite, with the batch kept in the output folder.
  void run();

  /// Ends the training after the present epoch (early stopping).
  void end() { ended_ = true; }

  int64_t step() const { return step_; }
  int64_t epoch() const { return epoch_; }  ///< completed
  int64_t epochs() const { return options_.train.epochs; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  Optimiser& optimiser() { return optimiser_; }
  Schedule& schedule() { return schedule_; }
  graph::StageContext& context() { return context_; }
  batches::Batches& batches() { return batches_; }
  dist::Group* group() { return group_; }
  bool first_rank() const;
  at::Device device() const { return device_; }
  const schema::TrainOptions& train() const { return options_.train; }
  /// Ends the training because of step `result`: keeps its batch and the weights in the output
  /// folder and throws Error (kFailed) with `what`, the clips and the command that computes the
  /// step again.
  [[noreturn]] void fail(const StepResult& result, const std::string& what);
  /// Checkpoints that could not be written; the stage fails at its end, having done its work.
  const std::string& save_problem() const { return save_problem_; }

 private:
  /// A step that the device was given, and whose result nobody has read.
  struct Unread {
    StepResult result;
    StepValues values;
    State evidence;
  };

  void run_epoch();
  void end_epoch();
  void share_buffers();
  std::optional<StepResult> do_step(const data::Batch& batch);
  std::optional<StepResult> attempt(const Place& place, int64_t micro);
  StepValues gradients(const StepResult& result, int64_t micro);
  bool waits() const;
  void update_unread(StepResult result, StepValues values, const at::Tensor& norm);
  void settle();
  void finish(const StepResult& result);
  std::vector<ClipRange> passes(int64_t clips, int64_t micro) const;
  void agree(StepResult& result);
  bool accepts(const StepResult& result);
  bool log_due() const;
  std::optional<data::Batch> next_batch();
  bool save_due() const;
  void save();
  void stop_if_asked();
  void report(const StepResult& result);

  LoopOptions options_;
  std::vector<std::pair<std::string, at::Tensor>> model_tensors_;
  Task& task_;
  batches::Batches& batches_;
  std::vector<Hook*> hooks_;
  graph::StageContext& context_;
  at::Device device_;
  dist::Group* group_;
  int64_t steps_per_epoch_;
  Optimiser optimiser_;
  Schedule schedule_;
  LossScale scale_;
  std::unique_ptr<dist::GradientReducer> reducer_;
  std::optional<Unread> unread_;
  at::Tensor broken_;  // [1] float32 on the device: 1 once a step was that ends the training
  const State* evidence_ = nullptr;  // of the step that is settled; null = the task's
  CheckpointFolder checkpoints_;

  int64_t step_ = 0;
  int64_t epoch_ = 0;
  int64_t step_in_epoch_ = 0;
  static constexpr int64_t kNoEpochEnds = -1;
  int64_t hooks_done_ = kNoEpochEnds;  // hooks that have seen the end of the epoch that ends
  int64_t micro_ = 0;                  // 0 = whole batches
  bool ended_ = false;
  bool stop_ = false;  // some rank was asked to
  int64_t saved_at_ns_ = 0;
  int64_t saved_step_ = -1;
  std::string save_problem_;
  int64_t reported_ns_ = 0;
  int64_t waited_ns_ = 0;  // for the present batch
  double clips_per_s_ = 0;
  double stall_p_ = 0;
};

}  // namespace xp::train
