#include "core/graph/run_uses.h"

#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/objects.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr const char* kUses = "stages.json";
constexpr const char* kNobodyKnows = "so nobody knows what is used";

[[noreturn]] void fail(const fs::path& path, const std::string& why) {
  throw Error(fmt::format("{}: {}, {}", path.string(), why, kNobodyKnows), Exit::kData);
}

// Whether there is a folder. A link that leads nowhere, a file in its place and a folder that may
// not be looked at are not the same as none.
bool is_folder(const fs::path& path) {
  std::error_code error;
  const fs::file_status itself = fs::symlink_status(path, error);
  if (itself.type() == fs::file_type::not_found) return false;
  if (itself.type() == fs::file_type::none) fail(path, error.message());
  const fs::file_status target = fs::status(path, error);
  if (target.type() == fs::file_type::not_found) fail(path, "a link that leads nowhere");
  if (target.type() == fs::file_type::none) fail(path, error.message());
  if (!fs::is_directory(target)) fail(path, "not a folder");
  return true;
}

Uses parse_uses(const std::string& text, const fs::path& file) {
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, false);
  if (!in.is_object() || !in.contains("stages") || !in["stages"].is_array()) {
    throw Error(fmt::format("{}: cannot be read, so nobody knows what this run uses; remove the "
                            "run (exp rm) or the file",
                            file.string()),
                Exit::kData);
  }
  Uses out;
  for (const auto& use : in["stages"]) {
    if (use.is_string()) out.insert(use.get<std::string>());
  }
  return out;
}

Uses uses_of_run(const fs::path& run_folder) {
  if (auto uses = read_run_uses(run_folder)) return std::move(*uses);
  // The list is written before the first stage: a run without stages uses none.
  if (tracker::has_stages(run_folder)) {
    throw Error(fmt::format("{} is not there although the run has stages, so nobody knows what it "
                            "uses; `exp run` on its recipe writes it again, `exp rm {}` removes it",
                            (run_folder / kUses).string(), run_folder.filename().string()),
                Exit::kData);
  }
  return {};
}

}  // namespace

std::optional<Uses> read_run_uses(const fs::path& run_folder) {
  const fs::path file = run_folder / kUses;
  std::error_code error;
  const fs::file_type type = fs::symlink_status(file, error).type();
  if (type == fs::file_type::none) fail(run_folder, error.message());
  if (type == fs::file_type::not_found) return std::nullopt;
  return parse_uses(read_file(file), file);
}

void write_run_uses(const fs::path& run_folder, const Uses& uses) {
  make_folders(run_folder);
  write_file_atomic(run_folder / kUses, nlohmann::ordered_json({{"stages", uses}}).dump(1) + "\n");
}

Uses uses_of_runs(const fs::path& workspace) {
  const fs::path runs = workspace / "runs";
  Uses out;
  if (!is_folder(runs)) return out;
  std::error_code error;
  fs::directory_iterator it(runs, error);
  for (const fs::directory_iterator end; !error && it != end; it.increment(error)) {
    const fs::path run = it->path();
    std::error_code of_entry;
    if (fs::is_regular_file(fs::symlink_status(run, of_entry))) continue;  // no run's
    try {
      if (is_folder(run)) out.merge(uses_of_run(run));
    } catch (const Error&) {
      if (fs::symlink_status(run, of_entry).type() == fs::file_type::not_found) continue;
      throw;  // it was not removed this moment
    }
  }
  if (error) fail(runs, error.message());
  return out;
}

}  // namespace xp::graph
