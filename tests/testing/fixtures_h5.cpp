#include <stdexcept>

#include <hdf5.h>

#include "tests/testing/fixtures.h"

namespace xp::testing {
namespace {

/// Closes an HDF5 handle at the end of its scope.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(id), close_(close) {
    if (id < 0) throw std::runtime_error(what + ": HDF5 cannot open it");
  }
  ~Handle() { close_(id_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

Array read_dataset(hid_t file, const std::string& path) {
  const Handle set(H5Dopen2(file, path.c_str(), H5P_DEFAULT), H5Dclose, path);
  const Handle space(H5Dget_space(set), H5Sclose, path);
  const Handle type(H5Dget_type(set), H5Tclose, path);
  Array out;
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> shape(static_cast<size_t>(rank));
  if (rank > 0) H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  out.shape.assign(shape.begin(), shape.end());
  const auto n = static_cast<size_t>(out.size());
  herr_t status = 0;
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_FLOAT && H5Tget_size(type) <= 4) {
    out.f32.resize(n);
    status = H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.f32.data());
  } else if (kind == H5T_FLOAT) {
    out.f64.resize(n);
    status = H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.f64.data());
  } else if (kind == H5T_INTEGER) {
    out.i64.resize(n);
    status = H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.i64.data());
  } else if (kind != H5T_STRING) {
    throw std::runtime_error(path + ": neither integers nor floating point");
  }
  if (status < 0) throw std::runtime_error(path + ": HDF5 cannot read it");
  return out;
}

struct Visit {
  std::vector<std::string> datasets;
};

herr_t collect(hid_t, const char* name, const H5O_info_t* info, void* context) {
  if (info->type == H5O_TYPE_DATASET) static_cast<Visit*>(context)->datasets.emplace_back(name);
  return 0;
}

}  // namespace

std::map<std::string, Array> read_h5(const std::filesystem::path& file) {
  const std::string path = file.string();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, path);
  Visit visit;
  if (H5Ovisit2(handle, H5_INDEX_NAME, H5_ITER_NATIVE, collect, &visit, H5O_INFO_BASIC) < 0) {
    throw std::runtime_error(path + ": HDF5 cannot list it");
  }
  std::map<std::string, Array> out;
  for (const auto& name : visit.datasets) {
    try {
      out.emplace(name, read_dataset(handle, name));
    } catch (const std::exception& error) {
      throw std::runtime_error(path + ": " + error.what());
    }
  }
  return out;
}

void shift_value(const std::filesystem::path& file, const std::string& dataset, int64_t index,
                 double delta) {
  const std::string path = file.string();
  const Handle handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, path);
  Array array = read_dataset(handle, dataset);
  std::vector<double> values = array.values();
  values.at(static_cast<size_t>(index)) += delta;
  const Handle set(H5Dopen2(handle, dataset.c_str(), H5P_DEFAULT), H5Dclose, path);
  if (H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    throw std::runtime_error(path + ": HDF5 cannot write " + dataset);
  }
}

}  // namespace xp::testing
