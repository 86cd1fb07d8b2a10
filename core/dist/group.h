#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace xp::dist {

/// Where the ranks of a job find each other: small texts by key.
class Rendezvous {
 public:
  /// For ranks that are threads of this process.
  static std::shared_ptr<Rendezvous> in_process();
  /// A server on a free port of this machine (`port` 0) or on a given one; this process is a client
  /// too.
  static std::shared_ptr<Rendezvous> serve(const std::string& host, int port = 0);
  /// A client. Waits up to `timeout` for the server. Throws Error (kFailed) naming the address.
  static std::shared_ptr<Rendezvous> join(const std::string& host, int port,
                                          std::chrono::seconds timeout = std::chrono::seconds(120));

  ~Rendezvous();
  int port() const;  ///< of the server; 0 in process
  /// Returns when every rank that looks from now on finds it. Throws Error (kFailed) when the
  /// server is gone.
  void set(const std::string& key, std::string_view text);
  /// Nullopt while nobody has set it. Throws Error (kFailed) when the server is gone.
  std::optional<std::string> look(const std::string& key);

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Rendezvous(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// One rank's end of a group of equal processes (or threads, in tests). Collective calls have to be
/// made by every rank in the same order, from one thread a rank. They block until they are done,
/// and throw Error (kFailed) when a rank is gone or `timeout` is over.
class Group {
 public:
  /// gloo for tensors on the CPU, NCCL for those on a GPU. Several groups of one rendezvous have
  /// different names.
  static std::unique_ptr<Group> make(Rendezvous& rendezvous, const std::string& name, int rank,
                                     int size, at::Device device,
                                     std::chrono::seconds timeout = std::chrono::seconds(600));
  ~Group();

  int rank() const;
  int size() const;
  bool first() const { return rank() == 0; }

  /// Sum over ranks, in place. Bits are the same on every rank.
  void sum(at::Tensor& tensor);
  /// Rank 0's values everywhere, in place.
  void broadcast(at::Tensor& tensor);
  /// Rows of all ranks, in order of rank: [sum of n_r, ...]. Ranks may bring different numbers of
  /// rows.
  at::Tensor gather_rows(const at::Tensor& rows);
  /// True on every rank as soon as one rank says true.
  bool any(bool mine);
  void barrier();

  /// From any thread: a rank is gone. Calls that wait for it, which could do so until the timeout,
  /// end: gloo's throw, NCCL's kernels end without a result. Later calls throw, as does `check`.
  void abort();
  /// Throws Error (kFailed) after `abort`. To be called where a result of a collective call has
  /// reached the CPU, before it is used.
  void check() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Group(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Sum over the ranks of a group, through which gradients flow: each rank's part of what follows
/// from it comes back to all of them. Backward passes have to reach it in the same order on every
/// rank.
at::Tensor differentiable_sum(Group& group, const at::Tensor& mine);

/// When gradients are averaged: while backward still runs (LibTorch's Reducer, pinned to its
/// version), or after it. The Reducer watches the graph of the loss, so it cannot be used where
/// blocks are recomputed in graphs of their own.
enum class Averaging { kMeanwhile, kAfterwards };

/// Averages gradients over the ranks.
///
///   reducer.begin();         // before the forward pass whose gradients are to be averaged
///   loss = ...;
///   reducer.backward(loss);
///
/// An ordinary backward pass only accumulates locally, so with accumulation the last micro-batch
/// alone pays for communication. After `backward`, gradients hold the mean over ranks of what each
/// rank has accumulated.
class GradientReducer {
 public:
  /// `parameters`: the same list on every rank; their values are made rank 0's. Buckets of
  /// `bucket_mb`.
  GradientReducer(Group& group, const std::vector<at::Tensor>& parameters,
                  Averaging when = Averaging::kMeanwhile, double bucket_mb = 25);
  ~GradientReducer();

  void begin();
  /// Parameters that `loss` does not lead to count as zero. Throws Error (kFailed) "... another
  /// rank is gone ..." when the connection is lost.
  void backward(const at::Tensor& loss);

  int64_t buckets() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::dist
