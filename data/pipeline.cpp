#include "data/pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <malloc.h>
#include <sndfile.h>

#include "core/base/digest.h"

namespace xp::data {
namespace {

/// Results that wait for their turn: a ring of slots, clip i in slot i % size.
class Ring {
 public:
  explicit Ring(size_t size, size_t total) : slots_(size), total_(total) {}

  /// The next clip to decode, or nullopt when there is none left; waits while all slots are taken.
  std::optional<size_t> claim() {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || next_ == total_ || next_ < taken_ + slots_.size(); });
    if (closed_ || next_ == total_) return std::nullopt;
    return next_++;
  }

  void put(size_t index, StoredClip&& clip) {
    const std::lock_guard lock(mutex_);
    slots_[index % slots_.size()] = std::move(clip);
    ready_.notify_one();
  }

  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    closed_ = true;
    ready_.notify_one();
    room_.notify_all();
  }

  StoredClip take() {
    std::unique_lock lock(mutex_);
    auto& slot = slots_[taken_ % slots_.size()];
    ready_.wait(lock, [&] { return slot.has_value() || error_; });
    if (error_) std::rethrow_exception(error_);
    StoredClip clip = std::move(*slot);
    slot.reset();
    ++taken_;
    room_.notify_one();
    return clip;
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable ready_;
  std::vector<std::optional<StoredClip>> slots_;
  size_t total_;
  size_t next_ = 0;
  size_t taken_ = 0;
  bool closed_ = false;
  std::exception_ptr error_;
};

void work(Ring& ring, std::span<const Clip* const> clips, const DecodeOptions& options,
          ShardStore store, const TakeOver& take_over) {
  try {
    Decoder decoder(options);
    while (const auto index = ring.claim()) {
      if (take_over) {
        if (auto clip = take_over(*index)) {
          ring.put(*index, std::move(*clip));
          continue;
        }
      }
      ring.put(*index, store_clip(decoder, clips[*index]->source, options.rate_hz, store));
    }
  } catch (...) {
    ring.fail(std::current_exception());
  }
}

/// Joins on every way out.
class Threads {
 public:
  explicit Threads(Ring& ring) : ring_(ring) {}
  ~Threads() {
    ring_.close();
    for (std::thread& thread : threads_) thread.join();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  template <class Function>
  void start(Function function) {
    threads_.emplace_back(std::move(function));
  }

 private:
  Ring& ring_;
  std::vector<std::thread> threads_;
};

}  // namespace

StoredClip store_clip(Decoder& decoder, const Source& source, int64_t rate_hz, ShardStore store) {
  Wave wave = decoder.read(source);
  StoredClip out;
  out.record.source_s = wave.source_s;
  if (wave.problem.empty() && wave.samples.empty())
    wave.problem = "too short: no sample is left after resampling";
  if (!wave.problem.empty()) {
    out.record.problem = std::move(wave.problem);
    return out;
  }
  std::vector<int16_t> pcm(wave.samples.size());
  const float scale = pcm_scale(wave.samples);
  to_pcm16(wave.samples, pcm, scale);
  out = store_pcm(pcm, rate_hz, store);
  out.record.source_s = wave.source_s;
  out.record.scale = scale;
  return out;
}

StoredClip store_pcm(std::span<const int16_t> pcm, int64_t rate_hz, ShardStore store) {
  StoredClip out;
  if (store == ShardStore::kFlac) {
    out.bytes = encode_flac(pcm, rate_hz);
  } else {
    out.bytes.resize(2 * pcm.size());
    std::memcpy(out.bytes.data(), pcm.data(), out.bytes.size());
  }
  out.record.samples = pcm.size();
  out.record.bytes = out.bytes.size();
  out.record.checksum = checksum64(out.bytes);
  return out;
}

void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 8 << 20);  // the largest blocks still come and go
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

void decode_in_order(std::span<const Clip* const> clips, const DecodeOptions& options,
                     ShardStore store, int threads,
                     const std::function<bool(size_t index, StoredClip&& clip)>& take,
                     const TakeOver& take_over) {
  if (clips.empty()) return;
  keep_freed_memory();
  const auto workers =
      std::clamp<size_t>(static_cast<size_t>(std::max(threads, 1)), 1, clips.size());
  Ring ring(2 * workers + 2, clips.size());
  Threads pool(ring);
  for (size_t i = 0; i < workers; ++i)
    pool.start([&] { work(ring, clips, options, store, take_over); });
  for (size_t i = 0; i < clips.size(); ++i) {
    if (!take(i, ring.take())) return;
  }
}

double probe_seconds(const Source& source) {
  if (const auto* synthetic = std::get_if<SyntheticSource>(&source)) return synthetic->length_s;
  if (const auto* silent = std::get_if<SilentSource>(&source)) return silent->length_s;
  const auto* file = std::get_if<FileSource>(&source);
  if (file == nullptr) return 0;
  if (file->length_s > 0) return file->length_s;
  std::error_code none;
  if (!std::filesystem::is_regular_file(file->file, none)) return 0;  // decoding says what it is
  SF_INFO info{};
  SNDFILE* sound = sf_open(file->file.c_str(), SFM_READ, &info);
  if (sound == nullptr) return 0;
  sf_close(sound);
  return info.samplerate > 0 && info.frames > 0 ? static_cast<double>(info.frames) / info.samplerate
                                                : 0;
}

}  // namespace xp::data
