#include "core/dist/group.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/base/error.h"
#include "core/dist/endable_backend.h"
#include "core/dist/group_impl.h"

namespace xp::dist {
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

namespace {

using std::chrono::seconds;

/// Runs a piece of c10d; its failures mean that somebody is gone.
template <class Work>
auto guarded(const char* what, Work&& work) {
  try {
    return work();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(fmt::format("{}: another rank is gone ({})", what, first_line(error)),
                Exit::kFailed);
  }
}

std::shared_ptr<Rendezvous::Impl> tcp(const std::string& host, int port, bool server,
                                      seconds timeout) {
  // A write to a rank that has died must be an error that names it, not our own death by a signal.
  std::signal(SIGPIPE, SIG_IGN);
  auto impl = std::make_shared<Rendezvous::Impl>();
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.isServer = server;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    impl->port = store->getPort();
    impl->store = store;
  } catch (const std::exception& error) {
    throw Error(fmt::format("no rank 0 at {}:{} ({})", host, port, first_line(error)),
                Exit::kFailed);
  }
  return impl;
}

}  // namespace

Rendezvous::Rendezvous(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Rendezvous::~Rendezvous() = default;

std::shared_ptr<Rendezvous> Rendezvous::in_process() {
  auto impl = std::make_unique<Impl>();
  impl->store = c10::make_intrusive<c10d::HashStore>();
  return std::shared_ptr<Rendezvous>(new Rendezvous(std::move(impl)));
}

std::shared_ptr<Rendezvous> Rendezvous::serve(const std::string& host, int port) {
  auto impl = std::make_unique<Impl>(*tcp(host, port, true, seconds(120)));
  return std::shared_ptr<Rendezvous>(new Rendezvous(std::move(impl)));
}

std::shared_ptr<Rendezvous> Rendezvous::join(const std::string& host, int port, seconds timeout) {
  auto impl = std::make_unique<Impl>(*tcp(host, port, false, timeout));
  return std::shared_ptr<Rendezvous>(new Rendezvous(std::move(impl)));
}

int Rendezvous::port() const { return impl_->port; }

void Rendezvous::set(const std::string& key, std::string_view text) {
  guarded("rendezvous", [&] {
    impl_->store->set(key, std::vector<uint8_t>(text.begin(), text.end()));
    // The server acknowledges no set. It answers a question of the same connection after it.
    XP_CHECK(impl_->store->check({key}), "a key that was set is not there: " + key);
    return 0;
  });
}

std::optional<std::string> Rendezvous::look(const std::string& key) {
  return guarded("rendezvous", [&]() -> std::optional<std::string> {
    if (!impl_->store->check({key})) return std::nullopt;
    const std::vector<uint8_t> bytes = impl_->store->get(key);
    return std::string(bytes.begin(), bytes.end());
  });
}

Group::Group(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Group::~Group() = default;

std::unique_ptr<Group> Group::make(Rendezvous& rendezvous, const std::string& name, int rank,
                                   int size, at::Device device, seconds timeout) {
  XP_CHECK(rank >= 0 && rank < size, "dist: rank out of range");
  auto impl = std::make_unique<Impl>();
  impl->device = device;
  impl->rank = rank;
  impl->size = size;
  const c10::intrusive_ptr<c10d::Store> store =
      c10::make_intrusive<c10d::PrefixStore>(name, rendezvous.impl().store);
  guarded("joining the group", [&] {
    const bool cpu = device.is_cpu();
    const auto backend = cpu ? make_endable(make_gloo(store, rank, size, timeout))
                             : make_nccl(store, rank, size, timeout);
    // What NCCL and its kernels take by themselves, they take of the thread's present device.
    if (!cpu) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
    const auto type =
        cpu ? c10d::ProcessGroup::BackendType::GLOO : c10d::ProcessGroup::BackendType::NCCL;
    impl->group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    impl->group->setBackend(device.type(), type, backend);
    impl->group->setDefaultBackend(type);
    return 0;
  });
  return std::unique_ptr<Group>(new Group(std::move(impl)));
}

int Group::rank() const { return impl_->rank; }
int Group::size() const { return impl_->size; }

void Group::sum(at::Tensor& tensor) {
  check();
  guarded("sum over ranks", [&] {
    std::vector<at::Tensor> list{tensor};
    impl_->group->allreduce(list)->wait();
    return 0;
  });
}

void Group::broadcast(at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  guarded("broadcast", [&] {
    std::vector<at::Tensor> list{tensor.detach()};
    impl_->group->broadcast(list)->wait();
    return 0;
  });
}

at::Tensor Group::gather_rows(const at::Tensor& rows) {
  const at::NoGradGuard no_grad;
  return guarded("gathering rows", [&] {
    at::Tensor counts =
        at::zeros({size()}, at::TensorOptions().dtype(at::kLong).device(impl_->device));
    counts[rank()] = rows.size(0);
    sum(counts);
    const at::Tensor on_cpu = counts.cpu();
    check();
    const int64_t longest = on_cpu.max().item<int64_t>();
    at::Tensor padded = rows.to(impl_->device);
    if (rows.size(0) < longest) {
      std::vector<int64_t> shape = rows.sizes().vec();
      shape[0] = longest - rows.size(0);
      padded = at::cat({padded, at::zeros(shape, padded.options())});
    }
    std::vector<at::Tensor> in{padded.contiguous()};
    std::vector<std::vector<at::Tensor>> out(1);
    for (int r = 0; r < size(); ++r) out[0].push_back(at::empty_like(in[0]));
    impl_->group->allgather(out, in)->wait();
    std::vector<at::Tensor> parts;
    for (int r = 0; r < size(); ++r)
      parts.push_back(out[0][static_cast<size_t>(r)].narrow(0, 0, on_cpu[r].item<int64_t>()));
    at::Tensor all = at::cat(parts).to(rows.device());
    check();
    return all;
  });
}

bool Group::any(bool mine) {
  at::Tensor flag = at::full({1}, mine ? 1.0 : 0.0, at::TensorOptions().device(impl_->device));
  sum(flag);
  const bool result = flag.item<float>() > 0;
  check();
  return result;
}

void Group::abort() {
  if (!impl_->aborted.exchange(true)) impl_->group->abort();
}

void Group::check() const {
  if (impl_->aborted) throw Error("another rank is gone (the group was ended)", Exit::kFailed);
}

void Group::barrier() {
  check();
  guarded("barrier", [&] {
    c10d::BarrierOptions options;
    options.device = impl_->device;
    if (!impl_->device.is_cpu()) options.device_ids = {impl_->device.index()};
    impl_->group->barrier(options)->wait();
    return 0;
  });
}

}  // namespace xp::dist
