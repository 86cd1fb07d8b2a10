// exp predict: what a model hears in sound files.
#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"
#include "core/frontend/frontend.h"
#include "core/model/merge_picture.h"
#include "core/model/trunk.h"
#include "core/ops/spectrogram_image.h"
#include "core/schema/augment.h"
#include "core/train/device.h"
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
  Listener(const PredictCommand& command, train::OpenModel& open)
      : command_(command),
        open_(open),
        device_(train::find_device(command.listen.device)),
        frontend_(open.frontend, schema::AugmentOptions{}) {
    train::prepare_device(device_, at::get_num_threads());
    open_.model->to(device_);
  }

  std::vector<Heard> hear(const std::string& file) const {
    const at::NoGradGuard no_grad;
    const at::Tensor wave = read_wave(file, open_.frontend.rate_hz);
    std::vector<Heard> heard;
    const auto rate = static_cast<double>(open_.frontend.rate_hz);
    const int64_t window =
        command_.window_s > 0 ? std::llround(command_.window_s * rate) : wave.size(1);
    const int64_t hop =
        command_.hop_s > 0 ? std::llround(command_.hop_s * rate) : std::max<int64_t>(window / 2, 1);
    for (int64_t at = 0; at < wave.size(1); at += hop) {
      const int64_t length = std::min(window, wave.size(1) - at);
      // What is left at the end is heard with the window before it, unless it is most of one.
      if (at > 0 && length < window / 2) break;
      heard.push_back(score(wave.narrow(1, at, length), static_cast<double>(at) / rate,
                            static_cast<double>(length) / rate));
    }
    return heard;
  }

  void draw(const std::string& file) const {
    const at::NoGradGuard no_grad;
    const auto* const trunk = dynamic_cast<const model::Trunk*>(open_.model.get());
    if (trunk == nullptr) throw Error("--trace-merges is for transformers; this is a CNN");
    const at::Tensor mel =
        frontend_.forward(read_wave(file, open_.frontend.rate_hz).to(device_), {});
    model::ForwardContext context;
    context.trace = true;
    context.want_tokens = true;
    const model::Output output = trunk->forward(mel, context);
    const model::TrunkOptions& o = trunk->options();
    const model::PatchLayout layout{o.patch_f, o.patch_t, o.stride_f, o.stride_t};
    model::Picture picture = model::merge_picture(mel[0].cpu(), output, 0, layout);
    data::write_png(command_.trace_merges,
                    ops::Image{picture.width, picture.height, std::move(picture.rgb)});
  }

 private:
  Heard score(const at::Tensor& wave, double start_s, double length_s) const {
    const at::Tensor logits =
        open_.model->forward(frontend_.forward(wave.contiguous().to(device_), {}), {}).logits;
    if (!logits.defined())
      throw Error(
          fmt::format("{} has no classifier; `exp embed` gives its embeddings", open_.name));
    const at::Tensor scores =
        (command_.softmax ? at::softmax(logits, 1) : logits.sigmoid()).to(at::kDouble).cpu();
    const int64_t top = std::min(command_.top, scores.size(1));
    const auto [values, indices] = scores[0].topk(top);
    Heard heard{start_s, length_s, {}};
    for (int64_t i = 0; i < top; ++i) {
      heard.classes.emplace_back(indices[i].item<int64_t>(), values[i].item<double>());
    }
    return heard;
  }

  const PredictCommand& command_;
  train::OpenModel& open_;
  at::Device device_;
  frontend::Frontend frontend_;
};

ordered_json to_json(const std::string& file, const std::vector<Heard>& heard,
                     const train::OpenModel& open) {
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

void print(const std::string& file, const std::vector<Heard>& heard, const train::OpenModel& open,
           bool windows) {
  fmt::print("{}\n", file);
  for (const Heard& h : heard) {
    if (windows) fmt::print("  {:.2f} - {:.2f} s\n", h.start_s, h.start_s + h.length_s);
    for (const auto& [index, value] : h.classes) {
      fmt::print("  {}{:6.3f}  {}\n", windows ? "  " : "", value,
                 open.classes[static_cast<size_t>(index)].second);
    }
  }
}

}  // namespace

int compute_predict(Command& base, Session& session) {
  const auto& command = dynamic_cast<PredictCommand&>(base);
  train::OpenModel open = train::open_model(command.source.checkpoint,
                                            open_options(command.source, command.listen.tome_r));
  const Listener listener(command, open);
  const std::vector<std::string> files = sound_files_of(command.listen.inputs);
  ordered_json rows = ordered_json::array();
  for (const std::string& file : files) {
    const std::vector<Heard> heard = listener.hear(file);
    if (session.json) {
      rows.push_back(to_json(file, heard, open));
    } else {
      print(file, heard, open, command.window_s > 0);
    }
  }
  if (!command.trace_merges.empty()) listener.draw(files.front());
  if (session.json) fmt::print("{}\n", dump(rows));
  return 0;
}

}  // namespace xp::cli
