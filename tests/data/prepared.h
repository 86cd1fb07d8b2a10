#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/digest.h"
#include "core/schema/dataset.h"
#include "core/schema/sampler.h"
#include "core/schema/stage_options.h"
#include "data/loader.h"
#include "data/prepare.h"
#include "data/shard.h"

namespace xp::data::testing {

/// A small synthetic set.
inline schema::DatasetOptions synthetic(int64_t clips, double clip_s = 0.5, int64_t classes = 10) {
  auto options = schema::DatasetOptions::of_kind(schema::DatasetName::kSynthetic);
  options.clips = clips;
  options.clip_s = clip_s;
  options.classes = classes;
  return options;
}

/// Prepares into `folder` (made when absent) and opens the result.
inline std::shared_ptr<const ShardReader> prepare_to(const std::filesystem::path& folder,
                                                     const schema::DatasetOptions& dataset,
                                                     int64_t rate_hz = 16000, int threads = 2) {
  std::filesystem::create_directories(folder);
  schema::PrepareOptions options;
  options.dataset = dataset;
  options.rate_hz = rate_hz;
  PrepareJob job;
  job.output = folder;
  job.threads = threads;
  prepare(options, job);
  return std::make_shared<const ShardReader>(folder);
}

/// File name -> digest of what a folder holds, but for the manifest, which says who made it when.
inline std::map<std::string, std::string> content(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != "manifest.json") out[name] = sha256_file(entry.path());
  }
  return out;
}

}  // namespace xp::data::testing
