#include "core/dist/endable_backend.h"

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

namespace xp::dist {
namespace {

using c10::intrusive_ptr;
using c10::ivalue::Future;
using c10d::Work;
using std::chrono::milliseconds;

/// The result of one call: gloo or `end` settles it, whichever comes first.
class Result {
 public:
  explicit Result(const intrusive_ptr<Future>& theirs)
      : theirs_(theirs), future_(c10::make_intrusive<Future>(theirs->elementType())) {}

  const intrusive_ptr<Future>& future() const { return future_; }
  bool gloo_is_done() const { return theirs_->completed(); }

  void take() {
    if (settled_.exchange(true)) return;
    if (theirs_->hasError())
      future_->setError(theirs_->exception_ptr());
    else
      future_->markCompleted(theirs_->value());
  }
  void end(const std::exception_ptr& error) {
    if (!settled_.exchange(true)) future_->setError(error);
  }

 private:
  intrusive_ptr<Future> theirs_, future_;
  std::atomic<bool> settled_ = false;
};

class EndableWork : public Work {
 public:
  EndableWork(intrusive_ptr<Work> theirs, std::shared_ptr<Result> result)
      : theirs_(std::move(theirs)), result_(std::move(result)) {}

  bool isCompleted() override { return result_->future()->completed(); }
  bool isSuccess() const override {
    return result_->future()->completed() && !result_->future()->hasError();
  }
  std::exception_ptr exception() const override { return result_->future()->exception_ptr(); }
  std::vector<at::Tensor> result() override { return theirs_->result(); }
  bool wait(milliseconds /*gloo keeps the time*/) override {
    result_->future()->waitAndThrow();
    return true;
  }
  intrusive_ptr<Future> getFuture() override { return result_->future(); }

 private:
  intrusive_ptr<Work> theirs_;
  std::shared_ptr<Result> result_;
};

class EndableBackend : public c10d::Backend {
 public:
  explicit EndableBackend(intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()), backend_(std::move(backend)) {}

  ~EndableBackend() override {
    for (const auto& result : open_)
      if (!result->gloo_is_done()) {
        (void)backend_.release();
        return;
      }
  }
  EndableBackend(const EndableBackend&) = delete;
  EndableBackend& operator=(const EndableBackend&) = delete;

  // NOLINTNEXTLINE(readability-const-return-type): the base's
  const std::string getBackendName() const override { return backend_->getBackendName(); }

  intrusive_ptr<Work> broadcast(std::vector<at::Tensor>& tensors,
                                const c10d::BroadcastOptions& options) override {
    return endable(backend_->broadcast(tensors, options));
  }
  intrusive_ptr<Work> allreduce(std::vector<at::Tensor>& tensors,
                                const c10d::AllreduceOptions& options) override {
    return endable(backend_->allreduce(tensors, options));
  }
  intrusive_ptr<Work> allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                std::vector<at::Tensor>& inputs,
                                const c10d::AllgatherOptions& options) override {
    return endable(backend_->allgather(outputs, inputs, options));
  }
  intrusive_ptr<Work> barrier(const c10d::BarrierOptions& options) override {
    return endable(backend_->barrier(options));
  }

  void abort() override {
    std::vector<std::shared_ptr<Result>> waiting;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      waiting = open_;
    }
    for (const auto& result : waiting) result->end(error());
  }

 private:
  static std::exception_ptr error() {
    return std::make_exception_ptr(std::runtime_error("the gloo group was ended"));
  }

  intrusive_ptr<Work> endable(const intrusive_ptr<Work>& work) {
    const auto theirs = work->getFuture();
    const auto result = std::make_shared<Result>(theirs);
    bool ended = false;
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(open_, [](const auto& other) { return other->gloo_is_done(); });
      open_.push_back(result);
      ended = ended_;
    }
    theirs->addCallback([result](Future&) { result->take(); });
    if (ended) result->end(error());
    return c10::make_intrusive<EndableWork>(work, result);
  }

  intrusive_ptr<c10d::Backend> backend_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Result>> open_;  ///< that gloo has not ended
  bool ended_ = false;
};

}  // namespace

intrusive_ptr<c10d::Backend> make_endable(intrusive_ptr<c10d::Backend> backend) {
  return c10::make_intrusive<EndableBackend>(std::move(backend));
}

}  // namespace xp::dist
