#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "core/graph/execute.h"
#include "core/graph/inputs.h"
#include "core/graph/plan.h"

namespace xp::graph {

/// A plan in which every key is known, or how the reading for it ended.
struct Learned {
  Plan plan;
  std::map<std::string, double> seconds;  ///< of work on a stage so far, by its name
  std::optional<Execution> ended;         ///< stopped, or a stage failed; of `plan`
};

/// How a graph gets its keys.
struct Learning {
  /// The graph as files are now, its digests by `inputs` with data sets put off (Target::cache).
  std::function<Graph()> build;
  InputDigests& inputs;
  PlanRequest request;
  /// Called with a graph before anything is put under keys of it that were provisional.
  std::function<void(const Graph&)> known = [](const Graph&) {};
};

/// Reads the data sets whose digests were put off, each file once: `prepare` decodes them into the
/// unfinished folder of its provisional key and tells the digest of each file as it goes
/// (StageContext::seen). What it did not read is read then, the keys become known, and the folder
/// is put under the real one as that of a stage that resumes: making the plan finds little to do
/// there and publishes it. Content and options have the key that they would have had, whatever was
/// read first.
///
/// May be killed at any moment: the next call goes on with folder and digests while the listing
/// (paths, sizes, times, inodes) is the same. Where somebody else reads the set it waits. A file
/// that changes between its reading and the end is named, and the folder is not used.
///
/// `plan` is one that has provisional keys. Stages that fail or are stopped are told to `recorder`
/// and in `ended`.
Learned learn_keys(Plan plan, const Learning& learning, const Cache& cache, Runner& runner,
                   Recorder& recorder, const ExecuteOptions& options);

}  // namespace xp::graph
