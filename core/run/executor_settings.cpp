#include "core/run/executor_settings.h"

#include <functional>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/recipe/toml.h"

namespace xp::run {
namespace fs = std::filesystem;
using recipe::Value;

namespace {

[[noreturn]] void fail(const fs::path& file, const recipe::Spot& spot, const std::string& message) {
  Place place;
  place.file = file.string();
  place.line = spot.line;
  place.column = spot.column;
  throw Error(place, message);
}

}  // namespace

ExecutorSettings load_executor_settings(const fs::path& workspace_root) {
  ExecutorSettings out;
  const fs::path file = workspace_root / "exp.toml";
  if (!fs::exists(file)) return out;
  const recipe::Table all = recipe::parse_toml(read_file(file), -1);
  const auto section = all.find("executor");
  if (section == all.end()) return out;
  const auto* table = section->second.get<recipe::Table>();
  if (table == nullptr) fail(file, section->second.spot, "executor must be a section");
  const auto integer = [&file](const char* key, const Value& value, int64_t low) {
    const auto* number = value.get<int64_t>();
    if (number == nullptr || *number < low)
      fail(file, value.spot,
           fmt::format("executor.{} must be an integer of at least {}", key, low));
    return *number;
  };
  const std::map<std::string, std::function<void(const Value&)>> keys = {
      {"jobs", [&](const Value& v) { out.jobs = static_cast<int>(integer("jobs", v, 0)); }},
      {"kind",
       [&](const Value& v) {
         const auto* text = v.get<std::string>();
         if (text == nullptr || (*text != "local" && *text != "slurm"))
           fail(file, v.spot, "executor.kind must be \"local\" or \"slurm\"");
         out.kind = *text;
       }},
      {"memory_mb", [&](const Value& v) { out.memory_mb = integer("memory_mb", v, 0); }},
      {"requeues",
       [&](const Value& v) { out.requeues = static_cast<int>(integer("requeues", v, 0)); }},
      {"signal_s",
       [&](const Value& v) { out.signal_s = static_cast<int>(integer("signal_s", v, 1)); }},
      {"slurm",
       [&](const Value& v) {
         const auto* array = v.get<recipe::Array>();
         if (array == nullptr)
           fail(file, v.spot, "executor.slurm must be an array of options of sbatch");
         for (const Value& item : *array) {
           const auto* text = item.get<std::string>();
           if (text == nullptr || !text->starts_with("-"))
             fail(file, item.spot,
                  "executor.slurm: expected an option of sbatch, as \"--partition=gpu\"");
           out.slurm.push_back(*text);
         }
       }},
  };
  for (const auto& [key, value] : *table) {
    const auto known = keys.find(key);
    if (known == keys.end()) {
      std::vector<std::string> names;
      for (const auto& [name, unused] : keys) names.push_back(name);
      fail(file, value.key_spot,
           fmt::format("unknown key '{}' in [executor]; it has {}", key, fmt::join(names, ", ")));
    }
    known->second(value);
  }
  return out;
}

}  // namespace xp::run
