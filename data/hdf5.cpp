#include "data/hdf5.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"

namespace xp::data::h5 {
namespace {

constexpr uint64_t kMostElements = uint64_t{1}
                                   << 36U;  // a damaged header must not ask for the moon

template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, int16_t>) return H5T_NATIVE_INT16;
  if constexpr (std::is_same_v<T, int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, uint32_t>) return H5T_NATIVE_UINT32;
  if constexpr (std::is_same_v<T, uint64_t>) return H5T_NATIVE_UINT64;
}

/// Little-endian on disk, whatever the machine.
template <class T>
hid_t file_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, int8_t>) return H5T_STD_I8LE;
  if constexpr (std::is_same_v<T, int16_t>) return H5T_STD_I16LE;
  if constexpr (std::is_same_v<T, int32_t>) return H5T_STD_I32LE;
  if constexpr (std::is_same_v<T, int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::is_same_v<T, uint32_t>) return H5T_STD_U32LE;
  if constexpr (std::is_same_v<T, uint64_t>) return H5T_STD_U64LE;
}

Handle group_maker() {
  Handle properties(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(properties.get(), 1);
  return properties;
}

uint64_t elements(const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (const uint64_t n : shape) {
    if (n != 0 && count > kMostElements / n) return kMostElements + 1;
    count *= n;
  }
  return count;
}

/// A damaged header must not ask for more memory than the file can fill: what is stored plainly is
/// stored whole, and compression gains no more than a factor of a thousand.
bool plausible(const Handle& dataset, uint64_t count, uint64_t width) {
  if (count == 0) return true;
  if (count > kMostElements || width == 0 || count > kMostElements / width) return false;
  hsize_t file_bytes = 0;
  const Handle file(H5Iget_file_id(dataset.get()));
  if (H5Fget_filesize(file.get(), &file_bytes) < 0) return false;
  const Handle properties(H5Dget_create_plist(dataset.get()));
  const uint64_t gain = H5Pget_layout(properties.get()) == H5D_CHUNKED ? 1000 : 1;
  return count * width / gain <= file_bytes && H5Dget_storage_size(dataset.get()) > 0;
}

/// True where a file names another one, any that its author likes, as the place of its values: by
/// external raw storage, as a virtual data set, or through an external link.
bool is_elsewhere(hid_t file, const Handle& dataset) {
  const auto holder = [](hid_t object) {
    std::string name(static_cast<size_t>(std::max<ssize_t>(0, H5Fget_name(object, nullptr, 0))),
                     ' ');
    H5Fget_name(object, name.data(), name.size() + 1);
    return name;
  };
  const Handle properties(H5Dget_create_plist(dataset.get()));
  return holder(file) != holder(dataset.get()) || H5Pget_external_count(properties.get()) > 0 ||
         H5Pget_layout(properties.get()) == H5D_VIRTUAL;
}

}  // namespace

Handle timeless() {
  Handle properties(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_obj_track_times(properties.get(), false);
  return properties;
}

Handle::~Handle() { reset(); }

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) {
    reset();
    id_ = std::exchange(other.id_, -1);
  }
  return *this;
}

void Handle::reset() {
  if (id_ >= 0) {
    const Quiet quiet;
    H5Idec_ref(id_);
  }
  id_ = -1;
}

Quiet::Quiet() {
  // Every handle is closed by its owner; HDF5's own clean-up at exit loops over what a damaged file
  // left.
  [[maybe_unused]] static const herr_t once = H5dont_atexit();
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Quiet::~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

void File::fail(std::string_view what, const std::string& name) const {
  throw Error(fmt::format("{}: {} '{}'", path_.string(), what, name), Exit::kData);
}

File File::open(const std::filesystem::path& path) {
  require_regular_file(path);
  const Quiet quiet;
  Handle access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (!file) throw Error(fmt::format("{}: not a readable HDF5 file", path.string()), Exit::kData);
  return {path, std::move(file)};
}

File File::create(const std::filesystem::path& path) {
  const Quiet quiet;
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  if (!file) throw Error(fmt::format("cannot write {}", path.string()), Exit::kFailed);
  return {path, std::move(file)};
}

bool File::has(const std::string& name) const {
  const Quiet quiet;
  for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
    if (at > 0 && H5Lexists(id(), name.substr(0, at).c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return H5Lexists(id(), name.c_str(), H5P_DEFAULT) > 0;
}

Handle File::open_dataset(const std::string& name) const {
  const Quiet quiet;
  Handle dataset(H5Dopen2(id(), name.c_str(), H5P_DEFAULT));
  if (!dataset) fail("has no data set", name);
  if (is_elsewhere(id(), dataset)) fail("the bytes of another file are named as those of", name);
  return dataset;
}

std::vector<uint64_t> File::shape(const std::string& name) const {
  const Quiet quiet;
  const Handle dataset = open_dataset(name);
  const Handle space(H5Dget_space(dataset.get()));
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 0) fail("cannot read the shape of", name);
  std::vector<hsize_t> sizes(static_cast<size_t>(rank));
  H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr);
  return {sizes.begin(), sizes.end()};
}

template <class T>
std::vector<T> File::read(const std::string& name) const {
  const Quiet quiet;
  const uint64_t count = elements(shape(name));
  const Handle dataset = open_dataset(name);
  const Handle type(H5Dget_type(dataset.get()));
  const H5T_class_t kind = H5Tget_class(type.get());
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) fail("no numbers in", name);
  if (!plausible(dataset, count, H5Tget_size(type.get()))) fail("implausible size of", name);
  std::vector<T> values(count);
  if (count > 0 &&
      H5Dread(dataset.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    fail("cannot read", name);
  }
  return values;
}

template <class T>
void File::write(const std::string& name, std::span<const T> values) {
  const Quiet quiet;
  const hsize_t count = values.size();
  const Handle space(H5Screate_simple(1, &count, nullptr));
  const Handle links = group_maker();
  const Handle dataset(H5Dcreate2(id(), name.c_str(), file_type<T>(), space.get(), links.get(),
                                  timeless().get(), H5P_DEFAULT));
  if (!dataset) fail("cannot write", name);
  if (count > 0 &&
      H5Dwrite(dataset.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    fail("cannot write", name);
  }
}

#define XP_H5_TYPE(T)                                                   \
  template std::vector<T> File::read<T>(const std::string& name) const; \
  template void File::write<T>(const std::string& name, std::span<const T> values);
XP_H5_TYPE(float)
XP_H5_TYPE(double)
XP_H5_TYPE(int8_t)
XP_H5_TYPE(int16_t)
XP_H5_TYPE(int32_t)
XP_H5_TYPE(int64_t)
XP_H5_TYPE(uint8_t)
XP_H5_TYPE(uint32_t)
XP_H5_TYPE(uint64_t)
#undef XP_H5_TYPE

std::vector<std::string> File::read_strings(const std::string& name) const {
  const Quiet quiet;
  const uint64_t count = elements(shape(name));
  const Handle dataset = open_dataset(name);
  const Handle type(H5Dget_type(dataset.get()));
  if (H5Tget_class(type.get()) != H5T_STRING) fail("no strings in", name);
  const uint64_t width = H5Tget_size(type.get());
  if (!plausible(dataset, count, width)) fail("implausible size of", name);
  std::vector<std::string> out;
  out.reserve(count);
  if (H5Tis_variable_str(type.get()) > 0) {
    std::vector<char*> pointers(count, nullptr);
    if (count > 0 &&
        H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0) {
      fail("cannot read", name);
    }
    for (const char* text : pointers) out.emplace_back(text == nullptr ? "" : text);
    const Handle space(H5Dget_space(dataset.get()));
    H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
    return out;
  }
  std::string bytes(count * width, '\0');
  if (count > 0 &&
      H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0) {
    fail("cannot read", name);
  }
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view cell(bytes.data() + i * width, width);
    out.emplace_back(cell.substr(0, std::min(cell.find('\0'), cell.size())));
  }
  return out;
}

void File::write_strings(const std::string& name, std::span<const std::string> values) {
  const Quiet quiet;
  size_t width = 1;
  for (const std::string& value : values) width = std::max(width, value.size());
  std::string bytes(width * values.size(), '\0');
  for (size_t i = 0; i < values.size(); ++i) values[i].copy(bytes.data() + i * width, width);
  const Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), width);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const hsize_t count = values.size();
  const Handle space(H5Screate_simple(1, &count, nullptr));
  const Handle links = group_maker();
  const Handle dataset(H5Dcreate2(id(), name.c_str(), type.get(), space.get(), links.get(),
                                  timeless().get(), H5P_DEFAULT));
  if (!dataset) fail("cannot write", name);
  if (count > 0 &&
      H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0) {
    fail("cannot write", name);
  }
}

int64_t File::read_attribute(const std::string& name) const {
  const Quiet quiet;
  const Handle attribute(H5Aopen(id(), name.c_str(), H5P_DEFAULT));
  int64_t value = 0;
  if (!attribute || H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
    fail("has no number attribute", name);
  return value;
}

std::string File::read_text_attribute(const std::string& name) const {
  const Quiet quiet;
  const Handle attribute(H5Aopen(id(), name.c_str(), H5P_DEFAULT));
  if (!attribute) fail("has no text attribute", name);
  const Handle type(H5Aget_type(attribute.get()));
  const size_t size = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) > 0 ||
      size > (1U << 20U) || H5Aget_storage_size(attribute.get()) != size) {
    fail("has no text attribute", name);
  }
  std::string text(size, '\0');
  if (H5Aread(attribute.get(), type.get(), text.data()) < 0) fail("has no text attribute", name);
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

void File::write_attribute(const std::string& name, int64_t value) {
  const Quiet quiet;
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle attribute(
      H5Acreate2(id(), name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute || H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
    fail("cannot write", name);
}

void File::write_attribute(const std::string& name, std::string_view value) {
  const Quiet quiet;
  const std::string text(value.empty() ? std::string_view("\0", 1) : value);
  const Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), text.size());
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle attribute(
      H5Acreate2(id(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute || H5Awrite(attribute.get(), type.get(), text.data()) < 0)
    fail("cannot write", name);
}

uint64_t File::reserve(const std::string& name, hid_t type, uint64_t count) {
  const Quiet quiet;
  const hsize_t size = count;
  const Handle space(H5Screate_simple(1, &size, nullptr));
  const Handle properties = timeless();
  H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
  const Handle links = group_maker();
  const Handle dataset(H5Dcreate2(id(), name.c_str(), type, space.get(), links.get(),
                                  properties.get(), H5P_DEFAULT));
  if (!dataset) fail("cannot write", name);
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (count > 0 && offset == HADDR_UNDEF) fail("cannot place", name);
  return count > 0 ? offset : 0;
}

File::Extent File::extent(const std::string& name) const {
  const Quiet quiet;
  const Handle dataset = open_dataset(name);
  const Handle properties(H5Dget_create_plist(dataset.get()));
  if (H5Pget_layout(properties.get()) != H5D_CONTIGUOUS) fail("not stored contiguously:", name);
  const Handle type(H5Dget_type(dataset.get()));
  const uint64_t count = elements(shape(name));
  const uint64_t width = H5Tget_size(type.get());
  if (count > kMostElements || width == 0 || width > 8) fail("implausible size of", name);
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (count > 0 && offset == HADDR_UNDEF) fail("nothing is stored for", name);
  return {count > 0 ? offset : 0, count * width};
}

void File::flush_and_close() {
  const Quiet quiet;
  if (H5Fflush(id(), H5F_SCOPE_GLOBAL) < 0)
    throw Error(fmt::format("cannot write {}", path_.string()), Exit::kFailed);
  file_.reset();
}

}  // namespace xp::data::h5
