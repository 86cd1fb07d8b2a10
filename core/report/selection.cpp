#include "core/report/selection.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "core/base/error.h"

namespace xp::report {
namespace {

using tracker::RunInfo;

std::string tail(std::string_view uid) {
  return std::string(uid.size() > 8 ? uid.substr(uid.size() - 8) : uid);
}

// A filter has a comparison in it; uids never do, and names are looked for first.
bool is_filter(std::string_view text) {
  return text.find_first_of("=<>~") != std::string_view::npos ||
         text.find(" in ") != std::string_view::npos || text.starts_with("not ");
}

// The sweep that `text` means: its id, or a unique beginning or end of 4 letters or more.
std::string find_sweep(const std::vector<RunInfo>& all, const std::string& text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  std::set<std::string> matches;
  for (const RunInfo& run : all) {
    if (run.sweep.empty()) continue;
    if (run.sweep == upper || run.sweep == text) return run.sweep;
    if (upper.size() >= 4 && (run.sweep.starts_with(upper) || run.sweep.ends_with(upper)))
      matches.insert(run.sweep);
  }
  return matches.size() == 1 ? *matches.begin() : "";
}

class Chooser {
 public:
  explicit Chooser(tracker::Query& query)
      : query_(query), all_(query.runs({.sort = {}, .keys = std::vector<std::string>{}})) {
    if (all_.empty()) {
      throw Error("there is no run to report: `exp run RECIPE` makes one", Exit::kData);
    }
  }

  Chosen newest() {
    const RunInfo* newest = nullptr;
    for (const RunInfo& run : all_) {  // newest first
      if (run.status == tracker::Status::kBroken) continue;
      if (!run.sweep.empty()) return of_sweep(run.sweep);
      if (newest == nullptr) newest = &run;
    }
    if (newest == nullptr) throw Error("no run here can be read; `exp runs` says why", Exit::kData);
    return of_name(newest->name);
  }

  Chosen target(const std::string& text) {
    for (const RunInfo& run : all_) {
      if (run.name == text) return of_name(text);
    }
    if (is_filter(text)) return of_filter(text);
    if (const std::string sweep = find_sweep(all_, text); !sweep.empty()) return of_sweep(sweep);
    const std::string uid = query_.find(text);
    return {fmt::format("run {}", tail(uid)), {uid}, true};
  }

 private:
  template <class Test>
  std::vector<std::string> oldest_first(const Test& test) const {
    std::vector<std::string> out;
    for (const RunInfo& run : all_) {
      if (test(run)) out.push_back(run.uid);
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

  Chosen of_sweep(const std::string& sweep) const {
    return {fmt::format("sweep {}", tail(sweep)),
            oldest_first([&](const RunInfo& run) { return run.sweep == sweep; }), false};
  }

  Chosen of_name(const std::string& name) const {
    return {fmt::format("experiment {}", name),
            oldest_first([&](const RunInfo& run) { return run.name == name; }), false};
  }

  Chosen of_filter(const std::string& text) const {
    Chosen out{fmt::format("runs with {}", text), {}, false};
    const auto found = query_.runs({.filter = text, .keys = std::vector<std::string>{}});
    for (auto run = found.rbegin(); run != found.rend(); ++run) out.uids.push_back(run->uid);
    if (out.uids.empty()) throw Error(fmt::format("no run matches '{}'", text), Exit::kData);
    return out;
  }

  tracker::Query& query_;
  std::vector<RunInfo> all_;
};

}  // namespace

Chosen choose(tracker::Query& query, const Request& request) {
  Chooser chooser(query);
  if (request.targets.empty()) return chooser.newest();
  Chosen out = chooser.target(request.targets.front());
  std::set<std::string> seen(out.uids.begin(), out.uids.end());
  for (size_t i = 1; i < request.targets.size(); ++i) {
    const Chosen more = chooser.target(request.targets[i]);
    out.named = out.named && more.named;
    out.title += ", " + more.title;
    for (const std::string& uid : more.uids) {
      if (seen.insert(uid).second) out.uids.push_back(uid);
    }
  }
  return out;
}

}  // namespace xp::report
