#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.h"
#include "core/graph/manifest.h"
#include "core/graph/stage.h"

namespace xp::graph {

/// Who is making a stage: written beside its lock, believed only while the lock is held.
struct Holder {
  int64_t pid = 0;
  std::string host;
  std::string run;    ///< ULID, or ""
  std::string stage;  ///< name in the holder's recipe
  int64_t since_ns = 0;
};

/// "exp run 01J..., stage student, process 4242 on host lab3, since 2 min 10 s"
std::string holder_text(const Holder& holder);

/// What identifies the output that is wanted.
struct Wanted {
  std::string kind;
  int version = 0;
  Resume resume = Resume::kAtomic;
  std::string key;
  std::string stage;
  std::string options;
  std::vector<InputRecord> inputs;
  std::string run;  ///< ULID of the asking run, or ""
};

/// Something in the cache that belongs to a key by its name: KIND/KEY or KIND/KEY.ENDING.
struct CacheEntry {
  std::filesystem::path path;
  std::string kind;
  std::string key;
  std::string ending;  ///< "", "partial", "tmp-...", "holder", ...
};

class Cache;

/// Either a finished output, or the right (and duty) to make it, with the key's OS lock held. The
/// lock dies with the process. Destroyed without `publish`: a kAtomic output is removed, a kResumes
/// one stays for the next holder.
class Claim {
 public:
  ~Claim();
  Claim(Claim&&) noexcept;
  Claim& operator=(Claim&&) = delete;

  /// The finished output; nullptr when this claim has to make it.
  const Manifest* finished() const { return finished_ ? &*finished_ : nullptr; }
  /// Where to write.
  const std::filesystem::path& output() const { return output_; }
  /// True when `output` holds what an earlier holder left.
  bool resumed() const { return resumed_; }
  /// Seconds of work of earlier attempts (kResumes only).
  double earlier_seconds() const { return earlier_seconds_; }

  /// Digests, syncs and renames the output; replaces a finished one where the claim was forced.
  /// `seconds` is this attempt's work. Throws Error (kFailed), after which the claim may be
  /// destroyed as if never published.
  Manifest publish(const std::map<std::string, double>& metrics, double seconds);
  /// Remembers this attempt's seconds for the next holder (kResumes only); never throws.
  void abandon(double seconds) noexcept;
  /// Takes over the output folder of `unfinished` and the seconds spent on it, in place of what
  /// there is. Both are kResumes. Throws Error (kFailed).
  void take_over(Claim& unfinished);
  /// Removes the output folder and what was noted of it; the claim is over.
  void discard() noexcept;
  /// To be called now and then by who writes `output`. Where the lock's file was removed under its
  /// holder it is taken again; where another process has it meanwhile, throws Error (kFailed):
  /// nothing more may be written. Looks at the file about once a second.
  void keep();
  /// Where the contents of the user's files that this stage has read are noted (kResumes only).
  std::filesystem::path reads() const;

 private:
  friend class Cache;
  Claim(const Cache& cache, Wanted wanted);
  void hold();

  const Cache* cache_;
  Wanted wanted_;
  std::optional<FileLock> lock_;
  std::optional<Manifest> finished_;
  std::filesystem::path output_;
  bool resumed_ = false;
  bool owns_ = false;
  int64_t looked_ns_ = 0;  ///< steady clock, of keep()
  double earlier_seconds_ = 0;
};

/// Finished outputs of stages, found by key: ROOT/KIND/KEY/. Any number of processes may use one
/// cache. docs/formats/cache.md describes the folder.
class Cache {
 public:
  explicit Cache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  /// Where the finished output is or would be.
  std::filesystem::path folder(std::string_view kind, std::string_view key) const;

  /// The manifest of a finished output; nullopt when there is none or it cannot be read.
  std::optional<Manifest> find(std::string_view kind, std::string_view key) const;
  /// True when an earlier holder left something to go on from.
  bool has_partial(std::string_view kind, std::string_view key) const;
  /// All finished outputs of a kind, newest first; unreadable ones are left out.
  std::vector<Manifest> all(std::string_view kind) const;

  /// What has the name of a stage's output or lies beside one, sorted by path. Other names in the
  /// cache's folder are not ours. Throws Error (kData) when the folder cannot be read.
  std::vector<CacheEntry> entries() const;

  /// The lock that makes the output of a key, and beside it the shared one that uses it.
  std::filesystem::path lock_file(std::string_view kind, std::string_view key) const;
  /// Says that this process uses a finished output, as long as the lock lives: `exp gc` leaves it.
  /// nullopt where the cache cannot be written.
  std::optional<FileLock> use(std::string_view kind, std::string_view key) const;

  /// What is wrong with a finished output ("last.safetensors: its content does not match its
  /// digest"), or "". `deep` reads the contents: always up to kTrustAboveBytes a file, larger ones
  /// where size, times or inode are not those of the last time.
  std::string damage(const Manifest& manifest, bool deep) const;
  static constexpr uint64_t kTrustAboveBytes = uint64_t{256} << 20;

  /// Who holds the key at this moment.
  std::optional<Holder> holder(std::string_view kind, std::string_view key) const;

  /// The output, or the right to make it. Waits while somebody else makes it, calling `waiting`
  /// about five times a second with the holder; false from it ends the wait with nullopt. A
  /// finished output that is damaged is set aside and `damaged` is told. `force` makes a claim to
  /// make it anew, from an empty folder. Throws Error (kFailed) when the cache cannot be written.
  std::optional<Claim> claim(const Wanted& wanted, bool force,
                             const std::function<bool(const Holder&)>& waiting,
                             const std::function<void(const std::string& what)>& damaged) const;

 private:
  friend class Claim;
  std::filesystem::path beside(std::string_view kind, std::string_view key,
                               std::string_view ending) const;
  void remove_stale(const Wanted& wanted) const;

  std::filesystem::path root_;
};

}  // namespace xp::graph
