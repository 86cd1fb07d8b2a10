#include "data/blobs.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "data/hdf5.h"

namespace xp::data {

struct BlobFile::Impl {
  std::string path;
  std::string name;
  std::optional<h5::File> file;
  h5::Handle dataset;
};

BlobFile::BlobFile() : impl_(std::make_unique<Impl>()) {}
BlobFile::~BlobFile() = default;
BlobFile::BlobFile(BlobFile&&) noexcept = default;

std::optional<std::string> BlobFile::read(const BlobSource& source, std::vector<std::byte>& bytes) {
  const h5::Quiet quiet;
  if (!impl_->file || impl_->path != source.file || impl_->name != source.dataset) {
    impl_->dataset.reset();
    impl_->file.reset();
    try {
      impl_->file = h5::File::open(source.file);
      impl_->dataset = impl_->file->open_dataset(source.dataset);
    } catch (const Error& error) {
      return error.message();
    }
    impl_->path = source.file;
    impl_->name = source.dataset;
  }
  const h5::Handle stored(H5Dget_type(impl_->dataset.get()));
  if (H5Tget_class(stored.get()) != H5T_VLEN) return "not rows of bytes";
  const h5::Handle space(H5Dget_space(impl_->dataset.get()));
  hsize_t row = static_cast<hsize_t>(source.row);
  const hsize_t one = 1;
  hsize_t rows = 0;
  if (H5Sget_simple_extent_ndims(space.get()) != 1 ||
      H5Sget_simple_extent_dims(space.get(), &rows, nullptr) != 1 || row >= rows) {
    return "no such row";
  }
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &row, nullptr, &one, nullptr);
  const h5::Handle memory(H5Screate_simple(1, &one, nullptr));
  const h5::Handle type(H5Tvlen_create(H5T_NATIVE_UINT8));
  hvl_t blob{};
  if (H5Dread(impl_->dataset.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, &blob) <
      0) {
    return "cannot be read from its HDF5 file";
  }
  bytes.resize(blob.len);
  if (blob.len > 0) std::memcpy(bytes.data(), blob.p, blob.len);
  H5Dvlen_reclaim(type.get(), memory.get(), H5P_DEFAULT, &blob);
  return std::nullopt;
}

}  // namespace xp::data
