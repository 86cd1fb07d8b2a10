#include "tests/graph/fakes.h"

#include <fstream>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"

namespace xp::graph::testing {
namespace fs = std::filesystem;

Node fake_node(std::string name, std::string kind, std::string options, std::vector<size_t> inputs,
               Resume resume) {
  Node node;
  node.stage = name.substr(0, name.find('@'));
  node.name = std::move(name);
  node.kind = std::move(kind);
  node.options = std::move(options);
  node.resume = resume;
  for (const size_t input : inputs) {
    Edge edge;
    edge.role = "data";
    edge.node = input;
    node.inputs.push_back(edge);
  }
  return node;
}

Graph distillation(double lambda) {
  Graph graph;
  graph.nodes = {
      fake_node("prepare", "prepare", "rate_hz = 16000\n", {}, Resume::kResumes),
      fake_node("teacher", "train", "model.arch = \"mn10\"\n", {0}, Resume::kResumes),
      fake_node("teach", "teach", "split = \"train\"\n", {0, 1}, Resume::kResumes),
      fake_node("student", "train",
                fmt::format("kd.lambda = {}\nmodel.arch = \"ast-nano\"\n", lambda), {0, 2},
                Resume::kResumes),
      fake_node("eval", "evaluate", "eval.metrics = [\"mAP\"]\n", {0, 3}),
  };
  graph.goals = {4};
  set_keys(graph);
  return graph;
}

std::string fake_output(const Node& node, const StageContext& context, int steps) {
  std::string inputs;
  for (const StageInput& input : context.inputs) inputs += read_file(input.path / "out.txt");
  std::string out;
  for (int step = 0; step < steps; ++step) {
    out += fmt::format("{} {} {}\n", node.kind, step,
                       sha256(node.options + inputs + std::to_string(step)));
  }
  return out;
}

void FakeRunner::run(const Node& node, StageContext& context) {
  {
    const std::lock_guard lock(mutex_);
    ran_.push_back(node.name);
  }
  const std::string whole = fake_output(node, context, steps);
  const fs::path partial = context.output / "partial.txt";
  std::istringstream lines(whole);
  std::string line, text;
  // Whole lines of an earlier attempt count; a torn last line does not.
  std::string there = context.resumed && fs::exists(partial) ? read_file(partial) : "";
  there.resize(there.rfind('\n') == std::string::npos ? 0 : there.rfind('\n') + 1);
  for (int step = 0; std::getline(lines, line); ++step) {
    text += line + "\n";
    if (text.size() <= there.size()) continue;
    at_step(node, context, step);
    std::ofstream out(partial, std::ios::trunc);
    out << text << std::flush;
    if (!out) throw Error("cannot write " + partial.string(), Exit::kFailed);
  }
  fs::rename(partial, context.output / "out.txt");
  context.sink->summary("mAP", 0.5, tracker::Unit::kFraction);
}

std::vector<std::string> FakeRunner::ran() const {
  const std::lock_guard lock(mutex_);
  return ran_;
}

std::unique_ptr<tracker::RunSink> FakeRecorder::begin(const Node& node, const fs::path&) {
  const std::lock_guard lock(mutex_);
  lines_.push_back("begin " + node.name);
  return std::make_unique<tracker::MemorySink>();
}

void FakeRecorder::publish(const Node& node, const fs::path&) {
  const std::lock_guard lock(mutex_);
  lines_.push_back("publish " + node.name);
}

void FakeRecorder::attach(const Node& node, const fs::path&, bool made_now) {
  const std::lock_guard lock(mutex_);
  lines_.push_back("attach " + node.name + (made_now ? " made" : " cached"));
}

void FakeRecorder::say(const Node& node, std::string_view line) {
  const std::lock_guard lock(mutex_);
  lines_.push_back("say " + node.name + ": " + std::string(line));
}

void FakeRecorder::progress(const Node&, std::string_view, double, double) {}

std::vector<std::string> FakeRecorder::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

bool FakeRecorder::said(std::string_view text) const {
  for (const std::string& line : lines()) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

std::string run_to_goal(const Graph& graph, const Cache& cache) {
  FakeRunner runner;
  FakeRecorder recorder;
  const Plan plan = make_plan(graph, cache, nullptr, {});
  const Execution done = execute(plan, cache, runner, recorder, {});
  for (const NodeResult& node : done.nodes) {
    if (!node.error.empty()) throw Error(node.error);
  }
  const Node& goal = graph.nodes[graph.goals.front()];
  return read_file(cache.folder(goal.kind, goal.key) / "out.txt");
}

}  // namespace xp::graph::testing
