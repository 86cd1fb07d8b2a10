// How it works: libsndfile decodes from an Encoded through its virtual files, in blocks of
// kBlockFrames; each block is mixed to mono at once. What a container promises and does not hold is
// looked for before the first block (data/sound_container.h) and after the last.
#include "data/sound_reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <span>

#include <sndfile.h>

#include <fmt/format.h>

#include "data/sound_container.h"

namespace xp::data {
namespace {

// A piece that stays in the first-level cache from the codec to the mix.
constexpr int64_t kBlockFrames = 4096;

/// What libsndfile reads from: the bytes, but for a size that was left open.
struct Tape {
  Encoded& encoded;
  OpenSize size;  ///< read in place of what stands there
  sf_count_t at = 0;
};

sf_count_t tape_length(void* user) {
  return static_cast<sf_count_t>(static_cast<Tape*>(user)->encoded.size());
}

sf_count_t tape_seek(sf_count_t offset, int whence, void* user) {
  auto* tape = static_cast<Tape*>(user);
  const sf_count_t size = tape_length(user);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? tape->at : size;
  tape->at = std::clamp<sf_count_t>(base + offset, 0, size);
  return tape->at;
}

sf_count_t tape_read(void* out, sf_count_t count, void* user) {
  auto* tape = static_cast<Tape*>(user);
  if (count <= 0) return 0;
  auto* const bytes = static_cast<std::byte*>(out);
  count = static_cast<sf_count_t>(
      tape->encoded.read(static_cast<size_t>(tape->at), {bytes, static_cast<size_t>(count)}));
  const OpenSize& size = tape->size;
  for (size_t i = 0; i < size.count; ++i) {
    const sf_count_t place = static_cast<sf_count_t>(size.at + i) - tape->at;
    if (place >= 0 && place < count) bytes[place] = size.bytes[i];
  }
  tape->at += count;
  return count;
}

sf_count_t tape_write(const void*, sf_count_t, void*) { return 0; }
sf_count_t tape_tell(void* user) { return static_cast<Tape*>(user)->at; }

SF_VIRTUAL_IO tape_io = {tape_length, tape_seek, tape_read, tape_write, tape_tell};

struct CloseSound {
  void operator()(SNDFILE* sound) const { sf_close(sound); }
};

/// Of the file that could not be opened last.
std::string why_not_opened(Encoded& encoded) {
  if (auto what = what_it_is(encoded)) return *what;
  const std::string why = sf_strerror(nullptr);
  // What libsndfile says of an MP3 without a frame speaks of a file that it was never given.
  if (why.starts_with("File does not exist")) return "no frame of sound in it";
  if (why.find("SF_INFO") == std::string::npos) return why;
  return "its header has no sample rate or no channel";
}

/// libsndfile keeps why a file could not be opened in one variable of the process, which every
/// other opening clears: a file that fails is opened again while nobody else opens one.
std::unique_ptr<SNDFILE, CloseSound> open_sound(Tape& tape, SF_INFO& info, std::string& why) {
  static std::shared_mutex opening;
  {
    const std::shared_lock lock(opening);
    if (SNDFILE* sound = sf_open_virtual(&tape_io, SFM_READ, &info, &tape))
      return std::unique_ptr<SNDFILE, CloseSound>(sound);
  }
  const std::unique_lock lock(opening);
  tape.at = 0;
  info = {};
  SNDFILE* sound = sf_open_virtual(&tape_io, SFM_READ, &info, &tape);
  if (sound == nullptr) why = why_not_opened(tape.encoded);
  return std::unique_ptr<SNDFILE, CloseSound>(sound);
}

/// Neither NaN nor infinity: by their bits, so that the loop is one of whole registers.
bool all_finite(std::span<const float> samples) {
  constexpr int32_t kInfinity = 0x7F800000;
  int32_t largest = 0;
  for (const float x : samples) largest = std::max(largest, std::bit_cast<int32_t>(x) & 0x7FFFFFFF);
  return largest < kInfinity;
}

/// Channels to their mean, appended.
void append_mono(std::span<const float> block, int channels, std::vector<float>& mono) {
  if (channels == 1) {
    mono.insert(mono.end(), block.begin(), block.end());
    return;
  }
  const float scale = 1.0F / static_cast<float>(channels);
  const size_t frames = block.size() / static_cast<size_t>(channels);
  mono.resize(mono.size() + frames);
  float* out = mono.data() + mono.size() - frames;
  const float* frame = block.data();
  for (size_t i = 0; i < frames; ++i, frame += channels) {
    float sum = 0;
    for (int c = 0; c < channels; ++c) sum += frame[c];
    out[i] = sum * scale;
  }
}

}  // namespace

struct SoundReader::Impl {
  Impl(Encoded& encoded, const SoundStretch& which) : stretch(which), tape{encoded, {}, 0} {}

  void open();
  bool next(std::vector<float>& mono);
  void look_at_the_end();

  SoundStretch stretch;
  Tape tape;
  SF_INFO info{};
  std::unique_ptr<SNDFILE, CloseSound> sound;  ///< none at the end, or where it is bad
  sf_count_t first = 0;
  sf_count_t wanted = 0;
  sf_count_t got = 0;
  std::vector<float> block;
  bool finite = true;
  std::string problem;
};

void SoundReader::Impl::open() {
  if (tape.encoded.size() == 0) {
    problem = "empty file";
    return;
  }
  if (auto damage = find_damage(tape.encoded)) {
    problem = *damage;
    return;
  }
  tape.size = find_open_size(tape.encoded).value_or(OpenSize{});
  std::string why;
  auto opened = open_sound(tape, info, why);
  if (!opened) {
    problem = fmt::format("cannot be decoded: {}", why);
    return;
  }
  if (info.samplerate < 1000 || info.samplerate > 1'000'000 || info.channels < 1) {
    problem = fmt::format("implausible header: {} Hz, {} channels", info.samplerate, info.channels);
    return;
  }
  const double rate = info.samplerate;
  first = static_cast<sf_count_t>(std::llround(stretch.start_s * rate));
  // The header's frame count may lie (it does in broken files), so it never sizes a buffer.
  wanted = static_cast<sf_count_t>(stretch.longest_s * rate) + 1;
  if (stretch.length_s > 0)
    wanted = std::min<sf_count_t>(wanted, std::llround(stretch.length_s * rate));
  if (first > 0 && sf_seek(opened.get(), first, SEEK_SET) != first) {
    problem = fmt::format("shorter than {} s, where the clip begins", stretch.start_s);
    return;
  }
  block.resize(static_cast<size_t>(kBlockFrames * info.channels));
  sound = std::move(opened);
}

bool SoundReader::Impl::next(std::vector<float>& mono) {
  if (!sound) return false;
  const sf_count_t left = std::min<sf_count_t>(kBlockFrames, wanted - got);
  const sf_count_t frames = left > 0 ? sf_readf_float(sound.get(), block.data(), left) : 0;
  if (frames <= 0) {
    look_at_the_end();
    sound.reset();
    return false;
  }
  const size_t before = mono.size();
  append_mono(std::span(block).first(static_cast<size_t>(frames * info.channels)), info.channels,
              mono);
  finite = finite && all_finite(std::span(mono).subspan(before));
  got += frames;
  return true;
}

void SoundReader::Impl::look_at_the_end() {
  // MP3 counts are estimates; for the others fewer frames than promised are a damaged file.
  const bool exact = (info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_MPEG;
  if (const int error = sf_error(sound.get()); error != SF_ERR_NO_ERROR) {
    problem = fmt::format("broken after {:.2f} s: {}",
                          static_cast<double>(got) / static_cast<double>(info.samplerate),
                          sf_error_number(error));
  } else if (stretch.length_s <= 0 && got == wanted) {
    problem = fmt::format("too long: more than {} s", stretch.longest_s);
  } else if (exact && info.frames > 0 && info.frames < SF_COUNT_MAX &&
             got < std::min(wanted, info.frames - first)) {
    problem = fmt::format("truncated: {} of {} samples could be decoded", got, info.frames);
  }
}

SoundReader::SoundReader(Encoded& encoded, const SoundStretch& stretch)
    : impl_(std::make_unique<Impl>(encoded, stretch)) {
  impl_->open();
}
SoundReader::~SoundReader() = default;
SoundReader::SoundReader(SoundReader&&) noexcept = default;
SoundReader& SoundReader::operator=(SoundReader&&) noexcept = default;

bool SoundReader::next(std::vector<float>& mono) { return impl_->next(mono); }
const std::string& SoundReader::problem() const { return impl_->problem; }
int64_t SoundReader::rate_hz() const { return impl_->info.samplerate; }
int64_t SoundReader::channels() const { return impl_->info.channels; }
size_t SoundReader::read() const { return static_cast<size_t>(impl_->got); }
bool SoundReader::finite() const { return impl_->finite; }

size_t SoundReader::promised() const {
  const sf_count_t most = std::min(impl_->wanted, sf_count_t{1} << 24U);
  return static_cast<size_t>(std::clamp<sf_count_t>(impl_->info.frames, 0, most));
}

}  // namespace xp::data
