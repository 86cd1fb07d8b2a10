#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/clip.h"

namespace xp::data {

/// Rows of bytes out of HDF5 files; keeps the last file open. One per thread.
class BlobFile {
 public:
  BlobFile();
  ~BlobFile();
  BlobFile(BlobFile&&) noexcept;

  /// The row's bytes into `bytes`; returns why that was not possible.
  std::optional<std::string> read(const BlobSource& source, std::vector<std::byte>& bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace xp::data
