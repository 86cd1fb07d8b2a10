#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/stop.h"
#include "core/graph/seen_files.h"
#include "core/graph/stage.h"
#include "core/schema/sound_files.h"
#include "core/schema/stage_options.h"
#include "data/dataset.h"
#include "data/decode.h"
#include "data/earlier.h"
#include "data/export.h"
#include "data/pipeline.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPlanFile = "plan";
constexpr int64_t kClipsOfACheck = 8;  // of each split: enough for a step, decoded in a moment

/// Writes report.csv: one line a clip that is not in the shards, or in another form than the
/// others.
class Report {
 public:
  /// A clip that is not in the shards.
  void add(std::string_view set, std::string_view id, std::string_view split,
           std::string_view source, std::string_view reason) {
    note(set, id, split, source, reason);
    if (first_.size() < 3) first_.push_back(fmt::format("  {}: {}", id, reason));
    ++count_;
  }
  /// One that is.
  void note(std::string_view set, std::string_view id, std::string_view split,
            std::string_view source, std::string_view what) {
    for (const std::string_view field : {set, id, split, source, what}) {
      if (!text_.ends_with('\n')) text_ += ',';
      text_ += csv_field(field);
    }
    text_ += '\n';
  }
  void write(const fs::path& folder) const { write_file_atomic(folder / kReportFile, text_); }
  int64_t count() const { return count_; }
  /// The first few, for messages.
  std::string examples() const {
    std::string out;
    for (const std::string& one : first_) out += "\n" + one;
    return out;
  }

 private:
  std::string text_ = "set,id,split,source,reason\n";
  std::vector<std::string> first_;
  int64_t count_ = 0;
};

/// Whether a file of the output is one of ours.
bool is_own(std::string_view name) {
  return name.starts_with("shard-") || name == kPlanFile || name == kReportFile ||
         name == kIndexFile;
}

/// At most `most` clips of each split (or fold), evenly spaced, in their order.
void thin_out(std::vector<Clip>& clips, int64_t most) {
  const auto group = [](const Clip& clip) { return std::pair(clip.split, clip.fold); };
  std::map<std::pair<int32_t, int32_t>, int64_t> count, met;
  for (const Clip& clip : clips) ++count[group(clip)];
  std::erase_if(clips, [&](const Clip& clip) {
    const int64_t n = count[group(clip)];
    const int64_t i = met[group(clip)]++;
    return n > most && i * most / n == (i - 1) * most / n && i > 0;
  });
}

class Preparation {
 public:
  Preparation(const schema::PrepareOptions& options, const PrepareJob& job);
  PrepareResult run();

 private:
  void plan();
  std::string fingerprint() const;
  void start_over() const;
  void remove_half_written() const;
  bool is_check() const { return job_.clips_of_each > 0; }
  std::string_view set_name(size_t set) const;
  /// False when it was stopped.
  bool make_shard(int64_t number);
  void count_old(const std::vector<ClipRecord>& records, std::span<const Listed> clips);
  bool decode_rest(ShardJournal& journal, std::span<const Listed> clips);
  void finish_shard(int64_t number, ShardJournal& journal, std::span<const Listed> clips);
  void count(const Listed& listed, const ClipRecord& record);
  void count_bad(const Listed& listed, const std::string& problem);
  void check_limit() const;
  void say_what_is_left_out() const;
  void open_earlier();
  void tell_progress();
  void write_index_file();
  std::string split_name(const Listed& listed) const;
  fs::path base(int64_t number) const { return job_.output / fmt::format("shard-{:05}", number); }
  fs::path shard_file(int64_t number) const {
    return job_.output / fmt::format("shard-{:05}.h5", number);
  }

  const schema::PrepareOptions& options_;
  const PrepareJob& job_;
  JoinedListing joined_;
  std::vector<Listed> clips_;
  int64_t there_ = 0;  ///< clips of the whole set that have a file; `clips_` may be a sample
  ShardStore store_;
  bool masked_ = false;
  int64_t per_shard_ = 1;
  int64_t shards_ = 0;
  int64_t done_ = 0;
  int64_t told_ns_ = 0;
  std::unique_ptr<const EarlierShards> earlier_;
  PrepareResult result_;
  Report report_;
  std::vector<PreparedIndex::Shard> made_;
};

Preparation::Preparation(const schema::PrepareOptions& options, const PrepareJob& job)
    : options_(options),
      job_(job),
      joined_(list_joined(options.dataset)),
      store_(options.dataset.store == schema::Store::kFlac ? ShardStore::kFlac
                                                           : ShardStore::kPcm16) {
  for (size_t s = 0; s < joined_.sets.size(); ++s) {
    masked_ = masked_ || joined_.sets[s].masked;
    there_ += static_cast<int64_t>(joined_.sets[s].clips.size());
    if (is_check()) thin_out(joined_.sets[s].clips, job.clips_of_each);
    for (const Clip& clip : joined_.sets[s].clips)
      clips_.push_back({&clip, static_cast<int32_t>(s)});
  }
}

/// How many clips make a shard of about the wanted size, by the headers of a few clips across the
/// list.
void Preparation::plan() {
  constexpr int64_t kProbes = 32;
  const auto count = static_cast<int64_t>(clips_.size());
  double seconds = 0;
  int64_t known = 0;
  for (int64_t i = 0; i < kProbes && count > 0; ++i) {
    const double s = probe_seconds(clips_[static_cast<size_t>(i * count / kProbes)].clip->source);
    seconds += s;
    if (s > 0) ++known;
  }
  const double mean_s = known > 0 ? seconds / static_cast<double>(known) : 10.0;
  const double bytes_a_sample = store_ == ShardStore::kFlac ? 1.2 : 2.0;
  const double clip_bytes =
      std::max(1.0, mean_s * static_cast<double>(options_.rate_hz) * bytes_a_sample);
  const double fit = static_cast<double>(options_.dataset.shard_mb) * 1e6 / clip_bytes;
  per_shard_ = static_cast<int64_t>(std::clamp(fit, 1.0, 1e6));
  shards_ = (count + per_shard_ - 1) / per_shard_;
}

/// What the listing and the options amount to: an interrupted folder of another fingerprint is not
/// gone on with.
std::string Preparation::fingerprint() const {
  Digest digest;
  digest.add_field(fmt::format("{} {} {} {}", kShardFormatVersion, options_.rate_hz,
                               static_cast<int>(store_), per_shard_));
  digest.add_field(recipe::enum_name(options_.dataset.resample));
  for (const ClassInfo& one : joined_.classes) digest.add_field(one.id);
  std::string text;
  for (const Listed& listed : clips_) {
    const Clip& clip = *listed.clip;
    text = fmt::format("{} {} {} {}", clip.id, describe(clip.source), clip.split, clip.fold);
    for (const Label& label : clip.labels) text += fmt::format(" {}:{}", label.index, label.value);
    digest.add_field(text);
  }
  return digest.hex();
}

void Preparation::start_over() const {
  for (const auto& entry : fs::directory_iterator(job_.output)) {
    if (is_own(entry.path().filename().string())) fs::remove(entry.path());
  }
}

/// What a killed attempt was in the middle of writing beside its place. Others write into the
/// folder meanwhile: the tracker its curves.
void Preparation::remove_half_written() const {
  for (const auto& entry : fs::directory_iterator(job_.output)) {
    const std::string name = entry.path().filename().string();
    const size_t suffix = name.find(".tmp-");
    if (suffix != std::string::npos && is_own(name.substr(0, suffix))) fs::remove(entry.path());
  }
}

std::string_view Preparation::set_name(size_t set) const {
  return recipe::enum_name(set == 0 ? options_.dataset.name : options_.dataset.also[set - 1].name);
}

std::string Preparation::split_name(const Listed& listed) const {
  if (listed.clip->split >= 0)
    return joined_.sets[static_cast<size_t>(listed.set)]
        .splits[static_cast<size_t>(listed.clip->split)]
        .name;
  return listed.clip->fold > 0 ? fmt::format("fold {}", listed.clip->fold) : "";
}

/// Asked when all is counted: of the absent before the first clip is decoded, of the bad after the
/// last.
void Preparation::check_limit() const {
  const int64_t listed = there_ + result_.absent;
  // All of the absent are known, the bad ones of a sample stand for those of the set: but for one,
  // since a few clips cannot tell a fraction.
  const int64_t spare = is_check() ? 1 : 0;
  const double scale = static_cast<double>(there_) / static_cast<double>(clips_.size());
  const double bad = static_cast<double>(std::max<int64_t>(0, result_.bad - spare)) * scale;
  const double limit = options_.dataset.max_bad_p;
  // Of less than 1 / limit clips a single one would be too many, whatever "skip" says.
  const double allowed = limit > 0 ? std::max(1.0, limit * static_cast<double>(listed)) : 0.0;
  if (static_cast<double>(result_.absent) + bad <= allowed) return;
  if (is_check()) {  // its output is thrown away, and the report with it
    throw Error(
        fmt::format("of {} clips {} are absent, and of {} that were tried {} are bad: more "
                    "than dataset.max_bad_p = {} allows:{}",
                    listed, result_.absent, clips_.size(), result_.bad, limit, report_.examples()),
        Exit::kData);
  }
  report_.write(job_.output);
  throw Error(fmt::format("{} of {} clips cannot be used ({} absent, {} bad), more than "
                          "dataset.max_bad_p = {} allows:{}\n"
                          "all of them are named in {}",
                          report_.count(), listed, result_.absent, result_.bad, limit,
                          report_.examples(), (job_.output / kReportFile).string()),
              Exit::kData);
}

void Preparation::count(const Listed& listed, const ClipRecord& record) {
  if (!record.problem.empty()) {
    count_bad(listed, record.problem);
  } else if (record.scale != 1.0F) {
    const double db = above_full_scale_db(record.scale);
    ++result_.above;
    result_.above_db = std::max(result_.above_db, db);
    report_.note(set_name(static_cast<size_t>(listed.set)), listed.clip->id, split_name(listed),
                 describe(listed.clip->source),
                 fmt::format("{:.2f} dB above full scale: in the shards, with a scale", db));
  }
}

void Preparation::count_bad(const Listed& listed, const std::string& problem) {
  ++result_.bad;
  report_.add(set_name(static_cast<size_t>(listed.set)), listed.clip->id, split_name(listed),
              describe(listed.clip->source), problem);
  if (options_.dataset.on_bad_clip == schema::OnBadClip::kError) {
    report_.write(job_.output);
    throw Error(
        fmt::format("clip '{}' ({}): {}\nwith dataset.on_bad_clip = \"skip\" it would be left out",
                    listed.clip->id, describe(listed.clip->source), problem),
        Exit::kData);
  }
}

void Preparation::say_what_is_left_out() const {
  for (size_t s = 0; s < joined_.sets.size(); ++s) {
    const std::string endings = schema::endings_text(joined_.sets[s].left_out);
    if (!endings.empty())
      job_.say(fmt::format("{}: left out by their ending: {}", set_name(s), endings));
  }
}

void Preparation::tell_progress() {
  const int64_t now = steady_ns();
  if (now - told_ns_ < 100'000'000 && done_ < static_cast<int64_t>(clips_.size())) return;
  told_ns_ = now;
  job_.progress("clips", static_cast<double>(done_), static_cast<double>(clips_.size()));
}

void Preparation::open_earlier() {
  if (job_.earlier.empty() || is_check()) return;
  try {
    earlier_ = std::make_unique<const EarlierShards>(job_.earlier, clips_, joined_.sets);
  } catch (const Error& error) {
    job_.say(fmt::format("nothing is taken over: {}", error.message()));
  }
}

bool Preparation::decode_rest(ShardJournal& journal, std::span<const Listed> clips) {
  std::vector<const Clip*> rest;
  const size_t have = journal.records().size();
  for (const Listed& listed : clips.subspan(have)) rest.push_back(listed.clip);
  DecodeOptions decode;
  decode.rate_hz = options_.rate_hz;
  decode.quality = options_.dataset.resample;
  decode.file_was_read = job_.file_was_read;
  TakeOver take_over;
  if (earlier_) {
    const size_t first = static_cast<size_t>(clips.data() - clips_.data()) + have;
    take_over = [this, first](size_t i) { return earlier_->take(first + i, store_); };
  }
  bool stopped = false;
  const auto take = [&](size_t i, StoredClip&& stored) {
    result_.taken_over += stored.taken_over ? 1 : 0;
    journal.append(std::move(stored.record), stored.bytes);
    count(clips[have + i], journal.records().back());
    ++done_;
    tell_progress();
    stopped = job_.stop_requested() && have + i + 1 < clips.size();
    return !stopped;
  };
  decode_in_order(rest, decode, store_, job_.threads, take, take_over);
  return !stopped;
}

void Preparation::finish_shard(int64_t number, ShardJournal& journal,
                               std::span<const Listed> clips) {
  std::vector<ShardRow> rows;
  for (size_t i = 0; i < clips.size(); ++i) {
    const ClipRecord& record = journal.records()[i];
    if (!record.problem.empty()) continue;
    const Clip& clip = *clips[i].clip;
    ShardRow row;
    row.id = clip.id;
    row.labels = clip.labels;
    row.known = clip.known;
    row.set = clips[i].set;
    // A set without gaps in what it knows, joined to one with gaps, knows every class it has.
    const Listing& set = joined_.sets[static_cast<size_t>(row.set)];
    if (masked_ && !set.masked) {
      for (int32_t k = 0; k < static_cast<int32_t>(joined_.classes.size()); ++k)
        row.known.push_back(k);
    }
    row.split = clip.split;
    row.fold = clip.fold;
    row.source_s = record.source_s;
    row.scale = record.scale;
    row.samples = record.samples;
    row.bytes = record.bytes;
    row.checksum = record.checksum;
    rows.push_back(std::move(row));
  }
  if (!rows.empty()) {
    const ShardHeader header{number, options_.rate_hz, store_,
                             static_cast<int64_t>(joined_.classes.size()), masked_};
    write_shard(shard_file(number), header, rows, journal.sound());
  }
  journal.drop_sound();
}

/// What an earlier attempt did for this shard.
void Preparation::count_old(const std::vector<ClipRecord>& records, std::span<const Listed> clips) {
  for (size_t i = 0; i < records.size(); ++i) count(clips[i], records[i]);
  done_ += static_cast<int64_t>(records.size());
  result_.reused += static_cast<int64_t>(records.size());
  tell_progress();
}

bool Preparation::make_shard(int64_t number) {
  const auto first = static_cast<size_t>(number * per_shard_);
  const auto count = std::min(static_cast<size_t>(per_shard_), clips_.size() - first);
  const auto clips = std::span<const Listed>(clips_).subspan(first, count);
  const auto good = [](const ClipRecord& record) { return record.problem.empty(); };
  // Lines stay when a shard is finished, so a full journal whose shard is there needs nothing more.
  std::vector<ClipRecord> records = ShardJournal::read(base(number));
  const bool any_good = std::any_of(records.begin(), records.end(), good);
  if (records.size() == clips.size() && (!any_good || fs::exists(shard_file(number)))) {
    fs::remove(base(number).string() + ".sound");
    count_old(records, clips);
  } else {
    ShardJournal journal(base(number));
    count_old(journal.records(), clips);
    if (!decode_rest(journal, clips)) return false;
    finish_shard(number, journal, clips);
    records = journal.records();
  }
  PreparedIndex::Shard entry;
  entry.clips = std::count_if(records.begin(), records.end(), good);
  if (entry.clips > 0) {
    entry.file = shard_file(number).filename().string();
    entry.bytes = static_cast<int64_t>(fs::file_size(shard_file(number)));
    entry.seal = seal_of(shard_file(number));
    made_.push_back(entry);
  }
  result_.clips += entry.clips;
  return true;
}

void Preparation::write_index_file() {
  PreparedIndex index;
  index.rate_hz = options_.rate_hz;
  index.store = store_;
  index.masked = masked_;
  index.scaled = result_.above > 0;
  index.classes = joined_.classes;
  for (size_t s = 0; s < joined_.sets.size(); ++s) {
    index.sets.push_back({std::string(set_name(s)), joined_.sets[s].splits, joined_.sets[s].folds});
  }
  index.shards = made_;
  write_index(job_.output, index);
}

PrepareResult Preparation::run() {
  plan();
  const std::string print = fingerprint();
  remove_half_written();
  const fs::path plan_file = job_.output / kPlanFile;
  std::error_code ignored;
  if (!fs::exists(plan_file, ignored) || read_file(plan_file) != print) {
    start_over();
    write_file_atomic(plan_file, print);
  }
  for (size_t s = 0; s < joined_.sets.size(); ++s) {
    for (const Absent& absent : joined_.sets[s].absent) {
      ++result_.absent;
      report_.add(set_name(s), absent.id, absent.split, "", absent.reason);
    }
  }
  if (clips_.empty()) {
    report_.write(job_.output);
    throw Error(fmt::format("the data set has no clip that could be used ({} are listed){}",
                            result_.absent, report_.examples()),
                Exit::kData);
  }
  check_limit();
  say_what_is_left_out();
  open_earlier();
  for (int64_t number = 0; number < shards_; ++number) {
    if (!make_shard(number) || (number + 1 < shards_ && job_.stop_requested())) {
      result_.stopped = true;
      return result_;
    }
  }
  check_limit();
  if (result_.clips == 0) {
    report_.write(job_.output);
    throw Error(
        fmt::format("not one of {} clips could be decoded:{}", clips_.size(), report_.examples()),
        Exit::kData);
  }
  if (job_.leave_unfinished) return result_;
  report_.write(job_.output);
  write_index_file();
  // With the index the folder is whole; what was needed to go on is not part of it.
  for (int64_t number = 0; number < shards_; ++number)
    fs::remove(base(number).string() + ".journal");
  fs::remove(plan_file);
  job_.say(fmt::format("{}: {} clips in {} shards, {} bad, {} absent{}", set_name(0), result_.clips,
                       made_.size(), result_.bad, result_.absent,
                       is_check() ? "" : fmt::format(" ({})", kReportFile)));
  if (earlier_) {
    job_.say(fmt::format(
        "{} clips were taken over from the shards of the version before; {} were "
        "decoded, which it may have cut off at full scale or could not use",
        result_.taken_over, result_.clips + result_.bad - result_.taken_over - result_.reused));
  }
  if (result_.above > 0) {
    job_.say(
        fmt::format("{} of {} clips go above full scale, by up to {:.2f} dB: they are kept whole, "
                    "with a scale",
                    result_.above, result_.clips, result_.above_db));
  }
  return result_;
}

}  // namespace

PrepareResult prepare(const schema::PrepareOptions& options, const PrepareJob& job) {
  return Preparation(options, job).run();
}

void run_prepare(const schema::PrepareOptions& options, graph::StageContext& context) {
  PrepareJob job;
  job.output = context.output;
  job.threads =
      context.resources.workers > 0 ? context.resources.workers : context.resources.threads;
  StopReason reason = StopReason::kNone;
  job.stop_requested = [&] { return (reason = context.stop_requested()) != StopReason::kNone; };
  job.progress = context.progress;
  job.say = context.say;
  job.earlier = context.earlier;
  if (context.depth == graph::Depth::kCheck) job.clips_of_each = kClipsOfACheck;
  if (context.seen != nullptr) {
    job.leave_unfinished = true;
    job.file_was_read = [&seen = *context.seen](const FileRead& read) {
      seen.add(read.file, read.before, read.after, read.began_ns, read.content);
    };
  }
  if (prepare(options, job).stopped) throw Stopped(reason);
}

}  // namespace xp::data
