#include "core/train/evidence.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/load/archive_io.h"
#include "core/train/loop.h"

namespace xp::train {

std::string loss_text(double loss) { return std::isnan(loss) ? "nan" : fmt::format("{}", loss); }

std::string write_evidence(const std::filesystem::path& file, const State& evidence,
                           const StepResult& result) {
  checkpoint::Archive archive;
  for (const auto& [name, tensor] : evidence.tensors) load::add_tensor(archive, name, tensor);
  std::string ids;
  for (const auto& [name, fact] : evidence.facts) {
    if (const auto* text = std::get_if<std::string>(&fact)) {
      archive.set_metadata("exp." + name, *text);
      if (name == "clips") ids = *text;
    } else if (const auto* number = std::get_if<int64_t>(&fact)) {
      archive.set_metadata("exp." + name, std::to_string(*number));
    } else if (const auto* real = std::get_if<double>(&fact)) {
      archive.set_metadata("exp." + name, fmt::format("{}", *real));
    }
  }
  archive.set_metadata("exp.step", std::to_string(result.place.step));
  archive.set_metadata("exp.epoch", std::to_string(result.place.epoch));
  archive.set_metadata("exp.loss", loss_text(result.loss));
  archive.write_safetensors(file);
  constexpr size_t kShown = 400;
  if (ids.size() > kShown) ids = ids.substr(0, kShown) + " ...";
  return fmt::format("\nclips: {}\nthe batch is kept: exp evaluate --replay {}", ids,
                     file.string());
}

}  // namespace xp::train
