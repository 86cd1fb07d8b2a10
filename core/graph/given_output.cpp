#include "core/graph/given_output.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"

namespace xp::graph {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifestName = "manifest.json";

// Other programs have files of that name as well.
bool is_of_exp(const std::string& text) {
  const nlohmann::json in = nlohmann::json::parse(text, nullptr, false);
  return in.is_object() && in.contains("format") && in.contains("kind") && in.contains("key") &&
         in.contains("files");
}

}  // namespace

std::optional<Manifest> manifest_beside(const fs::path& path) {
  std::error_code error;
  const fs::path folder = fs::is_directory(path, error) ? path : path.parent_path();
  const fs::path file = folder / kManifestName;
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  const std::string text = read_file(file);
  if (!is_of_exp(text)) return std::nullopt;
  return parse_manifest(text, file);
}

std::optional<FileLock> hold_output(const fs::path& path) {
  std::error_code error;
  fs::path output = fs::absolute(fs::is_directory(path, error) ? path : path.parent_path(), error);
  output = output.lexically_normal();
  if (!output.has_filename()) output = output.parent_path();  // "KEY/"
  const fs::path lock = output.string() + ".lock";
  const bool of_cache =
      fs::is_regular_file(output / kManifestName, error) && fs::exists(lock, error);
  return of_cache ? FileLock::share(lock) : std::nullopt;
}

std::string listed_digest(const Manifest& manifest, std::string_view file) {
  const auto at = std::find_if(manifest.files.begin(), manifest.files.end(),
                               [file](const OutputFile& one) { return one.path == file; });
  return at == manifest.files.end() ? "" : at->sha256;
}

Error damaged_output(const fs::path& file) {
  return Error(fmt::format("{}: its content does not match the digest in {} beside it: it was "
                           "damaged or changed after it was made; make it again, or copy it anew "
                           "with its folder",
                           file.string(), kManifestName),
               Exit::kData);
}

void check_given_output(const fs::path& path, const InputDigests& inputs) {
  const std::optional<Manifest> manifest = manifest_beside(path);
  if (!manifest) return;
  const auto differs = [](const std::string& listed, const std::string& found) {
    return !listed.empty() && !found.empty() && listed != found;
  };
  if (!fs::is_directory(path)) {
    const std::string listed = listed_digest(*manifest, path.filename().string());
    if (differs(listed, inputs.content_of(path, ""))) throw damaged_output(path);
    return;
  }
  for (const OutputFile& file : manifest->files) {
    if (differs(file.sha256, inputs.content_of(path, file.path)))
      throw damaged_output(path / file.path);
  }
}

}  // namespace xp::graph
