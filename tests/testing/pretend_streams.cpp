#include "tests/testing/pretend_streams.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <execinfo.h>
#include <unistd.h>

#include "core/base/error.h"

namespace xp::testing {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

PretendStreams& PretendStreams::get() {
  static auto* const streams = new PretendStreams;  // as PretendMemory::get
  return *streams;
}

int64_t& PretendStreams::current() {
  thread_local int64_t stream = 0;
  return stream;
}

PretendStreams::Kernel::Kernel() : lock_(get().mutex_) {
  PretendStreams& streams = get();
  const int64_t stream = current();
  streams.run_if([stream](const Copy& copy) { return copy.in && copy.stream == stream; });
  ++streams.work_.kernels;
}

/// In their order, those that are due.
void PretendStreams::run_if(const std::function<bool(const Copy&)>& due) {
  std::vector<Copy> rest;
  for (Copy& copy : copies_) {
    if (due(copy))
      copy.run();
    else
      rest.push_back(std::move(copy));
  }
  copies_ = std::move(rest);
}

void PretendStreams::copy_in(void* to, const void* from, size_t bytes) {
  const std::lock_guard lock(mutex_);
  copies_.push_back({current(), ++moment_, from, true, [=] { std::memcpy(to, from, bytes); }});
}

void PretendStreams::copy_out(void* to, const void* from, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto* const values = static_cast<const char*>(from);
  std::vector<char> now(values, values + bytes);
  copies_.push_back({current(), ++moment_, to, false,
                     [to, now = std::move(now)] { std::memcpy(to, now.data(), now.size()); }});
}

PretendStreams::Event PretendStreams::record(int64_t stream) {
  const std::lock_guard lock(mutex_);
  return {stream, moment_, work_.kernels};
}

void PretendStreams::block(const Event& event) {
  const std::lock_guard lock(mutex_);
  run_if([&event](const Copy& copy) {
    return copy.in && copy.stream == event.stream && copy.moment <= event.moment;
  });
}

void PretendStreams::wait(const Event& event) {
  const std::lock_guard lock(mutex_);
  // With kernels behind the event, or work in other streams, the device goes on meanwhile.
  if (event.stream == 0 && event.kernels == work_.kernels) {
    ++work_.waits;
    trace("event");
  }
  run_if([&event](const Copy& copy) {
    return copy.stream == event.stream && copy.moment <= event.moment;
  });
}

void PretendStreams::wait(int64_t stream, const char* why) {
  const std::lock_guard lock(mutex_);
  ++work_.waits;
  trace(why);
  run_if([stream](const Copy& copy) { return copy.stream == stream; });
}

void PretendStreams::wait_for_all(const char* why) {
  const std::lock_guard lock(mutex_);
  ++work_.waits;
  trace(why);
  run_if([](const Copy&) { return true; });
}

void PretendStreams::count_pageable() {
  const std::lock_guard lock(mutex_);
  ++work_.pageable;
  trace("copy from pageable memory");
}

DeviceWork PretendStreams::work() {
  const std::lock_guard lock(mutex_);
  return work_;
}

void PretendStreams::trace(const char* why) const {
  static const bool wanted = std::getenv("XP_TRACE_WAITS") != nullptr;
  if (!wanted) return;
  std::fprintf(stderr, "WAIT: %s\n", why);
  std::array<void*, 64> frames{};
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), frames.size()), STDERR_FILENO);
}

void* PretendStreams::pin(size_t bytes) {
  const size_t size = (bytes + kAlignment) / kAlignment * kAlignment;
  void* const block = std::aligned_alloc(kAlignment, size);
  XP_CHECK(block != nullptr, "no memory to pin");
  std::memset(block, 0xFF, size);
  const std::lock_guard lock(mutex_);
  pinned_[static_cast<const char*>(block)] = size;
  return block;
}

void PretendStreams::unpin(void* block) {
  const std::lock_guard lock(mutex_);
  const auto found = pinned_.find(static_cast<const char*>(block));
  XP_CHECK(found != pinned_.end(), "pinned memory was given back twice");
  // As an allocator of pinned memory does: the block is not used again before its copies are done.
  const char* const first = found->first;
  const char* const end = first + found->second;
  run_if([first, end](const Copy& copy) {
    const auto* const at = static_cast<const char*>(copy.host);
    return at >= first && at < end;
  });
  pinned_.erase(found);
  std::free(block);
}

bool PretendStreams::pinned(const void* address) {
  const std::lock_guard lock(mutex_);
  const auto* const at = static_cast<const char*>(address);
  const auto after = pinned_.upper_bound(at);
  if (after == pinned_.begin()) return false;
  const auto block = std::prev(after);
  return at < block->first + block->second;
}

}  // namespace xp::testing
