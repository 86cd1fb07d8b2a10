#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/graph/cache.h"
#include "core/graph/graph.h"
#include "core/graph/inputs.h"

namespace xp::recipe {
class Recipe;
}

namespace xp::graph {

/// What `auto` values are resolved by, before they are in a key.
struct Target {
  bool gpu = false;         ///< the run's devices are GPUs
  bool bf16_units = false;  ///< else: the CPU multiplies bf16 matrices in hardware
  /// Where given: a data set that would have to be read for its digest, and that is not one that
  /// shards in this cache were made of, is not read: who decodes it sees every byte anyway. What
  /// needs it is then provisional.
  const Cache* cache = nullptr;
  /// So much is read at once all the same: it is still in memory when it is decoded.
  uint64_t most_unread_bytes = uint64_t{64} << 20U;
};

/// A file or folder that the recipe names and that is not there.
class MissingInput : public Error {
 public:
  MissingInput(Place place, std::string key, std::filesystem::path path, std::string dataset);
  const std::string& key() const { return key_; }  ///< "dataset.root"
  const std::filesystem::path& path() const { return missing_; }
  const std::string& dataset() const {
    return dataset_;
  }  ///< dataset.name, "" where the key is none of it

 private:
  std::string key_;
  std::filesystem::path missing_;
  std::string dataset_;
};

/// A recipe's stages as a graph with keys: the option structs are built, a `prepare` is added for
/// each data set and rate that is read, references become edges (instances of equal `each` pair
/// up), files and folders get their digests. Instances are called "train@2" (the values of their
/// `each` keys). `notes` takes lines that a person should see.
///
/// A data set's folder that is gone but that `inputs` remembers stands with its last digest: its
/// shards may be cached. Throws MissingInput for any other absent file, Error (kData) for one that
/// cannot be read.
Graph build_graph(const recipe::Recipe& recipe, const Target& target, InputDigests& inputs,
                  const InputDigests::Progress& progress, std::vector<std::string>& notes);

/// The option struct of a node, for the kind's run half.
template <class Options>
const Options& options_of(const Node& node) {
  return *static_cast<const Options*>(node.built.get());
}

}  // namespace xp::graph
