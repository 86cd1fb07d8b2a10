#include "core/batches/device_batches.h"

#include <map>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "data/decode.h"

namespace xp::batches {
namespace {

template <class Value>
at::Tensor view(const data::Batch& batch, Value* values, int64_t width, at::Device device) {
  const std::shared_ptr<void> storage = batch.storage;
  const at::Tensor tensor = at::from_blob(
      values, {batch.size, width}, [storage](void*) {},
      at::TensorOptions().dtype(c10::CppTypeToScalarType<Value>::value));
  return tensor.to(device, /*non_blocking=*/true);
}

/// Sound as it comes from the loader, floats on `device`.
at::Tensor sound_of(const data::Batch& batch, at::Device device) {
  if (batch.pcm == nullptr) return view(batch, batch.waves, batch.samples, device);
  if (!device.is_cpu()) {
    return view(batch, batch.pcm, batch.samples, device).to(at::kFloat).mul_(1.0 / 32768.0);
  }
  at::Tensor waves = at::empty({batch.size, batch.samples}, at::kFloat);
  float* out = waves.mutable_data_ptr<float>();
  const auto width = static_cast<size_t>(batch.samples);
  at::parallel_for(0, batch.size, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      data::from_pcm16({batch.pcm + i * batch.samples, width}, {out + i * batch.samples, width});
  });
  return waves;
}

/// A batch on its way to a GPU. The copies read the batch's memory until `done`: Batch::on_device
/// dies before Batch::storage.
class DeviceCopy {
 public:
  DeviceCopy(const data::Batch& batch, at::Device device, const c10::Stream& stream)
      : device_(device), done_(device.type()) {
    const c10::StreamGuard guard(stream);
    waves = sound_of(batch, device);
    labels = view(batch, batch.labels, batch.classes, device);
    if (batch.mask != nullptr) mask = view(batch, batch.mask, batch.classes, device);
    done_.record(stream);
  }
  ~DeviceCopy() { done_.synchronize(); }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;

  at::Device device() const { return device_; }
  /// One of the tensors for the stream that is current now: it waits for the copy, and the memory
  /// is not given to others before it is through.
  at::Tensor take(const at::Tensor& tensor) const {
    if (!tensor.defined()) return tensor;
    const c10::Stream now = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
    done_.block(now);
    tensor.record_stream(now);
    return tensor;
  }

  at::Tensor waves, labels, mask;

 private:
  at::Device device_;
  c10::Event done_;
};

const DeviceCopy* copy_on(const data::Batch& batch, at::Device device) {
  const auto* copy = static_cast<const DeviceCopy*>(batch.on_device.get());
  return copy != nullptr && copy->device() == device ? copy : nullptr;
}

/// Pinned memory, which a GPU reads while the CPU goes on. ATen's allocator wants its tensor back.
data::Allocator pinned_memory() {
  struct Blocks {
    std::mutex mutex;
    std::map<void*, at::Tensor> tensors;
  };
  const auto blocks = std::make_shared<Blocks>();
  return {[blocks](size_t bytes) {
            const at::Tensor tensor =
                at::empty({static_cast<int64_t>(bytes)},
                          at::TensorOptions().dtype(at::kByte).pinned_memory(true));
            void* memory = tensor.data_ptr();
            const std::lock_guard lock(blocks->mutex);
            blocks->tensors[memory] = tensor;
            return memory;
          },
          [blocks](void* memory, size_t) {
            const std::lock_guard lock(blocks->mutex);
            blocks->tensors.erase(memory);
          }};
}

}  // namespace

DeviceBatches::DeviceBatches(data::LoaderOptions options, const data::Sampler& sampler,
                             at::Device device)
    : device_(device) {
  options.pcm = true;
  if (!device.is_cpu()) {
    options.allocator = pinned_memory();
    stream_ = std::make_unique<c10::Stream>(
        c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
  }
  loader_ = std::make_unique<data::Loader>(std::move(options), sampler);
}

DeviceBatches::~DeviceBatches() = default;

void DeviceBatches::start(int64_t epoch, int64_t first_step) {
  ahead_.reset();
  failed_ = nullptr;
  loader_->start(epoch, first_step);
}

std::optional<data::Batch> DeviceBatches::fetch() {
  std::optional<data::Batch> batch = loader_->next();
  if (batch && batch->size > 0 && stream_)
    batch->on_device = std::make_shared<const DeviceCopy>(*batch, device_, *stream_);
  return batch;
}

std::optional<data::Batch> DeviceBatches::next() {
  if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
  std::optional<data::Batch> batch = ahead_ ? std::exchange(ahead_, std::nullopt) : fetch();
  if (!batch || !stream_ || !loader_->ready()) return batch;
  try {
    ahead_ = fetch();
  } catch (...) {
    failed_ = std::current_exception();
  }
  return batch;
}

frontend::Waves waves_of(const data::Batch& batch, at::Device device) {
  const DeviceCopy* copy = copy_on(batch, device);
  return {copy != nullptr ? copy->take(copy->waves) : sound_of(batch, device), batch.lengths};
}

at::Tensor labels_of(const data::Batch& batch, at::Device device) {
  const DeviceCopy* copy = copy_on(batch, device);
  if (copy != nullptr) return copy->take(copy->labels);
  return view(batch, batch.labels, batch.classes, device);
}

at::Tensor mask_of(const data::Batch& batch, at::Device device) {
  if (batch.mask == nullptr) return {};
  const DeviceCopy* copy = copy_on(batch, device);
  if (copy != nullptr) return copy->take(copy->mask);
  return view(batch, batch.mask, batch.classes, device);
}

}  // namespace xp::batches
