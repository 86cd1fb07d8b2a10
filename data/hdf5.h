#pragma once

// A thin layer over HDF5's C interface for this folder's .cpp files: owned handles, one-dimensional
// arrays, attributes. Failures throw xp::Error (kData) naming file and object; HDF5 prints nothing.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <hdf5.h>

namespace xp::data::h5 {

/// An HDF5 identifier of any kind; released at the end of its scope.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  ~Handle();
  Handle(Handle&& other) noexcept : id_(other.id_) { other.id_ = -1; }
  Handle& operator=(Handle&& other) noexcept;
  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  void reset();

 private:
  hid_t id_ = -1;
};

/// Stops HDF5 from printing to stderr on this thread, for its scope.
class Quiet {
 public:
  Quiet();
  ~Quiet();
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// How a data set is made: without times, so that the same content is the same bytes.
Handle timeless();

class File {
 public:
  /// Throws Error (kData) for what is no HDF5 file.
  static File open(const std::filesystem::path& path);
  static File create(const std::filesystem::path& path);

  bool has(const std::string& name) const;
  /// Number of elements along the first axis; throws when `name` is absent.
  std::vector<uint64_t> shape(const std::string& name) const;

  /// A whole data set, converted to T: float, double, int32_t, int64_t, uint8_t, uint32_t or
  /// uint64_t.
  template <class T>
  std::vector<T> read(const std::string& name) const;
  /// A one-dimensional data set. Groups on the way are made.
  template <class T>
  void write(const std::string& name, std::span<const T> values);

  /// Strings of any HDF5 kind (fixed or variable length) as text.
  std::vector<std::string> read_strings(const std::string& name) const;
  /// Fixed-length UTF-8, padded with zero bytes.
  void write_strings(const std::string& name, std::span<const std::string> values);

  int64_t read_attribute(const std::string& name) const;
  std::string read_text_attribute(const std::string& name) const;
  void write_attribute(const std::string& name, int64_t value);
  void write_attribute(const std::string& name, std::string_view value);

  /// A contiguous data set of `count` elements of `type`, allocated at once and never filled: its
  /// bytes are written behind HDF5's back. Returns its offset in the file.
  uint64_t reserve(const std::string& name, hid_t type, uint64_t count);
  /// Offset and size in bytes of a contiguous data set; throws when it is stored in another way.
  struct Extent {
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };
  Extent extent(const std::string& name) const;

  hid_t id() const { return file_.get(); }
  void flush_and_close();

  /// The data set, whose values lie in this file. Throws Error (kData) where it is absent, or where
  /// its values would be read from another file.
  Handle open_dataset(const std::string& name) const;

 private:
  File(std::filesystem::path path, Handle file) : path_(std::move(path)), file_(std::move(file)) {}
  [[noreturn]] void fail(std::string_view what, const std::string& name) const;

  std::filesystem::path path_;
  Handle file_;
};

}  // namespace xp::data::h5
