#include "tests/testing/pretend_memory.h"

#include <array>
#include <csignal>
#include <cstring>
#include <new>
#include <string_view>

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/error.h"

namespace xp::testing {
namespace {

/// Says where the host touched device memory; any other fault goes the usual way.
void on_fault(int signal, siginfo_t* info, void* /*context*/) {
  if (!PretendMemory::get().owns(info->si_addr)) {
    std::signal(signal, SIG_DFL);
    return;  // the instruction faults again
  }
  constexpr std::string_view kText = "\nthe host touched memory of the pretend device:\n";
  (void)!write(STDERR_FILENO, kText.data(), kText.size());
  std::array<void*, 48> frames{};
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), frames.size()), STDERR_FILENO);
  _exit(PretendMemory::kTouched);
}

char* map_whole(int file, size_t size, int protection) {
  void* const at = mmap(nullptr, size, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
  XP_CHECK(at != MAP_FAILED, "the pretend device has no memory");
  return static_cast<char*>(at);
}

}  // namespace

PretendMemory& PretendMemory::get() {
  static auto* const memory = new PretendMemory;  // tensors of static lifetime may outlive main
  return *memory;
}

PretendMemory::PretendMemory() {
  const int file = memfd_create("pretend device", MFD_CLOEXEC);
  XP_CHECK(file >= 0 && ftruncate(file, kSize) == 0, "the pretend device has no memory");
  closed_ = map_whole(file, kSize, PROT_NONE);
  const char* const open = map_whole(file, kSize, PROT_READ | PROT_WRITE);
  distance_ = reinterpret_cast<uintptr_t>(open) - reinterpret_cast<uintptr_t>(closed_);
  close(file);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

void* PretendMemory::allocate(size_t bytes) {
  const std::lock_guard lock(mutex_);
  const size_t size = (bytes + 63) / 64 * 64;
  char* block = nullptr;
  if (const auto spare = spare_.find(size); spare != spare_.end()) {
    block = spare->second;
    spare_.erase(spare);
  } else {
    if (used_ + size > kSize) throw std::bad_alloc();
    block = closed_ + used_;
    used_ += size;
  }
  std::memset(open(block), 0xFF, size);
  taken_[block] = size;
  return block;
}

void PretendMemory::free(void* closed) {
  const std::lock_guard lock(mutex_);
  const auto block = taken_.find(closed);
  XP_CHECK(block != taken_.end(), "memory of the pretend device was given back twice");
  std::memset(open(static_cast<char*>(closed)), 0xFF, block->second);
  spare_.emplace(block->second, static_cast<char*>(closed));
  taken_.erase(block);
}

bool PretendMemory::owns(const void* address) const {
  const auto* const at = static_cast<const char*>(address);
  return at >= closed_ && at < closed_ + kSize;
}

bool PretendMemory::reaches(const void* address) const {
  const auto* const first = open(closed_);
  const auto* const at = static_cast<const char*>(address);
  return at >= first && at < first + kSize;
}

}  // namespace xp::testing
