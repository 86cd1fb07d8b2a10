#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xp::data {

/// One array of NumPy's .npy format, in C order: numbers, or texts. Objects have to be plain texts;
/// nothing of their pickle is carried out.
struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<double> numbers;     ///< of floats, integers and booleans
  std::vector<std::string> texts;  ///< of texts, UTF-8

  int64_t size() const;
};

/// Parses the bytes of a .npy file; `name` is for messages. Throws Error (kData) where they are
/// damaged, of another dtype than <f8, <f4, <i8, <i4, i1, u1, b1, U, S or O, or in Fortran's order.
NpyArray parse_npy(std::string_view name, std::span<const std::byte> bytes);

/// Arrays of an .npz file, stored or compressed, in the order of `names`. Throws Error (kData).
std::vector<NpyArray> read_npz(const std::filesystem::path& file,
                               const std::vector<std::string>& names);

}  // namespace xp::data
