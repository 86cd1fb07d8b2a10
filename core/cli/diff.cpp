#include <cmath>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/run_text.h"
#include "tracker/query.h"

namespace xp::cli {
namespace {

using nlohmann::ordered_json;

struct Line {
  std::string key, left, right;
};

constexpr const char* kAbsent = "-";

/// What differs between two maps, as text.
template <class Map, class Text>
std::vector<Line> differences(const Map& left, const Map& right, const Text& text) {
  std::set<std::string> keys;
  for (const auto& [key, value] : left) keys.insert(key);
  for (const auto& [key, value] : right) keys.insert(key);
  std::vector<Line> out;
  for (const std::string& key : keys) {
    const auto a = left.find(key), b = right.find(key);
    const std::string x = a == left.end() ? kAbsent : text(a->second);
    const std::string y = b == right.end() ? kAbsent : text(b->second);
    if (x != y) out.push_back({key, x, y});
  }
  return out;
}

struct Side {
  tracker::RunInfo info;
  tracker::RunDetail detail;
  std::map<std::string, std::string> source, environment;
};

Side read_side(const Session& session, tracker::Query& query, const std::string& text) {
  Side out;
  const std::string uid = query.find(text);
  out.info = query.run(uid);
  out.detail = query.detail(uid);
  for (const auto& [key, value] : out.detail.facts) {
    const bool source = key.starts_with("git.") || key.starts_with("build.");
    if (!key.starts_with("tracker.") && !key.starts_with("slurm.job"))
      (source ? out.source : out.environment)[key] = value;
  }
  out.source["recipe"] = out.info.recipe_path;
  out.source["recipe.hash"] = out.info.recipe_hash;
  const auto diff = tracker_folder(session) / "runs" / uid / "files/source/diff.patch";
  if (std::filesystem::exists(diff))
    out.source["git.diff"] = "sha256 " + sha256_file(diff).substr(0, 12);
  return out;
}

class Diff : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("a", a_, "a run").required();
    declared.option("b", b_, "another run").required();
    declared.footer(
        "Prints what differs, nothing else.\n\nExamples:\n  exp diff last-1 last\n  exp diff "
        "3F9KQ2ZT 7HMX01AB --json\n");
  }

  int run(Session& session) override {
    tracker::Query query = open_query(session);
    const Side a = read_side(session, query, a_), b = read_side(session, query, b_);
    const auto same = [](const std::string& text) { return text; };
    const auto config = differences(a.info.params, b.info.params,
                                    [](const auto& v) { return tracker::to_text(v); });
    const auto source = differences(a.source, b.source, same);
    const auto environment = differences(a.environment, b.environment, same);
    const auto metrics = differences(a.info.metrics, b.info.metrics, [](const auto& m) {
      return tracker::to_text(tracker::Value(m.last));
    });
    if (session.json) {
      fmt::print("{}", dump({{"a", a.info.uid},
                             {"b", b.info.uid},
                             {"config", json(config)},
                             {"source", json(source)},
                             {"environment", json(environment)},
                             {"metrics", json(metrics)}}));
      return 0;
    }
    const std::string left = short_uid(a.info.uid), right = short_uid(b.info.uid);
    print("config", config, left, right);
    print("source", source, left, right);
    print("environment", environment, left, right);
    print_metrics(a.info, b.info, metrics, left, right);
    if (config.empty() && source.empty() && environment.empty() && metrics.empty())
      fmt::print("no difference\n");
    return 0;
  }

 private:
  static ordered_json json(const std::vector<Line>& lines) {
    auto out = ordered_json::array();
    for (const Line& line : lines)
      out.push_back({{"key", line.key}, {"a", line.left}, {"b", line.right}});
    return out;
  }

  static void print(const std::string& title, const std::vector<Line>& lines,
                    const std::string& left, const std::string& right) {
    if (lines.empty()) return;
    TextTable table{{title, left, right}, {}};
    for (const Line& line : lines) table.rows.push_back({line.key, line.left, line.right});
    fmt::print("{}\n", table.text());
  }

  static void print_metrics(const tracker::RunInfo& a, const tracker::RunInfo& b,
                            const std::vector<Line>& lines, const std::string& left,
                            const std::string& right) {
    if (lines.empty()) return;
    TextTable table{{"metric", left, right, "difference"}, {}};
    for (const Line& line : lines) {
      const auto x = a.metrics.find(line.key), y = b.metrics.find(line.key);
      const bool both = x != a.metrics.end() && y != b.metrics.end();
      table.rows.push_back({line.key, x == a.metrics.end() ? kAbsent : short_number(x->second.last),
                            y == b.metrics.end() ? kAbsent : short_number(y->second.last),
                            both ? fmt::format("{:+.4g}", y->second.last - x->second.last) : ""});
    }
    fmt::print("{}\n", table.text());
  }

  std::string a_, b_;
};

}  // namespace

std::unique_ptr<Command> make_diff() { return std::make_unique<Diff>(); }

}  // namespace xp::cli
