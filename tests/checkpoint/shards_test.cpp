// A state dict in several files and its index.
#include <cstring>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/checkpoint/archive.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::checkpoint {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// Tensor -> shard; each tensor is one number, its place in the map.
using Layout = std::map<std::string, std::string>;
const Layout kLayout = {{"a", "one.safetensors"}, {"b", "two.pth"}, {"c", "one.safetensors"}};

void write(const fs::path& folder, const Layout& layout, const json& index,
           const std::string& name = "model.safetensors.index.json") {
  std::map<std::string, Archive> shards;
  float value = 0;
  for (const auto& [tensor, shard] : layout) {
    shards[shard].add(tensor, Dtype::kF32, {1}, std::as_bytes(std::span(&value, 1)));
    ++value;
  }
  for (const auto& [shard, archive] : shards) {
    if (shard.ends_with(".pth")) {
      archive.write_torch(folder / shard);
    } else {
      archive.write_safetensors(folder / shard);
    }
  }
  testing::put(folder / name, index.dump());
}

std::string refusal_of_folder(const fs::path& path) {
  try {
    (void)Archive::open(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::kData);
    return error.message();
  }
  return "";
}

TEST(Shards, AreOneStateDict) {
  const testing::TempDir dir;
  write(dir.path(), kLayout, {{"metadata", {{"total_size", 12}}}, {"weight_map", kLayout}});
  for (const fs::path& path : {dir.path(), dir / "model.safetensors.index.json"}) {
    const Archive whole = Archive::open(path);
    EXPECT_EQ(whole.format(), "shards");
    ASSERT_EQ(whole.entries().size(), kLayout.size());
    float want = 0;
    for (const auto& [tensor, shard] : kLayout) {
      float got = -1;
      ASSERT_NE(whole.find(tensor), nullptr);
      std::memcpy(&got, whole.find(tensor)->bytes.data(), sizeof got);
      EXPECT_EQ(got, want++) << tensor;
    }
  }
}

TEST(Shards, AnIndexOfAnyNameIsFoundAlone) {
  const testing::TempDir dir;
  write(dir.path(), kLayout, {{"weight_map", kLayout}}, "mine.index.json");
  EXPECT_EQ(checkpoint_in(dir.path()), dir / "mine.index.json");
  testing::put(dir / "yours.index.json", "{}");
  EXPECT_EQ(checkpoint_in(dir.path()), std::nullopt);
  testing::put(dir / "pytorch_model.bin", "");
  EXPECT_EQ(checkpoint_in(dir.path()), dir / "pytorch_model.bin");
}

TEST(Shards, WhatIsMissingIsNamed) {
  const testing::TempDir dir;
  const auto error = [&](const Layout& layout, const json& index) {
    write(dir.path(), layout, index);
    return refusal_of_folder(dir.path());
  };
  Layout more = kLayout;
  more["d"] = "three.safetensors";
  EXPECT_EQ(error(kLayout, {{"weight_map", more}}), "the shard 'three.safetensors' is not there");
  more["d"] = "two.pth";
  EXPECT_EQ(error(kLayout, {{"weight_map", more}}), "tensor 'd' is not in its shard 'two.pth'");
  EXPECT_EQ(error(more, {{"weight_map", kLayout}}), "it does not know 'd' of the shard 'two.pth'");
  EXPECT_EQ(error(kLayout, {{"a", 1}}), "no index of shards: it has no weight_map");
  EXPECT_EQ(error(kLayout, {{"weight_map", json::object()}}), "its weight_map is empty");
  for (const char* outside : {"../one.safetensors", "/etc/passwd", "", "x/y", ".."}) {
    EXPECT_EQ(error(kLayout, {{"weight_map", {{"a", outside}}}}),
              "the shard of 'a' is no name of a file beside the index")
        << outside;
  }
  testing::put(dir / "model.safetensors.index.json", "{");
  EXPECT_EQ(refusal_of_folder(dir.path()), "no index of shards: it has no weight_map");
}

}  // namespace
}  // namespace xp::checkpoint
