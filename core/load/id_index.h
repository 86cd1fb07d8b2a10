#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Files that other projects use for precomputed logits; torch-free.
namespace xp::load {

/// An .npy file of a float16, float32 or float64 matrix in C order, as float32.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;
};
/// Throws Error (kData) naming the file and what is wrong.
Matrix read_npy(const std::filesystem::path& file);

/// id -> row from a pickled dict of texts to integers (.pkl), or a CSV with `id,row` lines. Throws
/// Error (kData), also for an id that stands there twice.
std::unordered_map<std::string, int64_t> read_id_index(const std::filesystem::path& file);

/// The names under which a clip of ours may stand in such an index: its id, the id without a
/// leading Y and without an extension, the last part of its path.
std::vector<std::string> id_candidates(std::string_view id);

}  // namespace xp::load
