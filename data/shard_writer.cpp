#include "data/shard_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/shard_tables.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail_write(const fs::path& path) {
  const int error = errno;
  const char* hint = error == ENOSPC ? "; free some space and run the same command again" : "";
  throw Error(fmt::format("cannot write {}: {}{}", path.string(), std::strerror(error), hint),
              Exit::kFailed);
}

/// Copies all of `from` into `to` at `offset`.
void copy_into(const fs::path& from, const fs::path& to, uint64_t offset, uint64_t bytes) {
  const Fd in{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
  const Fd out{::open(to.c_str(), O_WRONLY | O_CLOEXEC)};
  if (in.fd < 0)
    throw Error(fmt::format("cannot read {}: {}", from.string(), std::strerror(errno)),
                Exit::kFailed);
  if (out.fd < 0) fail_write(to);
  std::vector<std::byte> block(4U << 20U);
  auto at = static_cast<off_t>(offset);
  while (bytes > 0) {
    const auto got = ::read(in.fd, block.data(), std::min<uint64_t>(block.size(), bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw Error(fmt::format("{} is shorter than its journal says", from.string()), Exit::kFailed);
    for (ssize_t done = 0; done < got;) {
      const auto wrote = ::pwrite(out.fd, block.data() + done, static_cast<size_t>(got - done), at);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) fail_write(to);
      done += wrote;
      at += wrote;
    }
    bytes -= static_cast<uint64_t>(got);
  }
}

ShardTables tables_of(std::span<const ShardRow> rows, ShardStore store, bool masked) {
  ShardTables t;
  t.label_start = t.sound_start = {0};
  if (masked) t.known_start = {0};
  const bool scaled =
      std::any_of(rows.begin(), rows.end(), [](const ShardRow& row) { return row.scale != 1.0F; });
  for (const ShardRow& row : rows) {
    t.id.push_back(row.id);
    t.samples.push_back(row.samples);
    t.checksum.push_back(row.checksum);
    t.source_s.push_back(static_cast<float>(row.source_s));
    t.set.push_back(row.set);
    t.split.push_back(row.split);
    t.fold.push_back(row.fold);
    if (scaled) t.scale.push_back(row.scale);
    for (const Label& label : row.labels) {
      t.label_index.push_back(label.index);
      t.label_value.push_back(label.value);
    }
    t.label_start.push_back(t.label_index.size());
    if (masked) {
      t.known_index.insert(t.known_index.end(), row.known.begin(), row.known.end());
      t.known_start.push_back(t.known_index.size());
    }
    t.sound_start.push_back(t.sound_start.back() +
                            (store == ShardStore::kPcm16 ? row.samples : row.bytes));
  }
  return t;
}

}  // namespace

void write_shard(const fs::path& path, const ShardHeader& header, std::span<const ShardRow> rows,
                 const fs::path& sound) {
  const ShardTables tables = tables_of(rows, header.store, header.masked);
  const bool pcm = header.store == ShardStore::kPcm16;
  uint64_t bytes = 0;
  for (const ShardRow& row : rows) bytes += row.bytes;
  XP_CHECK(!pcm || bytes == 2 * tables.sound_start.back(), "PCM rows disagree with their bytes");

  AtomicFile out(path);
  const uint64_t offset = write_head(out.path(), header, tables);
  copy_into(sound, out.path(), offset, bytes);
  out.commit();
}

}  // namespace xp::data
