#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "core/dist/group.h"

/// The c10d objects behind the public classes: for core/dist itself.
namespace xp::dist {

struct Rendezvous::Impl {
  c10::intrusive_ptr<c10d::Store> store;
  int port = 0;
};

struct Group::Impl {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  at::Device device = at::kCPU;
  int rank = 0;
  int size = 1;
  std::atomic<bool> aborted = false;
};

/// c10's errors carry a stack; people get the first line.
std::string first_line(const std::exception& error);

/// A backend of `size` ranks that meet in `store`.
c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, std::chrono::milliseconds timeout);
/// Throws Error (kUsage) in a program built without CUDA.
c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                            int size, std::chrono::milliseconds timeout);

}  // namespace xp::dist
