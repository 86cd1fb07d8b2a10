// exp predict: what a model hears in sound files.
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/stop.h"
#include "core/checkpoint/archive.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"
#include "core/dist/device.h"
#include "core/evaluate/windows.h"
#include "core/frontend/frontend.h"
#include "core/model/reduce/merge_picture.h"
#include "core/model/trunk.h"
#include "core/ops/spectrogram_image.h"
#include "core/schema/augment.h"
#include "data/export.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;

/// The best classes of one window.
struct Heard {
  double start_s = 0;
  double length_s = 0;
  std::vector<std::pair<int64_t, double>> classes;  ///< index, probability, the likeliest first
};

class Listener {
 public:
  Listener(const PredictCommand& command, load::OpenModel& open)
      : command_(command),
        open_(open),
        device_(dist::find_device(command.listen.device)),
        softmax_(command.softmax || open.loss == schema::Loss::kCe),
        frontend_(open.frontend, schema::AugmentOptions{}) {
    load::require_classifier(open_);
    check_window();
    dist::prepare_device(device_, at::get_num_threads());
    open_.model->to(device_);
  }

  std::vector<Heard> hear(const std::string& file) const {
    const at::NoGradGuard no_grad;
    data::WaveReader wave = open_wave(file, open_.frontend.rate_hz);
    const int64_t samples = wave.samples();
    if (command_.window_s <= 0) say_what_is_unheard(file, samples);
    const auto plan =
        evaluate::Windows::of(command_.window_s, command_.hop_s, open_.frontend.rate_hz);
    const int64_t window = plan.length_in(samples);
    const std::vector<int64_t> starts = plan.starts_in(samples);
    std::vector<Heard> heard;
    for (size_t at = 0; at < starts.size(); at += static_cast<size_t>(command_.listen.batch)) {
      throw_if_stopped();
      const std::span some = std::span(starts).subspan(
          at, std::min(starts.size() - at, static_cast<size_t>(command_.listen.batch)));
      const at::Tensor scores = score(read_windows(wave, some, read_of(window)));
      for (size_t i = 0; i < some.size(); ++i) {
        heard.push_back(
            best_of(scores[static_cast<int64_t>(i)], seconds_of(some[i]), seconds_of(window)));
      }
    }
    return heard;
  }

  void draw(const std::string& file) const {
    const at::NoGradGuard no_grad;
    const std::optional<model::PatchLayout> layout = open_.model->patch_layout();
    if (!layout) throw Error("--trace-merges is for transformers; this is a CNN");
    data::WaveReader wave = open_wave(file, open_.frontend.rate_hz);
    const int64_t start = 0;
    const frontend::Spectrograms clip = frontend_.forward(
        frontend::Waves::whole(read_windows(wave, {&start, 1}, wave.samples()).to(device_)));
    model::Pass pass;
    pass.trace = true;
    pass.want_tokens = true;
    const model::Output output = open_.model->forward(clip, pass);
    model::Picture picture = model::merge_picture(clip.mel[0].cpu(), output, 0, *layout);
    data::write_png(command_.trace_merges,
                    ops::Image{picture.width, picture.height, std::move(picture.rgb)});
  }

 private:
  /// A window longer than what the model hears would leave its end unheard.
  void check_window() const {
    const std::optional<int64_t> most = load::heard_samples(open_);
    if (!most || command_.window_s <= 0 || samples_of(command_.window_s) <= *most) return;
    throw Error(fmt::format("--window-s is {:g}, {} hears {:.2f} s at once", command_.window_s,
                            open_.name, seconds_of(*most)));
  }

  void say_what_is_unheard(const std::string& file, int64_t samples) const {
    const std::optional<int64_t> most = load::heard_samples(open_);
    if (!most || samples <= *most) return;
    log::info("{}: first {:.2f} of {:.2f} s; --window-s hears all", file, seconds_of(*most),
              seconds_of(samples));
  }

  /// Of a window's samples those that the front end does not cut off.
  int64_t read_of(int64_t window) const {
    return open_.frontend.clip_s > 0 ? std::min(window, samples_of(open_.frontend.clip_s)) : window;
  }

  int64_t samples_of(double seconds) const {
    return std::llround(seconds * static_cast<double>(open_.frontend.rate_hz));
  }
  double seconds_of(int64_t samples) const {
    return static_cast<double>(samples) / static_cast<double>(open_.frontend.rate_hz);
  }

  /// Waves [B, N] to probabilities [B, K].
  at::Tensor score(const at::Tensor& waves) const {
    const frontend::Spectrograms spectrograms =
        frontend_.forward(frontend::Waves::whole(waves.to(device_)));
    const dist::Autocast autocast(
        device_, *recipe::parse_enum<schema::Precision>(command_.listen.precision));
    const at::Tensor logits = open_.model->forward(spectrograms, {}).logits.to(at::kFloat);
    check_finite(logits, open_);
    return (softmax_ ? at::softmax(logits, 1) : logits.sigmoid()).to(at::kDouble).cpu();
  }

  Heard best_of(const at::Tensor& scores, double start_s, double length_s) const {
    const int64_t top = std::min(command_.top, scores.size(0));
    const auto [values, indices] = scores.topk(top);
    Heard heard{start_s, length_s, {}};
    for (int64_t i = 0; i < top; ++i) {
      heard.classes.emplace_back(indices[i].item<int64_t>(), values[i].item<double>());
    }
    return heard;
  }

  const PredictCommand& command_;
  load::OpenModel& open_;
  at::Device device_;
  bool softmax_;
  frontend::Frontend frontend_;
};

ordered_json to_json(const std::string& file, const std::vector<Heard>& heard,
                     const load::OpenModel& open) {
  ordered_json windows = ordered_json::array();
  for (const Heard& h : heard) {
    ordered_json classes = ordered_json::array();
    for (const auto& [index, value] : h.classes) {
      const auto& [id, name] = open.classes[static_cast<size_t>(index)];
      classes.push_back({{"index", index}, {"id", id}, {"name", name}, {"p", value}});
    }
    windows.push_back({{"start_s", h.start_s}, {"length_s", h.length_s}, {"classes", classes}});
  }
  return {{"file", file}, {"windows", windows}};
}

void print(const std::string& file, const std::vector<Heard>& heard, const load::OpenModel& open,
           bool windows) {
  fmt::print("{}\n", file);
  for (const Heard& h : heard) {
    if (windows) fmt::print("  {:.2f} - {:.2f} s\n", h.start_s, h.start_s + h.length_s);
    for (const auto& [index, value] : h.classes) {
      fmt::print("  {}{:6.3f}  {}\n", windows ? "  " : "", value,
                 checkpoint::printable(open.classes[static_cast<size_t>(index)].second));
    }
  }
}

}  // namespace

int compute_predict(Command& base, Session& session) {
  const auto& command = dynamic_cast<PredictCommand&>(base);
  load::OpenModel open =
      open_and_say(command.source.checkpoint, command.source, command.listen.tome_r);
  const Listener listener(command, open);
  const std::vector<std::string> files = sound_files_of(command.listen.inputs);
  if (!open.loss && !command.softmax && !session.json) {
    log::info(
        "{} does not say its loss: the probability of each class by itself; --softmax is for "
        "classes that exclude each other",
        open.name);
  }
  ordered_json rows = ordered_json::array();
  Failures failures;
  for (const std::string& file : files) {
    failures.guard(file, [&] {
      const std::vector<Heard> heard = listener.hear(file);
      if (session.json) {
        rows.push_back(to_json(file, heard, open));
      } else {
        print(file, heard, open, command.window_s > 0);
      }
    });
  }
  if (!command.trace_merges.empty() && failures.count() == 0) listener.draw(files.front());
  if (session.json) fmt::print("{}\n", dump(rows));
  return failures.report();
}

}  // namespace xp::cli
