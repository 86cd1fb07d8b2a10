#include "data/verify.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "core/base/error.h"
#include "data/parallel.h"
#include "data/shard.h"

namespace xp::data {

Verified verify(const std::filesystem::path& folder, int threads,
                const std::function<void(int64_t done, int64_t total)>& read) {
  const ShardReader shards(folder);
  constexpr int64_t kBlock = 256;
  Verified out;
  out.clips = shards.clips();
  out.shards = static_cast<int64_t>(shards.files().size());
  std::map<int64_t, std::string> faults;
  std::mutex mutex;
  for (int64_t first = 0; first < out.clips; first += kBlock) {
    const int64_t count = std::min(kBlock, out.clips - first);
    parallel_for(count, threads, [&](int64_t i) {
      thread_local std::vector<int16_t> pcm;
      pcm.resize(static_cast<size_t>(shards.samples(first + i)));
      try {
        shards.read(first + i, pcm);
      } catch (const Error& error) {
        const std::lock_guard lock(mutex);
        faults.emplace(first + i, error.message());
      }
    });
    read(first + count, out.clips);
  }
  for (auto& [row, fault] : faults) out.faults.push_back(std::move(fault));
  return out;
}

}  // namespace xp::data
