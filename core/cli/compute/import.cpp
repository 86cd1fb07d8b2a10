// exp import: a checkpoint of the originals, looked at or made one of exp's own.
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli/compute/listen.h"
#include "core/cli/run_text.h"
#include "core/load/weights_file.h"

namespace xp::cli {
namespace fs = std::filesystem;

int compute_import(Command& base, Session& session) {
  const auto& command = dynamic_cast<ImportCommand&>(base);
  const load::OpenModel open =
      load::open_model(command.source.checkpoint, open_options(command.source));
  const fs::path out = command.out;
  if (!out.empty()) {
    if (out.extension() != ".safetensors") throw Error("--out needs the ending .safetensors");
    // What is written has a classifier like any other.
    if (open.model->classes() > 0) load::require_classifier(open);
    const fs::path folder = out.has_parent_path() ? out.parent_path() : fs::path(".");
    fs::create_directories(folder);
    load::write_weights(folder, out.stem().string(), *open.model, load::carried_by(open));
  }
  const model::ImportReport& report = open.report;
  for (const std::string& note : open.notes) log::info("{}: {}", open.name, note);
  if (session.json) {
    nlohmann::ordered_json fitted = nlohmann::ordered_json::object();
    for (const auto& change : report.reshaped) fitted[change.name] = change.what;
    fmt::print("{}\n", dump({{"checkpoint", open.name},
                             {"arch", open.options.arch},
                             {"parameters", open.model->parameter_count()},
                             {"classes", open.classes.size()},
                             {"bins", open.geometry.F},
                             {"frames", open.geometry.T},
                             {"notes", open.notes},
                             {"family", model::original_name(report.original)},
                             {"used", report.used},
                             {"fitted", fitted},
                             {"new", report.fresh},
                             {"missing", report.missing},
                             {"unexpected", report.unexpected},
                             {"of_no_use", report.dead},
                             {"written", command.out}}));
    return 0;
  }
  fmt::print("{}: {}, {:.3f} M parameters, {} classes, input {} x {}\n", open.name,
             open.options.arch, static_cast<double>(open.model->parameter_count()) * 1e-6,
             open.classes.size(), open.geometry.F, open.geometry.T);
  fmt::print("{}", command.all ? report.text() : report.line() + "\n");
  if (!out.empty()) fmt::print("written: {}\n", out.string());
  return 0;
}

}  // namespace xp::cli
