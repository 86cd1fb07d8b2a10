// Seconds per clip of reading shuffled clips out of shards: the counterpart of loader.py.
//   loader_bench --folder DIR --make CLIPS [--samples 160000]   computes noisy clips at 16 kHz
//   loader_bench --folder DIR --mode loader|mixing|pread|rows|floats [--threads 1] [--batch 32]
//     [--epochs 3] [--cold 1]
//   loader_bench --folder DIR --mode memory    resident size over a list of 2 million clips
// loader: data::Loader as training uses it, batches of samples as they are stored. mixing: the same
// with a gain for each clip, batches of floats. pread: the stored bytes alone, into one buffer a
// thread. rows: pread into the rows of as many batches as a loader keeps. floats: pread, then int16
// to float into a batch's row. No checksums in these three. The last line is JSON, {"clip_s": ...,
// "cpu_clip_s": ...} of wall and CPU time, the fastest epoch after one that is not counted. With
// --cold 1 every epoch reads the disk, as where a set is larger than memory. memory: the clips of
// DIR again and again until they are 2 million, each sampler that draws; JSON {"NAME_mb": ...} is
// how much larger the process is after 100,000 draws than after 20,000.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/rng.h"
#include "core/schema/sampler.h"
#include "data/decode.h"
#include "data/hdf5.h"
#include "data/loader.h"
#include "data/shard_writer.h"

namespace {

namespace fs = std::filesystem;
using namespace xp::data;

constexpr int64_t kIndexClips = 2'000'000;

void make(const fs::path& folder, int64_t clips, int64_t samples) {
  fs::create_directories(folder);
  std::vector<ShardRow> rows;
  std::vector<int16_t> pcm(static_cast<size_t>(samples));
  {
    std::ofstream sound(folder / "sound", std::ios::binary);
    for (int64_t i = 0; i < clips; ++i) {
      xp::Rng rng(1, "bench", 0, static_cast<uint64_t>(i));
      for (int16_t& x : pcm) x = static_cast<int16_t>(rng());
      sound.write(reinterpret_cast<const char*>(pcm.data()), 2 * samples);
      ShardRow row;
      row.id = "clip" + std::to_string(i);
      row.labels = {{static_cast<int32_t>(i % 50), 1.0F}};
      row.split = 0;
      row.samples = static_cast<uint64_t>(samples);
      row.bytes = 2 * row.samples;
      row.checksum = xp::checksum64(std::as_bytes(std::span(pcm)));
      rows.push_back(row);
    }
  }
  write_shard(folder / "shard-00000.h5", {0, 16000, ShardStore::kPcm16, 50, false}, rows,
              folder / "sound");
  fs::remove(folder / "sound");
  PreparedIndex index;
  index.rate_hz = 16000;
  for (int k = 0; k < 50; ++k) index.classes.push_back({std::to_string(k), std::to_string(k)});
  index.sets.push_back({"synthetic", {{"train", "train"}}, false});
  index.shards.push_back({"shard-00000.h5", clips,
                          static_cast<int64_t>(fs::file_size(folder / "shard-00000.h5")),
                          seal_of(folder / "shard-00000.h5")});
  write_index(folder, index);
}

/// One epoch of pread by position, shuffled.
void read_plainly(int fd, uint64_t offset, const EpochOrder& order, int threads,
                  const std::string& mode, int64_t samples) {
  const bool floats = mode == "floats";
  const auto bytes = static_cast<size_t>(2 * samples);
  constexpr int64_t kRows = 4 * 32;
  static std::vector<int16_t> rows(static_cast<size_t>(mode == "rows" ? kRows * samples : 0));
  std::atomic<int64_t> next = 0;
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&] {
      std::vector<int16_t> pcm(static_cast<size_t>(samples));
      std::vector<float> batch(static_cast<size_t>(floats ? 32 * samples : 0));
      for (int64_t p = next++; p < order.size(); p = next++) {
        const auto at = static_cast<off_t>(offset) + order.at(p) * 2 * samples;
        int16_t* to = rows.empty() ? pcm.data() : rows.data() + p % kRows * samples;
        if (::pread(fd, to, bytes, at) != static_cast<ssize_t>(bytes)) std::abort();
        if (floats)
          from_pcm16(pcm, std::span(batch).subspan(static_cast<size_t>(p % 32 * samples),
                                                   static_cast<size_t>(samples)));
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0;
  statm >> pages >> pages;
  return static_cast<double>(pages * ::sysconf(_SC_PAGESIZE)) / 1e6;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Growth of the process from 20,000 to 100,000 draws of a list of 2 million.
double growth_mb(LoaderOptions options, xp::schema::SamplerKind kind) {
  options.rows.resize(static_cast<size_t>(kIndexClips));
  for (size_t i = 0; i < options.rows.size(); ++i)
    options.rows[i] = static_cast<uint32_t>(i % static_cast<size_t>(options.shards->clips()));
  const Sampler sampler(xp::schema::SamplerOptions::of_kind(kind), options.shards->labels(),
                        options.rows, 1);
  Loader loader(std::move(options), sampler);
  loader.start(0);
  double early = 0;
  int64_t drawn = 0;
  while (drawn < 100'000) {
    const auto batch = loader.next();
    if (drawn < 20'000 && drawn + batch->size >= 20'000) early = resident_mb();
    drawn += batch->size;
  }
  return resident_mb() - early;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args = {
      {"--folder", ""},  {"--make", ""},    {"--mode", "loader"},    {"--threads", "1"},
      {"--batch", "32"}, {"--epochs", "3"}, {"--samples", "160000"}, {"--cold", "0"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  const fs::path folder = args["--folder"];
  if (!args["--make"].empty()) {
    make(folder, std::stoll(args["--make"]), std::stoll(args["--samples"]));
    return 0;
  }
  const auto shards = std::make_shared<const ShardReader>(folder);
  std::vector<uint32_t> rows(static_cast<size_t>(shards->clips()));
  std::iota(rows.begin(), rows.end(), 0U);
  const Sampler sampler({}, shards->labels(), rows, 1);
  const int threads = std::stoi(args["--threads"]);
  LoaderOptions options;
  options.shards = shards;
  options.rows = rows;
  options.batch_size = std::stoll(args["--batch"]);
  options.workers = threads;
  if (args["--mode"] == "memory") {
    using Kind = xp::schema::SamplerKind;
    std::string figures;
    for (const Kind kind : {Kind::kShuffle, Kind::kAstBalanced, Kind::kImportance})
      figures += fmt::format("{}\"{}_mb\": {:.2f}", figures.empty() ? "" : ", ",
                             xp::recipe::enum_name(kind), growth_mb(options, kind));
    fmt::print("{{{}}}\n", figures);
    return 0;
  }
  std::unique_ptr<Loader> loader;
  options.pcm = args["--mode"] == "loader";
  if (args["--mode"] == "mixing") options.augment.gain_db = 6;
  if (options.pcm || options.augment.any()) loader = std::make_unique<Loader>(options, sampler);
  const int fd = ::open(shards->files()[0].c_str(), O_RDONLY);
  const uint64_t offset = h5::File::open(shards->files()[0]).extent("sound/data").offset;
  double best = 1e30;
  double best_cpu = 1e30;
  double sum = 0;
  const bool cold = args["--cold"] == "1";
  for (int64_t e = 0; e <= std::stoll(args["--epochs"]); ++e) {
    if (cold && (::fsync(fd) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)) {
      std::fprintf(stderr, "the shard's pages cannot be dropped\n");
      return 1;
    }
    const int64_t begin = xp::steady_ns();
    const double cpu = cpu_seconds();
    if (loader) {
      loader->start(e);
      while (auto batch = loader->next())
        sum += batch->pcm != nullptr ? batch->pcm[5] : static_cast<double>(batch->waves[5]);
    } else {
      read_plainly(fd, offset, sampler.epoch(e), threads, args["--mode"], shards->samples(0));
    }
    if (e == 0) continue;
    const auto clips = static_cast<double>(rows.size());
    best = std::min(best, static_cast<double>(xp::steady_ns() - begin) * 1e-9 / clips);
    best_cpu = std::min(best_cpu, (cpu_seconds() - cpu) / clips);
  }
  std::printf("%g\n{\"clip_s\": %.9f, \"cpu_clip_s\": %.9f}\n", sum, best, best_cpu);
  return 0;
}
