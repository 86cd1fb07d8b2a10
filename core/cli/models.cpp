// exp models: what `model.arch` and `model.weights` may be.
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "core/schema/cnn.h"
#include "core/schema/cost.h"
#include "core/schema/weights.h"
#include "core/schema/weights_sources.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;
using schema::Family;

/// CNNs are a pattern; these are the published widths.
const std::vector<std::string>& listed_archs() { return schema::arch_names(); }

schema::ModelOptions options_of(const std::string& arch) {
  auto options = schema::ModelOptions::of_kind(*schema::ModelOptions::parse_kind(arch));
  options.arch = arch;
  return options;
}

/// Frames of ten seconds in the family's own frontend, unless asked for.
int64_t frames_of(Family family, int64_t asked) {
  if (asked > 0) return asked;
  if (family == Family::k_passt) return 998;
  return schema::is_transformer(family) ? 1024 : 1000;
}

schema::Cost cost_of(const schema::ModelOptions& options, Family family,
                     const schema::Geometry& input, int64_t classes) {
  switch (schema::body_of(family)) {
    case schema::Body::kPatches:
      return schema::transformer_cost(options, {}, input, classes);
    case schema::Body::kCnn:
      return schema::cnn_cost(options, input, classes);
    case schema::Body::kPlain:
      return schema::pool_cost(options, input, classes);
  }
  return {};
}

std::string number(double value, const char* format) {
  return value > 0 ? fmt::format(fmt::runtime(format), value) : "";
}

class Models : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.flag("--weights", weights_, "list published weights instead of architectures");
    declared
        .option("--frames", frames_, "frames of the input that costs are of (default: ten seconds)")
        .range(16, 100000);
    declared.option("--classes", classes_, "classes of the classifier").range(1, 1000000);
    declared.option("filter", filter_, "only names that contain this");
    declared.footer(
        "Parameters, tokens that enter the first block, and GFLOP of a forward pass of one clip (a "
        "multiply-add counts\n"
        "two), for 128 mel bins.\n\nExamples:\n  exp models\n  exp models --frames 512 ast\n  exp "
        "models --weights passt\n");
  }

  int run(Session& session) override {
    if (weights_) {
      list_weights(session.json);
    } else {
      list_archs(session.json);
    }
    return 0;
  }

 private:
  void check_found(const TextTable& table, const char* what,
                   const std::vector<std::string>& names) const {
    if (!table.rows.empty()) return;
    const std::string near = nearest(filter_, names);
    throw Error(fmt::format("the name of no {} contains '{}'{}", what, filter_,
                            near.empty() ? "; without it all are listed" : did_you_mean(near)));
  }

  bool wanted(std::string_view name) const { return name.find(filter_) != name.npos; }

  void list_archs(bool json) const {
    TextTable table{{"architecture", "family", "params M", "tokens", "GFLOP"}, {}};
    ordered_json rows = ordered_json::array();
    for (const std::string& name : listed_archs()) {
      if (!wanted(name)) continue;
      const schema::ModelOptions options = options_of(name);
      const Family family = options.resolved().family;
      const schema::Geometry input{128, frames_of(family, frames_)};
      const schema::Cost cost = cost_of(options, family, input, classes_);
      rows.push_back({{"arch", name},
                      {"family", schema::family_name(family)},
                      {"frames", input.T},
                      {"parameters", cost.parameters},
                      {"tokens", cost.tokens},
                      {"gflop", cost.gflop}});
      table.rows.push_back({name, std::string(schema::family_name(family)),
                            number(static_cast<double>(cost.parameters) * 1e-6, "{:.3f}"),
                            number(static_cast<double>(cost.tokens), "{:.0f}"),
                            number(cost.gflop, cost.gflop < 0.01 ? "{:.1e}" : "{:.2f}")});
    }
    check_found(table, "architecture", listed_archs());
    if (json) {
      fmt::print("{}\n", rows.dump(2));
    } else {
      fmt::print("{}", table.text());
    }
  }

  void list_weights(bool json) const {
    TextTable table{
        {"weights", "architecture", "strides", "frames", "frontend", "classes", "licence", "here"},
        {}};
    ordered_json rows = ordered_json::array();
    for (const schema::PublishedWeights& w : schema::published_weights()) {
      if (!wanted(w.name)) continue;
      const schema::WeightsSource* source = schema::find_weights_source(w.name);
      XP_CHECK(source != nullptr, std::string("no address of ") + w.name);
      const std::filesystem::path file = schema::weights_file(*source);
      const bool here = std::filesystem::exists(file);
      const std::string frontend = frontend_of(w);
      rows.push_back({{"name", w.name},
                      {"arch", w.arch},
                      {"fstride", w.fstride},
                      {"tstride", w.tstride},
                      {"frames", w.frames},
                      {"frontend", frontend},
                      {"classes", w.classes},
                      {"licence", source->licence},
                      {"url", source->url},
                      {"file", file.string()},
                      {"here", here}});
      table.rows.push_back({w.name, w.arch,
                            w.fstride > 0 ? fmt::format("{}/{}", w.fstride, w.tstride) : "",
                            number(static_cast<double>(w.frames), "{:.0f}"), frontend,
                            number(static_cast<double>(w.classes), "{:.0f}"),
                            std::string(source->licence), here ? "yes" : ""});
    }
    std::vector<std::string> names;
    for (const schema::PublishedWeights& w : schema::published_weights())
      names.emplace_back(w.name);
    check_found(table, "published weights", names);
    if (json) {
      fmt::print("{}\n", rows.dump(2));
    } else {
      fmt::print("{}", table.text());
    }
  }

  static std::string frontend_of(const schema::PublishedWeights& w) {
    if (w.frontend == schema::WeightsFrontend::kImage) return "images";
    const bool mel = w.frontend == schema::WeightsFrontend::kMel;
    const double hop_ms = static_cast<double>(w.hop_samples) / (mel ? 32.0 : 16.0);
    return fmt::format("{} {} kHz {} mel {:g} ms", mel ? "augment_mel" : "kaldi", mel ? 32 : 16,
                       w.mel_bins, hop_ms);
  }

  bool weights_ = false;
  int64_t frames_ = 0;
  int64_t classes_ = 527;
  std::string filter_;
};

}  // namespace

std::unique_ptr<Command> make_models() { return std::make_unique<Models>(); }

}  // namespace xp::cli
