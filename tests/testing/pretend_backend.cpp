// The side of the pretend device that is no operator: allocators, streams and events for LibTorch.
#include "tests/testing/pretend_backend.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/Allocator.h>
#include <c10/core/Storage.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "tests/testing/pretend_memory.h"
#include "tests/testing/pretend_streams.h"

namespace xp::testing {
namespace {

using Kernel = PretendStreams::Kernel;

c10::Device the_device() { return {kPretendType, 0}; }

std::atomic<bool> made = false;

class DeviceAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &drop, the_device()};
    void* const block = PretendMemory::get().allocate(bytes);
    return {block, block, &drop, the_device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &drop; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    const Kernel kernel;
    std::memcpy(PretendMemory::get().open(static_cast<char*>(to)),
                PretendMemory::get().open(static_cast<const char*>(from)), bytes);
  }

 private:
  static void drop(void* block) {
    if (block != nullptr) PretendMemory::get().free(block);
  }
};

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const block = PretendStreams::get().pin(bytes);
    return {block, block, &drop, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &drop; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }

 private:
  static void drop(void* block) { PretendStreams::get().unpin(block); }
};

DeviceAllocator& device_allocator() {
  static auto* const allocator = new DeviceAllocator;
  return *allocator;
}

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return kPretendType; }
  c10::Device exchangeDevice(c10::Device) const override { return the_device(); }
  c10::Device getDevice() const override { return the_device(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  /// None before it is made: with a device autograd starts a thread, and a process that has one
  /// cannot train in a fork.
  c10::DeviceIndex deviceCount() const noexcept override { return made ? 1 : 0; }

  c10::Stream getStream(c10::Device) const override { return stream(PretendStreams::current()); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream(1); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(1); }
  c10::Stream exchangeStream(c10::Stream other) const override {
    return stream(std::exchange(PretendStreams::current(), other.id()));
  }
  void synchronizeStream(const c10::Stream& of) const override {
    PretendStreams::get().wait(of.id(), "stream");
  }
  void synchronizeDevice(c10::DeviceIndex) const override {
    PretendStreams::get().wait_for_all("device");
  }
  bool queryStream(const c10::Stream&) const override { return true; }

  void record(void** event, const c10::Stream& of, c10::DeviceIndex,
              c10::EventFlag) const override {
    if (*event == nullptr) *event = new PretendStreams::Event;
    at(*event) = PretendStreams::get().record(of.id());
  }
  void block(void* event, const c10::Stream& of) const override {
    if (event != nullptr && at(event).stream != of.id()) PretendStreams::get().block(at(event));
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) PretendStreams::get().wait(at(event));
  }
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override { delete &at(event); }

 private:
  static PretendStreams::Event& at(void* event) {
    return *static_cast<PretendStreams::Event*>(event);
  }
  static c10::Stream stream(c10::StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, the_device(), id);
  }
};

class Hooks final : public at::PrivateUse1HooksInterface {
 public:
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(0);
    return generator;
  }
  at::Device getDeviceFromPtr(void*) const override { return the_device(); }
  bool isPinnedPtr(const void* address) const override {
    return PretendStreams::get().pinned(address);
  }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    static auto* const allocator = new PinnedAllocator;
    return allocator;
  }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    c10::DataPtr larger = device_allocator().allocate(bytes);
    const size_t before = std::min(bytes, storage.nbytes());
    if (before > 0) device_allocator().copy_data(larger.get(), storage.data(), before);
    storage.unsafeGetStorageImpl()->set_data_ptr(std::move(larger));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

}  // namespace

void install_pretend_backend() {
  made = true;
  c10::SetAllocator(kPretendType, &device_allocator());
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  c10::register_privateuse1_backend("pretend");
}

}  // namespace xp::testing
