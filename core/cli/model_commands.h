#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cli/command.h"

/// The commands that open one checkpoint: predict, embed, import, export. Their compute halves do
/// the work.
namespace xp::cli {

/// Which checkpoint, and what it does not say itself.
struct CheckpointArguments {
  std::string checkpoint;
  std::string arch;
  std::string labels;
  int64_t frames = 0;
  int64_t fstride = 0;
  int64_t tstride = 0;
  std::vector<std::string> set;
  bool loose = false;

  void declare(Arguments& declared, bool required = true);
};

/// Common to what listens to files.
struct ListenArguments {
  std::vector<std::string> inputs;  ///< sound files and folders of them
  std::string device;
  int64_t tome_r = 0;
  int64_t batch = 16;
  std::string precision = "fp32";

  void declare(Arguments& declared);
};

struct PredictCommand final : Command {
  CheckpointArguments source;
  ListenArguments listen;
  int64_t top = 5;
  double window_s = 0;
  double hop_s = 0;
  bool softmax = false;
  std::string trace_merges;

  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

struct EmbedCommand final : Command {
  CheckpointArguments source;
  ListenArguments listen;
  std::string module;
  std::string content = "all";
  std::string out = "embeddings.h5";
  bool timestamps = false;

  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

struct ImportCommand final : Command {
  CheckpointArguments source;
  std::string out;
  bool all = false;

  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

struct ExportCommand final : Command {
  CheckpointArguments source;
  std::string as = "bundle";
  std::string out;

  void declare(Arguments& declared) override;
  int run(Session& session) override;
};

}  // namespace xp::cli
