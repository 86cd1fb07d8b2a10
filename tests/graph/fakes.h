#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/execute.h"
#include "tracker/run_sink.h"

namespace xp::graph::testing {

/// A node of a made-up kind. `inputs` are indices of earlier nodes.
Node fake_node(std::string name, std::string kind, std::string options,
               std::vector<size_t> inputs = {}, Resume resume = Resume::kAtomic);

/// prepare -> teacher -> teach -> student -> eval, as in a distillation recipe; the goal is eval.
Graph distillation(double lambda);

/// Stages that write one file: their options and the content of their inputs. A kResumes stage
/// writes it in steps, one line each, and goes on from what is there.
class FakeRunner : public Runner {
 public:
  void run(const Node& node, StageContext& context) override;

  /// Called before every step of every stage, with its number; may throw.
  std::function<void(const Node&, StageContext&, int step)> at_step = [](const Node&, StageContext&,
                                                                         int) {};
  int steps = 4;

  std::vector<std::string> ran() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> ran_;
};

/// What such a stage writes.
std::string fake_output(const Node& node, const StageContext& context, int steps);

/// Keeps everything as text: "begin NAME", "attach NAME made", "say NAME: ...".
class FakeRecorder : public Recorder {
 public:
  std::unique_ptr<tracker::RunSink> begin(const Node& node,
                                          const std::filesystem::path& folder) override;
  void publish(const Node& node, const std::filesystem::path& folder) override;
  void attach(const Node& node, const std::filesystem::path& folder, bool made_now) override;
  void say(const Node& node, std::string_view line) override;
  void progress(const Node& node, std::string_view what, double done, double total) override;

  std::vector<std::string> lines() const;
  /// True when a line contains `text`.
  bool said(std::string_view text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// Plans and executes with fresh fakes; the content of the first goal's file.
std::string run_to_goal(const Graph& graph, const Cache& cache);

}  // namespace xp::graph::testing
