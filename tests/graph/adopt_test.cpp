#include "core/graph/adopt.h"

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "core/graph/cache.h"
#include "core/graph/execute.h"
#include "core/graph/graph.h"
#include "core/graph/input_scan.h"
#include "core/graph/inputs.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using xp::testing::put;
using xp::testing::TempDir;

/// A prepare node over a list, as version 5 has it; version 4 had the folder beside it.
class Adopt : public ::testing::Test {
 protected:
  Adopt() { put(dir_ / "set/a.wav", "a"); }

  Node listed(const std::string& list, const std::string& files) const {
    Node node;
    node.name = node.stage = node.kind = "prepare";
    node.version = 5;
    node.options = "dataset.name = \"json\"\n";
    for (const auto& [role, digest] : {std::pair{"dataset.labels", std::string("l")},
                                       {"dataset.json_train", list},
                                       {"dataset.json_train.files", files}}) {
      Edge edge;
      edge.role = role;
      edge.digest = digest;
      node.inputs.push_back(edge);
    }
    return node;
  }
  std::string publish(Node node, const std::string& root_digest, int version) const {
    Edge root;
    root.role = "dataset.root";
    root.digest = root_digest;
    if (!root_digest.empty()) node.inputs.insert(node.inputs.begin(), root);
    node.version = version;
    Graph graph;
    graph.nodes = {node};
    set_keys(graph);
    auto claim = cache_.claim(
        wanted_output(graph, graph.nodes[0], ""), false, [](const Holder&) { return false; },
        [](const std::string&) {});
    put(claim->output() / "index.json", "{}");
    return claim->publish({}, 1).key;
  }
  std::string earlier(const Node& node) { return earlier_output(node, cache_, &inputs_); }

  TempDir dir_;
  Cache cache_{dir_ / "cache"};
  InputDigests inputs_{dir_ / "memory"};
};

TEST_F(Adopt, AListedSetIsKnownByItsListAndWhatThatNames) {
  const std::string key = publish(listed("t", "f"), "whatever lay beside it", 4);
  EXPECT_EQ(earlier(listed("t", "f")), key);
  EXPECT_EQ(earlier(listed("u", "f")), "");
  EXPECT_EQ(earlier(listed("t", "g")), "");
  Node other = listed("t", "f");
  other.options = "dataset.name = \"folder\"\n";
  EXPECT_EQ(earlier(other), "");
  other = listed("t", "f");
  other.provisional = true;
  EXPECT_EQ(earlier(other), "");
  other = listed("t", "f");
  other.inputs.pop_back();
  EXPECT_EQ(earlier(other), "");
}

TEST_F(Adopt, OtherVersionsAreLeftAlone) {
  publish(listed("t", "f"), "r", 3);
  publish(listed("t", "f"), "", 5);
  EXPECT_EQ(earlier(listed("t", "f")), "");
}

TEST_F(Adopt, AFolderIsKnownByAllOfItsFiles) {
  Node node;
  node.name = node.stage = node.kind = "prepare";
  node.version = 5;
  Edge root;
  root.role = "dataset.root";
  root.path = dir_ / "set";
  root.counted = std::make_shared<const Counted>(
      Counted{"folder", [](std::string_view file) { return file.ends_with(".wav"); }});
  root.digest = inputs_.tree(root.path, {}, nullptr, root.counted.get()).digest;
  node.inputs = {root};
  const auto publish_now = [&] {
    Node before = node;
    before.inputs[0].digest = inputs_.tree(root.path).digest;
    return publish(before, "", 4);
  };
  put(dir_ / "set/README.md", "hear");
  const std::string with_text = publish_now();
  EXPECT_EQ(earlier(node), with_text);
  EXPECT_EQ(earlier_output(node, cache_, nullptr), "") << "nobody looked at all files";
  put(dir_ / "set/README.md", "changed");
  EXPECT_EQ(earlier(node), "") << "what else changed is not known";
  // Made of nothing but the files that count, whatever came beside them since.
  fs::remove(dir_ / "set/README.md");
  const std::string bare = publish_now();
  put(dir_ / "set/README.md", "new");
  EXPECT_EQ(earlier(node), bare);
  EXPECT_EQ(earlier_output(node, cache_, nullptr), bare);
}

}  // namespace
}  // namespace xp::graph
