#include "core/load/checked_weights.h"

#include <future>
#include <optional>
#include <string>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/checkpoint/formats.h"
#include "core/graph/given_output.h"

namespace xp::load {
namespace fs = std::filesystem;
namespace {

/// The digest of a mapped file, computed beside whatever else is done with it.
class DigestBeside {
 public:
  DigestBeside(const fs::path& file, const checkpoint::MappedFile& mapped) : file_(file) {
    const auto manifest = graph::manifest_beside(file);
    if (manifest) listed_ = graph::listed_digest(*manifest, file.filename().string());
    if (listed_.empty()) return;
    digest_ = std::async(std::launch::async, [mapped] { return Digest().add(mapped.bytes).hex(); });
  }
  /// Waits. Throws Error (kData).
  void check() {
    if (digest_.valid() && digest_.get() != listed_) throw graph::damaged_output(file_);
  }

 private:
  fs::path file_;
  std::string listed_;
  std::future<std::string> digest_;
};

}  // namespace

void use_checked_weights(const fs::path& file,
                         const std::function<void(const checkpoint::Archive&)>& use) {
  // Folders and indexes of shards are other programs': no manifest of ours lies beside them.
  if (checkpoint::is_index(file) || fs::is_directory(file))
    return use(checkpoint::Archive::open(file));
  const auto in_use = graph::hold_output(file);
  const checkpoint::MappedFile mapped = checkpoint::MappedFile::open(file);
  DigestBeside digest(file, mapped);
  try {
    use(checkpoint::read_any(file, mapped, {}));
  } catch (...) {
    digest.check();  // damage explains the rest
    throw;
  }
  digest.check();
}

}  // namespace xp::load
