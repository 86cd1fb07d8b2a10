#include "tracker/git.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <system_error>

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tracker/command.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

using Setting = std::pair<std::string, std::string>;

constexpr std::chrono::milliseconds kConfigLimit{10000};
constexpr size_t kConfigBytes = 4u << 20;

// Ours, without what git itself is steered by; where repositories are looked for stays the user's.
std::vector<std::string> plain_environment() {
  std::vector<std::string> out;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const bool search = entry.starts_with("GIT_CEILING_DIRECTORIES=") ||
                        entry.starts_with("GIT_DISCOVERY_ACROSS_FILESYSTEM=");
    if (search || !entry.starts_with("GIT_")) out.emplace_back(entry);
  }
  for (const char* entry : {"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1",
                            "GIT_ATTR_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1"})
    out.emplace_back(entry);
  return out;
}

std::vector<std::string> command(const fs::path& folder, const std::vector<std::string>& words) {
  std::vector<std::string> out = {"git", "-C", folder.string()};
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

// `git config --list` with scopes: "scope NUL key LF value NUL" for each; a key without a value has
// no LF. Reading starts no program.
std::vector<std::pair<std::string, Setting>> configuration(
    const fs::path& folder, const std::vector<std::string>& environment) {
  std::vector<std::pair<std::string, Setting>> out;
  const std::string text = output_of(command(folder, {"config", "--list", "--show-scope", "-z"}),
                                     kConfigLimit, kConfigBytes, &environment)
                               .value_or("");
  for (size_t from = 0; from < text.size();) {
    const size_t scope_end = std::min(text.find('\0', from), text.size());
    const size_t item_end = std::min(text.find('\0', scope_end + 1), text.size());
    if (scope_end + 1 >= text.size()) break;
    const std::string item = text.substr(scope_end + 1, item_end - scope_end - 1);
    const size_t line = std::min(item.find('\n'), item.size());
    out.push_back({text.substr(from, scope_end - from),
                   {item.substr(0, line), item.substr(std::min(line + 1, item.size()))}});
    from = item_end + 1;
  }
  return out;
}

std::vector<Setting> neutral_settings(
    const std::vector<std::pair<std::string, Setting>>& configured) {
  std::vector<Setting> out = {
      {"core.fsmonitor", "false"},      {"core.hooksPath", "/dev/null"},
      {"core.autocrlf", "false"},       {"core.attributesFile", "/dev/null"},
      {"core.splitIndex", "false"},     {"protocol.allow", "never"},
      {"core.alternateRefsCommand", ""}};
  std::set<std::string> drivers;
  for (const auto& [scope, setting] : configured) {
    const auto& [key, value] = setting;
    const bool of_repository = scope == "local" || scope == "worktree";
    if (key == "safe.directory" && !of_repository) out.push_back(setting);
    if (key == "core.excludesfile") out.push_back(setting);
    if (key.starts_with("filter.") && key.rfind('.') > 7)
      drivers.insert(key.substr(0, key.rfind('.')));
    if (key.starts_with("protocol.") && key.ends_with(".allow")) out.emplace_back(key, "never");
  }
  for (const std::string& driver : drivers) {
    for (const char* program : {".clean", ".smudge", ".process"})
      out.emplace_back(driver + program, "");
    out.emplace_back(driver + ".required", "false");
  }
  return out;
}

/// A file of this process for as long as it lives.
class Scratch {
 public:
  explicit Scratch(std::string_view name)
      : path_(fs::temp_directory_path() / fmt::format("exp-{}-{}", name, make_ulid())) {}
  ~Scratch() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

Git::Git(fs::path folder) : folder_(std::move(folder)), environment_(plain_environment()) {
  const auto configured = configuration(folder_, environment_);
  for (const char* entry : {"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"})
    environment_.emplace_back(entry);
  const std::vector<Setting> settings = neutral_settings(configured);
  environment_.push_back(fmt::format("GIT_CONFIG_COUNT={}", settings.size()));
  for (size_t i = 0; i < settings.size(); ++i) {
    environment_.push_back(fmt::format("GIT_CONFIG_KEY_{}={}", i, settings[i].first));
    environment_.push_back(fmt::format("GIT_CONFIG_VALUE_{}={}", i, settings[i].second));
  }
}

std::optional<std::string> Git::output(const std::vector<std::string>& words,
                                       std::chrono::milliseconds limit, size_t max_bytes) const {
  return output_of(command(folder_, words), limit, max_bytes, &environment_);
}

// Every option says what a configuration could have said otherwise. A submodule is its commit: what
// is changed inside it is in no patch.
std::optional<std::string> Git::diff(std::chrono::milliseconds limit, size_t max_bytes) const {
  return output(
      {"diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
       "--no-renames", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3",
       "--inter-hunk-context=0", "-O/dev/null", "--submodule=short", "--ignore-submodules=dirty",
       "--ws-error-highlight=none", "--diff-algorithm=myers", "--indent-heuristic"},
      limit, max_bytes);
}

bool Git::apply(const fs::path& patch, std::chrono::milliseconds limit) const {
  return output({"apply", "--index", "--whitespace=nowarn", "--no-ignore-whitespace",
                 fs::absolute(patch).string()},
                limit, 1u << 20)
      .has_value();
}

bool Git::applies(const std::string& patch, const std::string& commit,
                  std::chrono::milliseconds limit) const {
  const Scratch index("index"), file("patch");
  write_file_atomic(file.path(), patch);
  Git with_index = *this;
  with_index.environment_.push_back("GIT_INDEX_FILE=" + index.path().string());
  return with_index.output({"read-tree", commit}, limit, 1u << 20) &&
         with_index.output({"apply", "--cached", "--check", "--whitespace=nowarn",
                            "--no-ignore-whitespace", file.path().string()},
                           limit, 1u << 20);
}

}  // namespace xp::tracker
