#include "tracker/ring.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "tracker/process.h"

namespace xp::tracker {

struct Ring::Header {
  std::atomic<uint64_t> magic;  ///< set last: a file without it is not a ring yet
  uint32_t version;
  uint32_t capacity;
  uint64_t id;
  int32_t attempt;
  int32_t rank;
  int64_t pid;
  int64_t pid_start;
  std::atomic<uint32_t> name_count;
  std::atomic<uint32_t> name_bytes;
  alignas(64) std::atomic<uint64_t> head;
};

// The fields are atomic for readers of a live ring, who may look at a slot that is being filled
// anew and find out by its sequence; relaxed stores cost what plain ones do.
struct Ring::Slot {
  std::atomic<uint64_t> sequence;
  std::atomic<int64_t> step;
  std::atomic<double> value;
  std::atomic<int64_t> time_ns;
  std::atomic<uint32_t> metric;
  uint32_t unused;
};

namespace {

constexpr uint64_t kMagic = 0x0031474E49525058;  // the bytes "XPRING1\0"
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kSlotBytes = 40;
constexpr size_t kBytes = kHeaderBytes + Ring::kNameBytes + size_t{Ring::kCapacity} * kSlotBytes;

// The mappings that may lose their file, for the handler of SIGBUS: it may do little, so they are
// kept in a plain table.
struct Guarded {
  std::atomic<std::byte*> memory{nullptr};
  std::atomic<size_t> bytes{0};
  std::atomic<std::atomic<bool>*> cut{nullptr};
};
constexpr size_t kGuarded = 256;

std::array<Guarded, kGuarded>& guarded() {
  static std::array<Guarded, kGuarded> table;
  return table;
}

extern "C" void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto* at = static_cast<const std::byte*>(info->si_addr);
  for (Guarded& one : guarded()) {
    std::byte* memory = one.memory.load(std::memory_order_acquire);
    if (memory == nullptr) continue;
    const size_t bytes = one.bytes.load(std::memory_order_relaxed);
    if (at < memory || at >= memory + bytes) continue;
    one.cut.load(std::memory_order_relaxed)->store(true, std::memory_order_relaxed);
    if (::mmap(memory, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) != MAP_FAILED)
      return;
  }
  ::signal(signal, SIG_DFL);  // not ours: the instruction is run again, and ends the process
}

void guard(std::byte* memory, size_t bytes, std::atomic<bool>* cut) {
  static std::mutex mutex;
  static const bool installed = [] {
    guarded();
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO;
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  const std::lock_guard lock(mutex);
  for (Guarded& one : guarded()) {
    if (!installed || one.memory.load() != nullptr) continue;
    one.bytes = bytes;
    one.cut = cut;
    one.memory.store(memory, std::memory_order_release);
    return;
  }
}

void unguard(const std::byte* memory) {
  for (Guarded& one : guarded()) {
    if (one.memory.load() == memory) one.memory.store(nullptr, std::memory_order_release);
  }
}

uint64_t random_id() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

Ring::Ring(std::byte* memory, size_t bytes, bool in_file)
    : memory_(memory), bytes_(bytes), in_file_(in_file) {
  static_assert(sizeof(Slot) == kSlotBytes && sizeof(Header) <= kHeaderBytes);
  static_assert(std::atomic<uint64_t>::is_always_lock_free &&
                std::atomic<double>::is_always_lock_free);
  if (in_file) guard(memory_, bytes_, &cut_);
}

Ring::~Ring() {
  if (in_file_) unguard(memory_);
  ::munmap(memory_, bytes_);
}

Ring::Header* Ring::header() const { return reinterpret_cast<Header*>(memory_); }
std::byte* Ring::names() const { return memory_ + kHeaderBytes; }
Ring::Slot* Ring::slots() const {
  return reinterpret_cast<Slot*>(memory_ + kHeaderBytes + kNameBytes);
}

uint64_t Ring::head() const noexcept { return header()->head.load(std::memory_order_acquire); }

void Ring::initialise(int attempt, int rank) {
  Header* at = header();
  at->version = kVersion;
  at->capacity = kCapacity;
  at->id = random_id();
  at->attempt = attempt;
  at->rank = rank;
  const ProcessId self = this_process();
  at->pid = self.pid;
  at->pid_start = self.start;
  at->magic.store(kMagic, std::memory_order_release);
  remember();
}

// What is asked for again and again does not depend on the file any more.
void Ring::remember() {
  const Header* at = header();
  attempt_ = at->attempt;
  rank_ = at->rank;
  id_ = at->id;
  pid_ = at->pid;
  pid_start_ = at->pid_start;
}

std::unique_ptr<Ring> Ring::create(const std::filesystem::path& file, int attempt, int rank) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  const auto fail = [&](int error) {
    if (fd >= 0) ::close(fd);
    if (fd >= 0) ::unlink(file.c_str());
    throw Error(fmt::format("cannot make {}: {}", file.string(), std::strerror(error)),
                Exit::kFailed);
  };
  if (fd < 0) fail(errno);
  if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(kBytes)); error != 0)
    fail(error);
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail(errno);
  ::close(fd);
  std::unique_ptr<Ring> ring(new Ring(static_cast<std::byte*>(memory), kBytes, true));
  ring->initialise(attempt, rank);
  return ring;
}

std::unique_ptr<Ring> Ring::anonymous(int attempt, int rank) {
  void* memory =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  std::unique_ptr<Ring> ring(new Ring(static_cast<std::byte*>(memory), kBytes, false));
  ring->initialise(attempt, rank);
  return ring;
}

std::unique_ptr<Ring> Ring::open(const std::filesystem::path& file, bool write) {
  const int fd = ::open(file.c_str(), (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return nullptr;
  struct stat info {};
  const bool whole = ::fstat(fd, &info) == 0 && static_cast<size_t>(info.st_size) == kBytes;
  void* memory =
      whole ? ::mmap(nullptr, kBytes, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, 0)
            : MAP_FAILED;
  ::close(fd);
  if (memory == MAP_FAILED) return nullptr;
  std::unique_ptr<Ring> ring(new Ring(static_cast<std::byte*>(memory), kBytes, true));
  const Header* at = ring->header();
  const bool ours = at->magic.load(std::memory_order_acquire) == kMagic;
  if (!ours || at->version != kVersion || at->capacity != kCapacity) return nullptr;
  ring->remember();
  return ring;
}

// A name: its length (2 bytes), unit, grain, then its bytes.
std::optional<uint32_t> Ring::declare(std::string_view name, Unit unit, Grain grain) {
  const std::lock_guard lock(naming_);
  Header* at = header();
  const uint32_t used = at->name_bytes.load(std::memory_order_relaxed);
  if (name.size() > 0xFFFF || used + 4 + name.size() > kNameBytes) return std::nullopt;
  std::byte* entry = names() + used;
  const auto length = static_cast<uint16_t>(name.size());
  std::memcpy(entry, &length, 2);
  entry[2] = static_cast<std::byte>(unit);
  entry[3] = static_cast<std::byte>(grain);
  std::memcpy(entry + 4, name.data(), name.size());
  at->name_bytes.store(used + 4 + length, std::memory_order_relaxed);
  declared_.push_back({std::string(name), unit, grain});
  at->name_count.store(static_cast<uint32_t>(declared_.size()), std::memory_order_release);
  return static_cast<uint32_t>(declared_.size() - 1);
}

size_t Ring::metric_count() const {
  {
    const std::lock_guard lock(naming_);
    if (!declared_.empty()) return declared_.size();
  }
  return header()->name_count.load(std::memory_order_acquire);
}

std::vector<Ring::Metric> Ring::metrics() const {
  {
    const std::lock_guard lock(naming_);
    if (!declared_.empty()) return declared_;
  }
  std::vector<Metric> out;
  const uint32_t count = header()->name_count.load(std::memory_order_acquire);
  size_t at = 0;
  for (uint32_t i = 0; i < count && at + 4 <= kNameBytes; ++i) {
    uint16_t length = 0;
    std::memcpy(&length, names() + at, 2);
    const auto unit = static_cast<uint8_t>(names()[at + 2]);
    const auto grain = static_cast<uint8_t>(names()[at + 3]);
    if (at + 4 + length > kNameBytes || unit > static_cast<uint8_t>(Unit::kCelsius) ||
        grain > static_cast<uint8_t>(Grain::kTime)) {
      break;  // a damaged file: what cannot be named is left out
    }
    out.push_back({std::string(reinterpret_cast<const char*>(names() + at + 4), length),
                   static_cast<Unit>(unit), static_cast<Grain>(grain)});
    at += 4u + length;
  }
  return out;
}

bool Ring::push(const RingPoint& point) noexcept {
  std::atomic<uint64_t>& head = header()->head;
  uint64_t position = head.load(std::memory_order_relaxed);
  Slot* slot = nullptr;
  while (true) {
    if (cut()) return false;
    slot = slots() + (position & (kCapacity - 1));
    const uint64_t free = position / kCapacity * 2;
    const uint64_t sequence = slot->sequence.load(std::memory_order_acquire);
    if (sequence == free) {
      if (head.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) break;
    } else if (sequence < free) {
      return false;  // the slot still holds a point of the lap before
    } else {
      position = head.load(std::memory_order_relaxed);
    }
  }
  slot->step.store(point.step, std::memory_order_relaxed);
  slot->value.store(point.value, std::memory_order_relaxed);
  slot->time_ns.store(point.time_ns, std::memory_order_relaxed);
  slot->metric.store(point.metric, std::memory_order_relaxed);
  slot->sequence.store(position / kCapacity * 2 + 1, std::memory_order_release);
  return true;
}

uint64_t Ring::peek(uint64_t position, size_t limit, bool skip_holes,
                    std::vector<RingPoint>& out) const {
  out.clear();
  const uint64_t end = head();
  while (position < end && out.size() < limit) {
    const Slot& slot = slots()[position & (kCapacity - 1)];
    const uint64_t filled = position / kCapacity * 2 + 1;
    const uint64_t sequence = slot.sequence.load(std::memory_order_acquire);
    if (sequence < filled && !skip_holes) break;
    if (sequence == filled) {
      // Acquire, so that the second look at the sequence comes after these.
      const RingPoint point{slot.step.load(std::memory_order_acquire),
                            slot.value.load(std::memory_order_acquire),
                            slot.time_ns.load(std::memory_order_acquire),
                            slot.metric.load(std::memory_order_acquire)};
      if (slot.sequence.load(std::memory_order_relaxed) == filled) out.push_back(point);
    }
    ++position;
  }
  return position;
}

void Ring::sync() const noexcept {
  if (in_file_ && !cut()) ::msync(memory_, bytes_, MS_SYNC);
}

void Ring::release(uint64_t from, uint64_t position) noexcept {
  if (cut()) return;
  for (; from < position; ++from) {
    slots()[from & (kCapacity - 1)].sequence.store(from / kCapacity * 2 + 2,
                                                   std::memory_order_release);
  }
}

}  // namespace xp::tracker
