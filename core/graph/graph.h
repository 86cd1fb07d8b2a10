#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/graph/manifest.h"
#include "core/graph/stage.h"

namespace xp::graph {

struct Counted;

/// One input of a node: another node's output, or a file or folder of the user.
struct Edge {
  static constexpr size_t kUser = static_cast<size_t>(-1);

  std::string role;             ///< as in stages.inc
  std::string part = "output";  ///< "best", "last", "average", "output"
  size_t node = kUser;          ///< index into Graph::nodes; kUser: `path` and `digest` say what
  std::filesystem::path path;
  std::string digest;
  /// Files that were not read for the digest, see InputDigest; 0 where it is one of content.
  uint64_t unread = 0;
  uint64_t unread_bytes = 0;
  /// Which files of the folder count in the digest; null: all.
  std::shared_ptr<const Counted> counted;
};

/// One stage of a resolved recipe, ready to be looked up in the cache.
struct Node {
  std::string name;   ///< "student", "train@2"
  std::string stage;  ///< "student", "train": without the instance
  std::string kind;
  int version = 1;
  Resume resume = Resume::kAtomic;
  std::string options;  ///< canonical text of the result fields, one "key = value" a line, sorted
  std::shared_ptr<const void> built;  ///< the kind's option struct, for the run half alone
  std::vector<Edge> inputs;
  std::vector<double> each;  ///< the numbers of its `each` keys
  std::string key;           ///< filled by set_keys
  /// What the key comes from was not read yet: it says where unfinished work lies, and becomes
  /// another one when the contents are known (core/graph/first_reading.h).
  bool provisional = false;
};

/// The stages that a run may need, in an order in which inputs come first.
struct Graph {
  std::vector<Node> nodes;
  std::vector<size_t> goals;
};

/// True when the node itself has inputs of the user that are not read yet.
bool reads_unread(const Node& node);
/// True when that, or one of its inputs is provisional.
bool is_provisional(const Graph& graph, const Node& node);

/// Fills `key` and `provisional` of every node, in order. XP_CHECK that inputs come first.
void set_keys(Graph& graph);

/// The inputs of a node as its manifest will remember them; its inputs' keys must be set.
std::vector<InputRecord> input_records(const Graph& graph, const Node& node);

/// Indices of the nodes called `text`: an instance's name, or a stage with all its instances; a
/// kind's name means all of that kind when no stage has it ("prepare"). Throws Error with the
/// nearest name.
std::vector<size_t> find_nodes(const Graph& graph, std::string_view text);

/// Every node that needs one of `nodes`, directly or not, and `nodes` themselves.
std::vector<bool> dependants(const Graph& graph, const std::vector<size_t>& nodes);

}  // namespace xp::graph
