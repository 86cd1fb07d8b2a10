#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/base/files.h"
#include "core/cli/command.h"
#include "core/cli/data.h"
#include "core/schema/sections.h"
#include "data/shard.h"

namespace xp::cli {

/// The data of one stage of a recipe, as the stage will read it.
struct ChosenData {
  run::Workspace workspace;
  std::string stage;                       ///< whose
  std::string how_to_prepare;              ///< a command, for messages
  std::filesystem::path prepared;          ///< folder of the shards; empty = not prepared yet
  std::shared_ptr<const FileLock> in_use;  ///< no gc takes them away meanwhile
  schema::DatasetOptions dataset;
  schema::FrontendOptions frontend;
  schema::ModelOptions model;      ///< without an architecture for a stage that has none
  schema::AugmentOptions augment;  ///< all off for a stage that does not train
  schema::SamplerOptions sampler;
  int64_t batch_size = 16;
  schema::Loss loss = schema::Loss::kBce;
  uint64_t seed = 0;

  /// Throws Error (kData) with the command that prepares the data when that has not been done.
  std::shared_ptr<const data::ShardReader> open() const;
};

/// Plans the recipe and takes the stage that the user named, else the first that trains, else the
/// first that reads audio.
ChosenData choose_data(const DataArguments& arguments, const Session& session);

int data_stats(const DataArguments& arguments, const Session& session);
int data_verify(const DataArguments& arguments, const Session& session);
int data_show(const DataArguments& arguments, const Session& session);
int data_convert(const DataArguments& arguments, const Session& session);
int data_missing(const DataArguments& arguments, const Session& session);

}  // namespace xp::cli
