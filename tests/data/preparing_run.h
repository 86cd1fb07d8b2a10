#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/stop.h"
#include "core/graph/build.h"
#include "core/graph/cache.h"
#include "core/graph/execute.h"
#include "core/graph/first_reading.h"
#include "core/graph/inputs.h"
#include "core/graph/plan.h"
#include "core/recipe/recipe.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "data/prepare.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/wav.h"
#include "tracker/run_sink.h"

/// A recipe that prepares a small set of files, planned and executed as `exp run` does it.
namespace xp::data::testing {

/// Prepares; `before` and `after` may do something to the files.
class Preparer final : public graph::Runner {
 public:
  void run(const graph::Node& node, graph::StageContext& context) override {
    (context.seen != nullptr ? first : later) += 1;
    before(context);
    run_prepare(graph::options_of<schema::PrepareOptions>(node), context);
    after(context);
  }
  std::function<void(graph::StageContext&)> before = [](graph::StageContext&) {};
  std::function<void(graph::StageContext&)> after = [](graph::StageContext&) {};
  int first = 0;  ///< times that the key was not known
  int later = 0;
};

class Teller final : public graph::Recorder {
 public:
  std::unique_ptr<tracker::RunSink> begin(const graph::Node&,
                                          const std::filesystem::path&) override {
    return std::make_unique<tracker::MemorySink>();
  }
  void publish(const graph::Node&, const std::filesystem::path&) override {}
  void attach(const graph::Node&, const std::filesystem::path&, bool) override {}
  void say(const graph::Node&, std::string_view line) override {
    said += std::string(line) + "\n";
    on_line(line);
  }
  void progress(const graph::Node&, std::string_view, double, double) override {}

  std::string said;
  std::function<void(std::string_view)> on_line = [](std::string_view) {};
};

class PreparingRun : public ::testing::Test {
 protected:
  PreparingRun() { make_set("set", 40); }

  /// ESC-10 in small: `clips` that are listed, three sounds and a text that are not.
  void make_set(const char* name, int clips) const {
    const std::filesystem::path root = dir_ / name;
    for (const char* folder : {"meta", "audio", "audio/more"})
      std::filesystem::create_directories(root / folder);
    std::ofstream csv(root / "meta/esc50.csv");
    csv << "filename,fold,target,category,esc10,src_file,take\n";
    for (int i = 0; i < clips; ++i) {
      csv << fmt::format("{0}.wav,{1},{2},c{2},True,0,A\n", i, i % 5 + 1, i % 10);
      sound(root, i, 100 + i);
    }
    for (int i = 0; i < 3; ++i)
      xp::testing::write_wav(root / fmt::format("audio/more/{}.wav", i), 0.1, 50 + i, 16000);
    std::ofstream(root / "README.md") << "a small set\n";
  }
  static void sound(const std::filesystem::path& root, int i, double hz) {
    xp::testing::write_wav(root / fmt::format("audio/{}.wav", i), 1.0, hz, 16000);
  }

  graph::Graph build(graph::InputDigests& inputs, const graph::Cache& cache, bool put_off = true,
                     const std::string& root = "set") const {
    std::ofstream(dir_ / (root + ".toml")) << fmt::format(
        "experiment.name = 'first'\n"
        "dataset = {{ name = 'esc50', subset = 'esc10', root = '{}', test_fold = 1, val = 'test', "
        "shard_mb = 1{} }}\n"
        "frontend = {{ kind = 'kaldi', frames = 64 }}\n"
        "stages.prepare = {{ do = 'prepare' }}\n",
        (dir_ / root).string(), more_);
    const recipe::Recipe recipe = schema::load_recipe(dir_ / (root + ".toml"), {});
    graph::Target target;
    if (put_off) target.cache = &cache;
    target.most_unread_bytes = most_unread_;
    std::vector<std::string> notes;
    return graph::build_graph(recipe, target, inputs, {}, notes);
  }

  struct Done {
    graph::Learned learned;
    graph::Execution execution;
    std::string key;
    std::filesystem::path folder;
  };
  /// What `exp run` does.
  Done run(const graph::Cache& cache, Preparer& preparer, Teller& teller, bool put_off = true,
           const std::string& root = "set") const {
    graph::InputDigests inputs(cache.root() / "inputs");
    graph::Learning learning{[&] { return build(inputs, cache, put_off, root); }, inputs, {}, {}};
    learning.known = known_;
    graph::ExecuteOptions options;
    options.resources.threads = 2;
    options.stop_requested = stop_;
    Done out;
    out.learned = graph::learn_keys(graph::make_plan(learning.build(), cache, &inputs, {}),
                                    learning, cache, preparer, teller, options);
    if (!out.learned.ended)
      out.execution = graph::execute(out.learned.plan, cache, preparer, teller, options);
    const graph::Node& node = out.learned.plan.graph.nodes.front();
    out.key = node.key;
    out.folder = cache.folder("prepare", node.key);
    return out;
  }
  Done run(const graph::Cache& cache, bool put_off = true, const std::string& root = "set") const {
    Preparer preparer;
    Teller teller;
    return run(cache, preparer, teller, put_off, root);
  }
  xp::testing::TempDir dir_;
  std::string more_;
  uint64_t most_unread_ = 0;
  std::function<void(const graph::Graph&)> known_ = [](const graph::Graph&) {};
  std::function<StopReason()> stop_ = [] { return StopReason::kNone; };
};

}  // namespace xp::data::testing
