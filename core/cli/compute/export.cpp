// exp export: a model under the names of the originals, or as a bundle.
#include "core/model/files/export.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli/compute/bundle.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

constexpr auto kForms = std::to_array<std::pair<std::string_view, model::Original>>(
    {{"ast", model::Original::kAst},
     {"passt", model::Original::kPasst},
     {"torchonly", model::Original::kTorchOnly},
     {"timm", model::Original::kDeit},
     {"mn", model::Original::kMn},
     {"dymn", model::Original::kDymn}});

fs::path default_out(const std::string& name, const std::string& as) {
  const std::string stem = fs::path(name).stem().string();
  return as == "bundle"
             ? stem + "_bundle"
             : stem + "_" + as + (as == "passt" || as == "mn" || as == "dymn" ? ".pt" : ".pth");
}

}  // namespace

int compute_export(Command& base, Session& session) {
  const auto& command = dynamic_cast<ExportCommand&>(base);
  const load::OpenModel open = open_and_say(command.source.checkpoint, command.source);
  if (open.model->classes() > 0 && command.as != "timm") load::require_classifier(open);
  const fs::path out =
      command.out.empty() ? default_out(open.name, command.as) : fs::path(command.out);
  if (command.as == "bundle") {
    write_bundle(out, open);
  } else {
    for (const auto& [name, original] : kForms) {
      if (name != command.as) continue;
      // TorchOnlyAST's files are {model, resolved_config}.
      model::export_weights(*open.model, original, open.geometry)
          .write_torch(out, original == model::Original::kTorchOnly ? "model" : "");
    }
  }
  if (command.as == "timm")
    log::info("the classifier is not written: timm's model ends at its norm (num_classes = 0)");
  if (session.json) {
    fmt::print("{}\n",
               dump({{"checkpoint", open.name}, {"as", command.as}, {"written", out.string()}}));
  } else {
    fmt::print("written: {} ({} as {})\n", out.string(), open.name, command.as);
  }
  return 0;
}

}  // namespace xp::cli
