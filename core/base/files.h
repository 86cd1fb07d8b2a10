#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace xp {

/// Throws Error (kData) for what is there and no regular file: a pipe may never end, nor /dev/zero,
/// and opening either may wait for ever.
void require_regular_file(const std::filesystem::path& file);

/// The whole file as bytes, or its first `most`. Throws Error (kData) naming the path and the
/// reason, and for what is no regular file.
std::string read_file(const std::filesystem::path& file, std::size_t most = SIZE_MAX);

/// Writes `text` beside `file`, syncs it, renames it over `file` and syncs the folder: after a
/// crash at any moment the old or the new content is there, whole. Only a regular file is replaced:
/// see AtomicFile. Throws Error (kFailed), leaving no half-written file.
void write_file_atomic(const std::filesystem::path& file, std::string_view text);

/// A file under construction beside its final place. `commit` syncs and renames; destruction
/// without commit removes it. Links are followed: what they lead to is replaced, they stay. A
/// device or pipe is no file to replace: `commit` writes the content into it.
class AtomicFile {
 public:
  /// Throws Error (kFailed) where the final place is a folder or a link to itself.
  explicit AtomicFile(const std::filesystem::path& final_path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Where to write until `commit`.
  const std::filesystem::path& path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path final_;
  bool replaces_;  ///< false: a device or pipe
  std::filesystem::path temporary_;
  bool committed_ = false;
};

/// A folder to write in: it and those above it are made where they are missing. Throws Error
/// (kFailed) naming it and the reason: no permission, a file in its place or in its way.
void make_folders(const std::filesystem::path& folder);

/// fsync of a file or folder. Throws Error (kFailed).
void sync_path(const std::filesystem::path& path);

/// fsync of every file and folder below `folder`, then of `folder` itself.
void sync_tree(const std::filesystem::path& folder);

/// Renames a folder built aside to its final name and syncs the parent. Returns false, and removes
/// nothing, when the final name exists already.
bool publish_folder(const std::filesystem::path& built, const std::filesystem::path& final_path);

/// A kernel lock (OFD) on a file, made when absent. It dies with its holder, so a lock file left
/// behind means nothing. Two locks lie on one file: the exclusive one, and beside it a shared one
/// that says "in use".
class FileLock {
 public:
  /// The exclusive lock; nullopt when somebody else holds it.
  static std::optional<FileLock> try_acquire(const std::filesystem::path& file);
  /// Waits. `waiting` is called about five times a second meanwhile; false from it ends the wait
  /// with nullopt.
  static std::optional<FileLock> acquire(const std::filesystem::path& file,
                                         const std::function<bool()>& waiting);
  /// Waits in the kernel, which wakes the next one at once: for locks that are held for moments.
  static FileLock wait(const std::filesystem::path& file);
  /// The shared lock: any number hold it, and nobody waits for it. nullopt where it cannot be had:
  /// the file cannot be opened, or somebody holds both locks at this moment.
  static std::optional<FileLock> share(const std::filesystem::path& file);
  /// Both locks, exclusively; nullopt when somebody holds either.
  static std::optional<FileLock> try_acquire_unused(const std::filesystem::path& file);

  /// False once the file was removed or replaced while it was held: then another process may hold
  /// what looks like the same lock.
  bool in_place() const;

  ~FileLock();
  FileLock(FileLock&& other) noexcept
      : file_(std::move(other.file_)), descriptor_(other.descriptor_) {
    other.descriptor_ = -1;
  }
  FileLock& operator=(FileLock&&) = delete;

 private:
  FileLock(std::filesystem::path file, int descriptor)
      : file_(std::move(file)), descriptor_(descriptor) {}
  static std::optional<FileLock> take(const std::filesystem::path& file, int type, int64_t from,
                                      int64_t bytes);

  std::filesystem::path file_;
  int descriptor_;
};

/// Bytes free for this user on the file system that holds `path` (or its nearest existing parent).
uint64_t free_bytes(const std::filesystem::path& path);

/// `~` and `~/x` by $HOME; other paths as they are.
std::filesystem::path expand_user(std::string_view path);

}  // namespace xp
