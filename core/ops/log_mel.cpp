#include "core/ops/log_mel.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/base/error.h"
#include "core/ops/fft_plan.h"
#include "core/ops/instruction_set.h"
#include "core/ops/log_mel_kernel.h"

namespace xp::ops {
namespace {

/// 64-byte aligned scratch of this thread, grown to the largest plan it has run.
float* scratch_of_thread(int64_t floats) {
  constexpr size_t kAlign = 64;
  thread_local std::vector<float> buffer;
  const size_t wanted = static_cast<size_t>(floats) + kAlign / sizeof(float);
  if (buffer.size() < wanted) buffer.resize(wanted);
  void* start = buffer.data();
  size_t space = buffer.size() * sizeof(float);
  return static_cast<float*>(
      std::align(kAlign, static_cast<size_t>(floats) * sizeof(float), start, space));
}

void require(bool condition, const std::string& message) {
  if (!condition) throw Error(message);
}

void check(const LogMelOptions& o) {
  const auto text = [](int64_t n) { return std::to_string(n); };
  require(o.rate_hz > 0, "rate_hz has to be above 0");
  require(o.window_samples >= 1, "window_samples has to be at least 1");
  require(o.hop_samples >= 1, "hop_samples has to be at least 1");
  require(o.fft_size >= 2 && o.fft_size % 2 == 0,
          "fft_size is " + text(o.fft_size) + ": it has to be an even number");
  require(o.fft_size >= o.window_samples, "fft_size is " + text(o.fft_size) +
                                              ", smaller than window_samples, " +
                                              text(o.window_samples));
  require(o.mel_bins >= 1, "mel_bins has to be at least 1");
  require(!o.log || o.log_floor > 0 || o.log_offset > 0,
          "the log needs a floor or an offset above 0");
}

}  // namespace

/// Tables that with_band shares, the filters, and what the kernel reads of both.
struct LogMel::Plan {
  LogMelOptions options;
  std::shared_ptr<const FftPlan> fft;
  std::shared_ptr<const std::vector<float>> window;  // halved: see split_power
  std::vector<float> weights;
  std::vector<MelFilter> filters;
  KernelPlan kernel;

  void build_filters();
  void build_kernel();
};

void LogMel::Plan::build_filters() {
  const std::vector<float> dense = mel_banks(options);
  const int64_t half = options.fft_size / 2;
  weights = dense;  // filters point into it
  for (int64_t m = 0; m < options.mel_bins; ++m) {
    const float* row = weights.data() + m * half;
    const float* end = row + half;
    const float* first = std::find_if(row, end, [](float w) { return w > 0; });
    const float* last = first;
    while (last<end&& * last> 0) ++last;
    filters.push_back({first == end ? 0 : first - row, last - first, first});
  }
}

void LogMel::Plan::build_kernel() {
  const LogMelOptions& o = options;
  KernelPlan& k = kernel;
  k.window = o.window_samples;
  k.hop = o.hop_samples;
  k.half = o.fft_size / 2;
  k.window_values = window->data();
  k.stages = fft->stages().data();
  k.stage_count = static_cast<int64_t>(fft->stages().size());
  k.max_radix = fft->max_radix();
  k.pairs = fft->pairs().data();
  k.pair_count = static_cast<int64_t>(fft->pairs().size());
  k.filters = filters.data();
  k.mel_bins = o.mel_bins;
  k.first_mel_row = o.energy == EnergyColumn::kFirst ? 1 : 0;
  k.energy_row = o.energy == EnergyColumn::kFirst  ? 0
                 : o.energy == EnergyColumn::kLast ? o.mel_bins
                                                   : -1;
  k.remove_frame_mean = o.remove_frame_mean;
  k.frame_preemphasis = o.preemphasis == Preemphasis::kFrame;
  k.clip_preemphasis = o.preemphasis == Preemphasis::kClip;
  k.reflect_edge_twice = o.framing == Framing::kMirrored;
  k.power = o.power;
  k.log = o.log;
  k.raw_energy = o.raw_energy;
  k.preemphasis = static_cast<float>(o.preemphasis_factor);
  k.log_floor = std::max(static_cast<float>(o.log_floor), std::numeric_limits<float>::min());
  k.log_offset = static_cast<float>(o.log_offset);
  k.energy_floor = static_cast<float>(o.energy_floor);
  if (o.framing == Framing::kMirrored) k.first_start = o.hop_samples / 2 - o.window_samples / 2;
  // torch.stft centres the window in the transform's frame, and that on t * hop.
  if (o.framing == Framing::kCentred)
    k.first_start = (o.fft_size - o.window_samples) / 2 - o.fft_size / 2;
}

LogMelOptions kaldi_options() {
  LogMelOptions options;
  options.remove_clip_mean = true;
  return options;
}

LogMelOptions augment_mel_options() {
  LogMelOptions options;
  options.rate_hz = 32000;
  options.window_samples = 800;
  options.hop_samples = 320;
  options.fft_size = 1024;
  options.low_hz = 0;
  options.high_hz = 15000;
  options.framing = Framing::kCentred;
  options.remove_frame_mean = false;
  options.preemphasis = Preemphasis::kClip;
  options.log_floor = 0;
  options.log_offset = 1e-5;
  return options;
}

LogMel::LogMel(const LogMelOptions& options) : kernel_(&best_kernel()) {
  check(options);
  auto plan = std::make_shared<Plan>();
  plan->options = options;
  plan->fft = std::make_shared<FftPlan>(options.fft_size);
  std::vector<float> window = ops::window_values(options);
  for (float& w : window) w *= 0.5F;
  plan->window = std::make_shared<const std::vector<float>>(std::move(window));
  plan->build_filters();
  plan->build_kernel();
  plan_ = std::move(plan);
}

LogMel::~LogMel() = default;

const LogMelOptions& LogMel::options() const { return plan_->options; }

int64_t LogMel::bins() const {
  return plan_->options.mel_bins + (plan_->options.energy == EnergyColumn::kNone ? 0 : 1);
}

int64_t LogMel::frames(int64_t samples) const {
  const LogMelOptions& o = plan_->options;
  const int64_t n = samples - (o.preemphasis == Preemphasis::kClip ? 1 : 0);
  if (n < 1) return 0;
  switch (o.framing) {
    case Framing::kComplete:
      return n < o.window_samples ? 0 : 1 + (n - o.window_samples) / o.hop_samples;
    case Framing::kMirrored:
      return (n + o.hop_samples / 2) / o.hop_samples;
    case Framing::kCentred:
      return 1 + n / o.hop_samples;
  }
  return 0;
}

void LogMel::run(const float* wave, int64_t samples, float* out, int64_t row_stride,
                 int64_t frames_out, Affine affine, float pad) const {
  const KernelPlan& plan = plan_->kernel;
  KernelJob job;
  job.wave = wave;
  job.samples = samples;
  job.frames = std::min(frames(samples), frames_out);
  job.out = out;
  job.row_stride = row_stride;
  job.mean = affine.mean;
  job.scale = affine.scale;
  if (job.frames > 0) {
    if (plan_->options.remove_clip_mean) {
      job.clip_mean =
          static_cast<float>(kernel_->sum(wave, samples) / static_cast<double>(samples));
    }
    job.scratch = scratch_of_thread(kernel_->scratch_floats(plan));
    kernel_->run(plan, job);
  }
  const float padding = (pad - affine.mean) * affine.scale;
  for (int64_t f = 0; f < bins(); ++f) {
    std::fill(out + f * row_stride + job.frames,
              out + f * row_stride + std::max(frames_out, job.frames), padding);
  }
}

LogMel LogMel::with_band(double low_hz, double high_hz) const {
  auto plan = std::make_shared<Plan>();
  plan->options = plan_->options;
  plan->options.low_hz = low_hz;
  plan->options.high_hz = high_hz;
  plan->fft = plan_->fft;
  plan->window = plan_->window;
  plan->build_filters();
  plan->build_kernel();
  LogMel out = *this;
  out.plan_ = std::move(plan);
  return out;
}

LogMel LogMel::on(std::string_view name) const {
  LogMel out = *this;
  out.kernel_ = kernel_named(name);
  if (!out.kernel_) throw Error("this machine lacks the instruction set " + std::string(name));
  return out;
}

}  // namespace xp::ops
