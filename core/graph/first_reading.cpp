#include "core/graph/first_reading.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/graph/seen_files.h"

namespace xp::graph {
namespace {

constexpr size_t kNamedInLine = 3;  // changed files named in a line

std::optional<size_t> first_unread(const Plan& plan) {
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const State state = plan.steps[i].state;
    if (state == State::kCached || state == State::kNotNeeded) continue;
    if (reads_unread(plan.graph.nodes[i])) return i;
  }
  return std::nullopt;
}

const Node& same_node(const Graph& graph, const Node& node) {
  const auto at = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& one) {
    return one.name == node.name && one.kind == node.kind;
  });
  XP_CHECK(at != graph.nodes.end(), "a recipe's stages do not change: " + node.name);
  return *at;
}

class Reading {
 public:
  Reading(const Learning& learning, const Cache& cache, Runner& runner, Recorder& recorder,
          const ExecuteOptions& options)
      : learning_(learning),
        cache_(cache),
        runner_(runner),
        recorder_(recorder),
        options_(options) {}

  Learned run(Plan plan) {
    out_.plan = std::move(plan);
    while (const std::optional<size_t> at = first_unread(out_.plan)) {
      const Node node = out_.plan.graph.nodes[*at];
      try {
        // Nothing that is there is to be gone on with where it is forced.
        const Graph graph =
            out_.plan.steps[*at].forced ? read_for_digest(node) : read(out_.plan.graph, node);
        out_.plan = make_plan(graph, cache_, &learning_.inputs, learning_.request);
      } catch (const Stopped& stopped) {
        end(*at).result = Result::kStopped;
        out_.ended->stopped = stopped.reason();
        break;
      } catch (const std::exception& error) {
        set_failed(end(*at), node, error);
        break;
      }
    }
    return std::move(out_);
  }

 private:
  NodeResult& end(size_t i) {
    out_.ended.emplace();
    for (const Step& step : out_.plan.steps) {
      NodeResult& result = out_.ended->nodes.emplace_back();
      if (step.state == State::kCached) result.result = Result::kCached;
      if (step.state == State::kNotNeeded) result.result = Result::kNotNeeded;
      result.manifest = step.cached;
    }
    out_.ended->nodes[i].seconds = out_.seconds[out_.plan.graph.nodes[i].name];
    return out_.ended->nodes[i];
  }

  Graph read_for_digest(const Node& node) {
    for (const Edge& edge : node.inputs) {
      if (edge.unread > 0) learning_.inputs.never_put_off(edge.path);
    }
    return learning_.build();
  }

  // The graph after the files of `node` were read.
  Graph read(const Graph& before, const Node& node) {
    Claim claim = claim_output(before, node);
    const auto seen = std::make_shared<SeenFiles>(claim.reads());
    learning_.inputs.take(seen);
    learning_.inputs.hold();
    // Somebody else may have read them meanwhile, or an earlier attempt nearly all of them.
    Graph graph = learning_.build();
    bool made = claim.resumed();
    if (const Node& now = same_node(graph, node); reads_unread(now)) {
      if (now.key != node.key) {  // another listing by now
        learning_.inputs.keep();
        claim.discard();
        return graph;
      }
      decode(node, claim, *seen);
      made = true;
      seen->look_again();
      graph = read_for_digest(node);
    }
    if (made && is_what_was_read(node, *seen)) {
      learning_.known(graph);
      hand_over(graph, same_node(graph, node), claim);
    }
    // In this order: killed before it, the next attempt finds the digests in the notes of the
    // claim, and so the key that the folder is under.
    learning_.inputs.keep();
    claim.discard();
    return graph;
  }

  Claim claim_output(const Graph& graph, const Node& node) {
    bool said = false;
    const auto waiting = [&](const Holder& holder) {
      if (!std::exchange(said, true)) recorder_.say(node, "waits for " + holder_text(holder));
      return options_.stop_requested() == StopReason::kNone;
    };
    const auto damaged = [&](const std::string& what) {
      recorder_.say(node, damaged_text(cache_, node, what));
    };
    auto claim = cache_.claim(wanted_output(graph, node, options_.run), false, waiting, damaged);
    if (!claim) throw Stopped(options_.stop_requested());
    return std::move(*claim);
  }

  void decode(const Node& node, Claim& claim, SeenFiles& seen) {
    const int64_t start = steady_ns();
    // Without a folder: its name is not the one that curves are looked for under.
    const std::unique_ptr<tracker::RunSink> sink = recorder_.begin(node, {});
    StageContext context;
    context.name = node.name;
    context.key = node.key;
    context.output = claim.output();
    context.resumed = claim.resumed();
    context.resources = options_.resources;
    context.sink = sink.get();
    context.seen = &seen;
    context.stop_requested = [&] {
      claim.keep();
      return options_.stop_requested();
    };
    context.progress = [&](std::string_view what, double done, double total) {
      recorder_.progress(node, what, done, total);
    };
    context.say = [&](std::string_view line) { recorder_.say(node, line); };
    XP_CHECK(std::all_of(node.inputs.begin(), node.inputs.end(),
                         [](const Edge& edge) { return edge.node == Edge::kUser; }),
             "a stage that reads data sets needs other stages");
    const auto spent = [&] {
      const double seconds = static_cast<double>(steady_ns() - start) / 1e9;
      claim.abandon(seconds);
      out_.seconds[node.name] += seconds;
    };
    try {
      runner_.run(node, context);
    } catch (const Stopped& stopped) {
      spent();
      sink->finished(outcome_of(stopped.reason()), "");
      throw;
    } catch (const std::exception& error) {
      spent();
      sink->finished(tracker::Outcome::kFailed, error.what());
      throw;
    }
    spent();
    sink->finished(tracker::Outcome::kDone, "");
    recorder_.say(node, fmt::format("{} files ({:.1f} GB) were read, their digests are known",
                                    seen.size(), static_cast<double>(seen.bytes()) / 1e9));
  }

  // False, and a word, where files changed after they were read: what was decoded is not what the
  // digests are of.
  bool is_what_was_read(const Node& node, const SeenFiles& seen) {
    std::vector<std::string> changed = seen.changed();
    if (changed.empty()) return true;
    const size_t more = changed.size() - std::min(changed.size(), kNamedInLine);
    changed.resize(changed.size() - more);
    recorder_.say(node, fmt::format("{}{} changed after it was read: the sounds are decoded again",
                                    fmt::join(changed, ", "),
                                    more > 0 ? fmt::format(" and {} more", more) : ""));
    return false;
  }

  void hand_over(const Graph& graph, const Node& node, Claim& unfinished) {
    Claim claim = claim_output(graph, node);
    if (claim.finished() == nullptr) claim.take_over(unfinished);
  }

  const Learning& learning_;
  const Cache& cache_;
  Runner& runner_;
  Recorder& recorder_;
  const ExecuteOptions& options_;
  Learned out_;
};

}  // namespace

Learned learn_keys(Plan plan, const Learning& learning, const Cache& cache, Runner& runner,
                   Recorder& recorder, const ExecuteOptions& options) {
  return Reading(learning, cache, runner, recorder, options).run(std::move(plan));
}

}  // namespace xp::graph
