#pragma once

#include <string>

namespace xp::graph {

class Cache;
class InputDigests;
struct Node;

/// The key of a finished output that the version before of the kind made of the same options and
/// files as `node` wants, by the rule of keys of that version: what of it is right already need not
/// be made again. "" for kinds that cannot take over, and when there is none.
///
/// `prepare` 4 had all files of a data set's folder in its key, those of a listed set too; 5 has
/// the files that count. `inputs` tells the digest of all; may be null, then only a folder in which
/// all files count is found.
std::string earlier_output(const Node& node, const Cache& cache, InputDigests* inputs);

}  // namespace xp::graph
