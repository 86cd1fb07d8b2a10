#include "tracker/inbox.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/base/clock.h"
#include "core/base/files.h"

namespace xp::tracker {
namespace fs = std::filesystem;
using nlohmann::json;

void send(const fs::path& run_folder, Request request) {
  request.id = make_ulid();
  if (request.time_ns == 0) request.time_ns = wall_ns();
  const json message = {{"do", request.action},
                        {"add", request.add},
                        {"remove", request.remove},
                        {"text", request.text},
                        {"level", static_cast<int>(request.level)},
                        {"t_ns", request.time_ns}};
  write_file_atomic(run_folder / "inbox" / (request.id + ".json"),
                    message.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::vector<Request> read_inbox(const fs::path& run_folder) {
  std::vector<Request> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run_folder / "inbox", none)) {
    if (entry.path().extension() != ".json") continue;
    try {
      const json message = json::parse(read_file(entry.path()));
      Request request;
      request.id = entry.path().stem().string();
      request.action = message.at("do").get<std::string>();
      request.add = message.at("add").get<std::vector<std::string>>();
      request.remove = message.at("remove").get<std::vector<std::string>>();
      request.text = message.at("text").get<std::string>();
      request.level = static_cast<Level>(std::clamp(message.at("level").get<int>(), 0, 2));
      request.time_ns = message.at("t_ns").get<int64_t>();
      out.push_back(std::move(request));
    } catch (const std::exception&) {
      continue;  // taken by another reader just now, or not ours
    }
  }
  std::sort(out.begin(), out.end(), [](const Request& a, const Request& b) { return a.id < b.id; });
  return out;
}

void acknowledge(const fs::path& run_folder, const Request& request) {
  std::error_code ignored;
  fs::remove(run_folder / "inbox" / (request.id + ".json"), ignored);
}

}  // namespace xp::tracker
