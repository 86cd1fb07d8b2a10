#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/graph/execute.h"
#include "tests/testing/temp_dir.h"
#include "tracker/query.h"

/// What tests of whatever runs stages share: stages that only pretend, in a workspace of their
/// own.
namespace xp::testing {

using Names = std::vector<std::string>;

/// A stage's work is a file, and what `report` says.
class Pretender : public graph::Runner {
 public:
  using Work = std::function<void(const graph::Node&, graph::StageContext&)>;

  void run(const graph::Node& node, graph::StageContext& context) override {
    ran.push_back(node.name);
    before(node, context);
    std::ofstream(context.output / "out.txt") << node.key;
    report(node, context);
  }
  bool runs_many(std::string_view kind) const override { return together && kind == "evaluate"; }
  void run_many(std::span<const graph::Node* const> nodes,
                std::span<graph::StageContext* const> contexts) override {
    groups.push_back(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) run(*nodes[i], *contexts[i]);
  }

  Names ran;                   ///< names of stages in their order
  std::vector<size_t> groups;  ///< sizes of what ran together
  bool together = false;       ///< evaluations with equal inputs
  Work before = [](const graph::Node&, graph::StageContext&) {};
  Work report = [](const graph::Node&, graph::StageContext&) {};
};

/// A temporary folder with exp.toml and recipe.toml, which is the current folder meanwhile.
class PretendedWorkspace : public ::testing::Test {
 protected:
  explicit PretendedWorkspace(const char* recipe) : start_(std::filesystem::current_path()) {
    set_progress_enabled(false);
    std::filesystem::current_path(dir_.path());
    std::ofstream("exp.toml") << "default_recipe = \"recipe.toml\"\n[runtime]\nthreads = 2\n";
    std::ofstream("recipe.toml") << recipe;
  }
  ~PretendedWorkspace() override {
    request_stop(StopReason::kNone);
    std::filesystem::current_path(start_);
  }

  tracker::Query query() const { return tracker::Query(dir_ / ".exp"); }
  std::vector<tracker::RunInfo> runs() const { return query().runs({}); }

  TempDir dir_;
  std::filesystem::path start_;
  Pretender runner_;
};

}  // namespace xp::testing
