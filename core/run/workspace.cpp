#include "core/run/workspace.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <map>

#include <fmt/format.h>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/gpu.h"
#include "core/recipe/toml.h"

namespace xp::run {
namespace fs = std::filesystem;
using recipe::Table;
using recipe::Value;

namespace {

// The section that `exp sweep` reads (core/run/executor_settings.h).
constexpr std::string_view kExecutor = "executor";

class Reader {
 public:
  Reader(fs::path file, const std::string& text) : file_(std::move(file)), text_(text) {}

  [[noreturn]] void fail(const recipe::Spot& spot, const std::string& message) const {
    Place place;
    place.file = file_.string();
    place.line = spot.line;
    place.column = spot.column;
    size_t start = 0;
    for (int line = 1; line < spot.line && start != std::string::npos; ++line)
      start = text_.find('\n', start) + 1;
    place.text = text_.substr(start, text_.find('\n', start) - start);
    throw Error(place, message);
  }

  int64_t integer(const std::string& key, const Value& value, int64_t low) const {
    const auto* number = value.get<int64_t>();
    if (number == nullptr || *number < low) {
      fail(value.spot, fmt::format("{} must be an integer of at least {}", key, low));
    }
    return *number;
  }

  bool boolean(const std::string& key, const Value& value) const {
    const auto* flag = value.get<bool>();
    if (flag == nullptr) fail(value.spot, key + " must be true or false");
    return *flag;
  }

  std::string string(const std::string& key, const Value& value) const {
    const auto* text = value.get<std::string>();
    if (text == nullptr) fail(value.spot, key + " must be a string");
    return *text;
  }

 private:
  fs::path file_;
  const std::string& text_;
};

void read_runtime(const Reader& reader, const Table& table, const fs::path& root, Workspace& out) {
  const std::map<std::string, std::function<void(const Value&)>> keys = {
      {"any_memory",
       [&](const Value& v) { out.any_memory = reader.boolean("runtime.any_memory", v); }},
      {"cache",
       [&](const Value& v) { out.cache = root / expand_user(reader.string("runtime.cache", v)); }},
      {"devices",
       [&](const Value& v) {
         out.resources.devices = parse_devices(reader.string("runtime.devices", v));
       }},
      {"micro_batch",
       [&](const Value& v) {
         out.resources.micro_batch = reader.integer("runtime.micro_batch", v, 0);
       }},
      {"stages_at_once",
       [&](const Value& v) {
         out.stages_at_once = static_cast<int>(reader.integer("runtime.stages_at_once", v, 1));
       }},
      {"threads",
       [&](const Value& v) {
         out.resources.threads = static_cast<int>(reader.integer("runtime.threads", v, 1));
       }},
      {"workers",
       [&](const Value& v) {
         out.resources.workers = static_cast<int>(reader.integer("runtime.workers", v, 0));
       }},
  };
  for (const auto& [key, value] : table) {
    const auto known = keys.find(key);
    if (known == keys.end()) {
      std::vector<std::string> names;
      for (const auto& [name, unused] : keys) names.push_back(name);
      const std::string near = nearest(key, names);
      reader.fail(value.key_spot,
                  fmt::format("unknown key '{}' in [runtime]{}", key,
                              near.empty() ? fmt::format("; it has {}", fmt::join(names, ", "))
                                           : fmt::format("; did you mean '{}'?", near)));
    }
    known->second(value);
  }
}

void read_file_into(const fs::path& file, Workspace& out) {
  const std::string text = read_file(file);
  const Reader reader(file, text);
  Table table;
  try {
    table = recipe::parse_toml(text, -1);
  } catch (const recipe::SyntaxError& error) {
    reader.fail(error.spot, error.message);
  }
  for (const auto& [key, value] : table) {
    if (key == "default_recipe") {
      out.default_recipe = out.root / expand_user(reader.string(key, value));
    } else if (key == "runtime") {
      const auto* section = value.get<Table>();
      if (section == nullptr) reader.fail(value.spot, "runtime must be a section");
      read_runtime(reader, *section, out.root, out);
    } else if (key != kExecutor) {
      reader.fail(
          value.key_spot,
          fmt::format("unknown key '{}'; exp.toml has default_recipe, [runtime] and [executor]",
                      key));
    }
  }
}

}  // namespace

fs::path find_workspace() {
  fs::path here = fs::current_path();
  for (fs::path at = here;; at = at.parent_path()) {
    if (fs::exists(at / "exp.toml")) return at;
    if (at == at.parent_path()) return here;
  }
}

Workspace load_workspace(const fs::path& root) {
  Workspace out;
  out.root = root;
  out.cache = out.exp_folder() / "cache";
  out.resources.threads = usable_cores();
  const fs::path file = out.root / "exp.toml";
  if (fs::exists(file)) read_file_into(file, out);
  const char* cache = std::getenv("EXP_CACHE");
  if (cache != nullptr && *cache != '\0') out.cache = expand_user(cache);
  return out;
}

std::vector<std::string> parse_devices(const std::string& text) {
  if (text.empty()) return {};
  const auto number = [&](std::string_view digits) {
    int value = -1;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size() ||
        value < 0 || value > 1023) {
      throw Error(fmt::format("--devices {}: expected a number (2), gpu:0,2, cpu or cpu:4", text));
    }
    return value;
  };
  const auto several = [&](const char* kind, int count) {
    if (count == 0) throw Error(fmt::format("--devices {}: at least one device is needed", text));
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(fmt::format("{}:{}", kind, i));
    return out;
  };
  if (text == "cpu") return {"cpu"};
  if (text.starts_with("cpu:")) return several("cpu", number(std::string_view(text).substr(4)));
  const int gpus = usable_gpus();
  std::vector<std::string> out;
  if (text == "gpu") {
    out = several("gpu", std::max(1, gpus));
  } else if (text.starts_with("gpu:")) {
    std::string_view rest = std::string_view(text).substr(4);
    while (true) {
      const size_t comma = rest.find(',');
      out.push_back(fmt::format("gpu:{}", number(rest.substr(0, comma))));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    out = several(gpus > 0 ? "gpu" : "cpu", number(text));
  }
  if (text.starts_with("gpu") && !built_with_cuda()) {
    throw Error(fmt::format(
        "--devices {}: this program was built without CUDA; build the preset `cuda`", text));
  }
  for (const std::string& device : out) {
    if (device.starts_with("gpu:") && number(std::string_view(device).substr(4)) >= gpus) {
      throw Error(fmt::format("--devices {}: there is no {}; this machine shows {} GPU{}", text,
                              device, gpus, gpus == 1 ? "" : "s"));
    }
  }
  return out;
}

}  // namespace xp::run
