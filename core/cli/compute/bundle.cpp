#include "core/cli/compute/bundle.h"

#include <sstream>
#include <string>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/checkpoint/archive.h"
#include "core/cli/compute/bundle_check.h"
#include "core/graph/manifest.h"
#include "core/load/weights_file.h"
#include "core/model/files/archive_tensors.h"
#include "core/model/init.h"
#include "core/recipe/options_io.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == text.npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string label_csv(const load::OpenModel& open) {
  std::string text = "index,mid,display_name\n";
  for (size_t k = 0; k < open.classes.size(); ++k) {
    text += fmt::format("{},{},{}\n", k, csv_field(open.classes[k].first),
                        csv_field(open.classes[k].second));
  }
  return text;
}

/// The result keys of the training that left the checkpoint ("train.epochs = 5" a line), "" for one
/// that is not in its stage's folder.
std::string training_of(const load::OpenModel& open) {
  const fs::path manifest = open.folder / "manifest.json";
  if (open.folder.empty() || !fs::exists(manifest)) return "";
  return graph::parse_manifest(read_file(manifest), manifest).options;
}

/// The training that made the model, as far as it is known, with the bundle's own weights as start:
/// paths of another machine and outputs of other stages are left out.
std::string bundle_recipe(const load::OpenModel& open) {
  std::string text;
  const std::string training = training_of(open);
  std::istringstream lines(training);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("model.") || line.starts_with("frontend.")) continue;
    if (line.find("<path>") != line.npos || line.find("<stage>") != line.npos) continue;
    text += (line.starts_with("seed = ") ? "experiment." : "") + line + "\n";
  }
  schema::ModelOptions model = open.options;
  model.weights = "model.safetensors";
  return text + fmt::format("[model]\n{}\n[frontend]\n{}{}", recipe::to_text(model),
                            recipe::to_text(open.frontend),
                            training.empty() ? "" : "\n[stages.train]\ndo = \"train\"\n");
}

// Goes with the scope where it was not published.
struct Building {
  fs::path path;
  ~Building() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

void write_bundle(const fs::path& folder, const load::OpenModel& open) {
  if (open.model->classes() == 0)
    throw Error(
        fmt::format("{} has no classifier, so a bundle would have no logits to check", open.name));
  if (fs::exists(folder)) throw Error(fmt::format("{} is there already", folder.string()));
  const Building guarded{folder.string() + ".tmp-" + make_ulid()};
  const fs::path& building = guarded.path;
  fs::create_directories(building);
  load::write_weights(building, "model", *open.model, load::carried_by(open));
  write_file_atomic(building / "recipe.toml", bundle_recipe(open));
  write_file_atomic(building / "labels.csv", label_csv(open));

  const at::NoGradGuard no_grad;
  // Values like those of normalised spectrograms: mean 0, deviation 1/2.
  const at::Tensor mel =
      model::Init(1).normal("golden", {1, open.geometry.F, open.geometry.T}, 0.5).detach();
  const at::Tensor logits = open.model->forward(model::Input::whole(mel), {}).logits;
  checkpoint::Archive golden;
  golden.add(model::to_entry("mel", mel));
  golden.add(model::to_entry("logits", logits));
  golden.write_safetensors(building / "golden.safetensors");
  const std::string program = check_program(open);
  if (!program.empty()) write_file_atomic(building / "check.py", program);
  if (!publish_folder(building, folder))
    throw Error(fmt::format("{} is there already", folder.string()));
}

}  // namespace xp::cli
