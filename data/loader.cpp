#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "data/batch_maker.h"

namespace xp::data {
namespace {

/// A batch that is being made. Workers hold it by shared pointer, so that one that was dropped by
/// `start` may still be finished by whoever is in the middle of it.
struct Slot {
  BatchMaker::Plan plan;
  int64_t claimed = 0;  ///< clips that a worker has taken
  int64_t filled = 0;
  std::exception_ptr error;

  bool complete() const { return filled == plan.batch.size; }
};

}  // namespace

struct Loader::Impl {
  LoaderOptions options;
  const Sampler& sampler;
  BatchMaker maker;

  std::mutex mutex;
  std::condition_variable work;   // for workers: a batch may be begun or a clip taken
  std::condition_variable ready;  // for the caller: the oldest batch is complete
  std::deque<std::shared_ptr<Slot>> slots;
  std::optional<EpochOrder> order;
  int64_t epoch = 0;
  int64_t next_step = 0;
  int64_t end_step = 0;
  bool closing = false;
  std::exception_ptr plan_error;
  std::vector<std::thread> threads;
  LoaderStats stats;
  int64_t left_ns = 0;  // when the caller got its last batch

  Impl(LoaderOptions o, const Sampler& s) : options(std::move(o)), sampler(s), maker(options) {}

  std::shared_ptr<Slot> claim(int64_t& clip);
  void run();
};

/// A clip to fill, in the order of the batches; begins a further batch when all clips are taken and
/// there is room for it. Null when there is nothing to do now. Called with the lock held.
std::shared_ptr<Slot> Loader::Impl::claim(int64_t& clip) {
  for (const auto& slot : slots) {
    if (slot->claimed < slot->plan.batch.size) {
      clip = slot->claimed++;
      return slot;
    }
  }
  if (plan_error || next_step >= end_step || slots.size() >= static_cast<size_t>(options.prefetch))
    return nullptr;
  auto slot = std::make_shared<Slot>();
  try {
    slot->plan = maker.plan(*order, epoch, next_step);
  } catch (...) {
    plan_error = std::current_exception();
    ready.notify_all();
    return nullptr;
  }
  ++next_step;
  slots.push_back(slot);
  if (slot->complete()) {  // a rank's share of a small last batch may be nothing
    ready.notify_all();
    return claim(clip);
  }
  clip = slot->claimed++;
  work.notify_all();
  return slot;
}

void Loader::Impl::run() {
  std::unique_lock lock(mutex);
  while (true) {
    int64_t clip = 0;
    std::shared_ptr<Slot> slot;
    work.wait(lock, [&] { return closing || (slot = claim(clip)) != nullptr; });
    if (closing) return;
    lock.unlock();
    std::exception_ptr error;
    try {
      maker.fill(slot->plan, clip);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && !slot->error) slot->error = error;
    ++slot->filled;
    if (slot->complete()) ready.notify_all();
  }
}

Loader::Loader(LoaderOptions options, const Sampler& sampler)
    : impl_(std::make_unique<Impl>(std::move(options), sampler)) {
  XP_CHECK(impl_->options.prefetch > 0, "prefetch is at least one batch");
  int workers = impl_->options.workers;
  if (workers <= 0) workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  for (int i = 0; i < workers; ++i) impl_->threads.emplace_back([this] { impl_->run(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
    impl_->work.notify_all();
  }
  for (std::thread& thread : impl_->threads) thread.join();
}

void Loader::start(int64_t epoch, int64_t first_step) {
  EpochOrder order = impl_->sampler.epoch(epoch);
  const std::lock_guard lock(impl_->mutex);
  impl_->slots.clear();
  impl_->order = std::move(order);
  impl_->epoch = epoch;
  impl_->next_step = first_step;
  impl_->end_step = impl_->maker.steps(impl_->order->size());
  impl_->plan_error = nullptr;
  impl_->left_ns = 0;
  impl_->work.notify_all();
}

std::optional<Batch> Loader::next() {
  const int64_t begin = steady_ns();
  std::unique_lock lock(impl_->mutex);
  XP_CHECK(impl_->order.has_value(), "start comes before next");
  if (impl_->left_ns != 0)
    impl_->stats.busy_s += static_cast<double>(begin - impl_->left_ns) * 1e-9;
  impl_->left_ns = 0;
  if (impl_->slots.empty() && impl_->next_step >= impl_->end_step) return std::nullopt;
  impl_->ready.wait(lock, [&] {
    return impl_->slots.empty() ? impl_->plan_error != nullptr : impl_->slots.front()->complete();
  });
  if (impl_->slots.empty()) std::rethrow_exception(impl_->plan_error);
  const std::shared_ptr<Slot> slot = std::move(impl_->slots.front());
  impl_->slots.pop_front();
  impl_->work.notify_all();
  if (slot->error) std::rethrow_exception(slot->error);
  const int64_t now = steady_ns();
  impl_->stats.stall_s += static_cast<double>(now - begin) * 1e-9;
  ++impl_->stats.batches;
  impl_->stats.clips += slot->plan.batch.size;
  impl_->left_ns = now;
  return std::move(slot->plan.batch);
}

bool Loader::ready() const {
  const std::lock_guard lock(impl_->mutex);
  return !impl_->slots.empty() && impl_->slots.front()->complete();
}

int64_t Loader::steps_per_epoch() const { return impl_->maker.steps(impl_->sampler.draws()); }

LoaderStats Loader::take_stats() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->stats, LoaderStats{});
}

}  // namespace xp::data
