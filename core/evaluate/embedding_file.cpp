// Rows are kept until they fill a chunk of HDF5, which is deflated once.
#include "core/evaluate/embedding_file.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/hdf5.h"

namespace xp::evaluate {
namespace {

using data::h5::Handle;

constexpr hsize_t kEmbeddingVersion = 1;
constexpr hsize_t kRowsOfAChunk = 256;

/// A data set of rows that grows: [rows] or [rows, width].
class GrowingRows {
 public:
  GrowingRows(hid_t file, const char* name, hid_t stored, hsize_t width) : width_(width) {
    const int axes = width > 0 ? 2 : 1;
    const std::array<hsize_t, 2> none{0, width};
    const std::array<hsize_t, 2> most{H5S_UNLIMITED, width};
    const std::array<hsize_t, 2> chunk{kRowsOfAChunk, width};
    const Handle space(H5Screate_simple(axes, none.data(), most.data()));
    const Handle create(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_obj_track_times(create.get(), false);
    H5Pset_chunk(create.get(), axes, chunk.data());
    H5Pset_shuffle(create.get());
    H5Pset_deflate(create.get(), 1);
    set_ =
        Handle(H5Dcreate2(file, name, stored, space.get(), H5P_DEFAULT, create.get(), H5P_DEFAULT));
    check(static_cast<bool>(set_));
  }

  /// Makes it `rows` long.
  void resize(hsize_t rows) {
    const std::array<hsize_t, 2> shape{rows, width_};
    check(H5Dset_extent(set_.get(), shape.data()) >= 0);
    rows_ = rows;
  }

  /// Appends `count` rows of `type` in memory.
  void append(const void* values, hid_t type, hsize_t count) {
    const std::array<hsize_t, 2> start{rows_, 0};
    const std::array<hsize_t, 2> shape{count, width_};
    resize(rows_ + count);
    const Handle file_space(H5Dget_space(set_.get()));
    const Handle memory_space(H5Screate_simple(width_ > 0 ? 2 : 1, shape.data(), nullptr));
    H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, shape.data(),
                        nullptr);
    check(H5Dwrite(set_.get(), type, memory_space.get(), file_space.get(), H5P_DEFAULT, values) >=
          0);
  }

 private:
  static void check(bool good) {
    if (!good) throw Error("embeddings cannot be written", Exit::kFailed);
  }

  Handle set_;
  hsize_t width_;
  hsize_t rows_ = 0;
};

}  // namespace

struct EmbeddingFile::Impl {
  Impl(const std::filesystem::path& the_file, const std::vector<std::string>& all_ids,
       const std::map<std::string, std::string>& texts)
      : path(the_file), target(the_file), file(data::h5::File::create(target.path())) {
    file.write_attribute("version", static_cast<int64_t>(kEmbeddingVersion));
    file.write_attribute("dataset", "embeddings");
    for (const auto& [name, text] : texts) file.write_attribute(name, text);
    size_t longest = 1;
    for (const std::string& id : all_ids) longest = std::max(longest, id.size());
    id_type = Handle(H5Tcopy(H5T_C_S1));
    H5Tset_size(id_type.get(), longest);
    H5Tset_strpad(id_type.get(), H5T_STR_NULLPAD);
    H5Tset_cset(id_type.get(), H5T_CSET_UTF8);
    id_size = longest;
  }

  int64_t kept() const { return static_cast<int64_t>(ids.size() / id_size); }

  void flush() {
    const auto count = static_cast<hsize_t>(kept());
    if (count == 0) return;
    const data::h5::Quiet quiet;
    id_rows->append(ids.data(), id_type.get(), count);
    value_rows->append(values.data(), H5T_NATIVE_FLOAT, count);
    if (time_rows) time_rows->append(times.data(), H5T_NATIVE_DOUBLE, count);
    written += static_cast<int64_t>(count);
    ids.clear();
    values.clear();
    times.clear();
  }

  std::filesystem::path path;
  AtomicFile target;
  data::h5::File file;
  Handle id_type;
  size_t id_size = 1;
  std::unique_ptr<GrowingRows> id_rows, value_rows, time_rows;
  int64_t width = 0;
  int64_t written = 0;
  std::string ids;  // of the rows that are kept, id_size bytes each
  std::vector<float> values;
  std::vector<double> times;
};

EmbeddingFile::EmbeddingFile(const std::filesystem::path& file, const std::vector<std::string>& ids,
                             const std::map<std::string, std::string>& texts)
    : impl_(std::make_unique<Impl>(file, ids, texts)) {}
EmbeddingFile::~EmbeddingFile() = default;

void EmbeddingFile::append(const std::string& id, std::span<const float> values, int64_t width,
                           std::span<const double> times_ms) {
  Impl& m = *impl_;
  const data::h5::Quiet quiet;
  if (!m.value_rows) {
    m.width = width;
    m.id_rows = std::make_unique<GrowingRows>(m.file.id(), "ids", m.id_type.get(), 0);
    m.value_rows = std::make_unique<GrowingRows>(m.file.id(), "embeddings", H5T_IEEE_F32LE,
                                                 static_cast<hsize_t>(width));
    if (!times_ms.empty())
      m.time_rows = std::make_unique<GrowingRows>(m.file.id(), "times_ms", H5T_IEEE_F64LE, 0);
  }
  XP_CHECK(width == m.width && width > 0 && values.size() % static_cast<size_t>(width) == 0 &&
               id.size() <= m.id_size,
           "rows of one width, of a clip that was named");
  const auto count = static_cast<int64_t>(values.size()) / width;
  std::string padded = id;
  padded.resize(m.id_size, '\0');
  for (int64_t row = 0; row < count; ++row) {
    m.ids += padded;
    const auto first = values.begin() + row * width;
    m.values.insert(m.values.end(), first, first + width);
    if (m.time_rows) m.times.push_back(times_ms[static_cast<size_t>(row)]);
    if (m.kept() == static_cast<int64_t>(kRowsOfAChunk)) m.flush();
  }
}

int64_t EmbeddingFile::rows() const { return impl_->written + impl_->kept(); }
int64_t EmbeddingFile::width() const { return impl_->width; }

void EmbeddingFile::cut(int64_t rows) {
  Impl& m = *impl_;
  if (rows == this->rows()) return;
  m.flush();
  const data::h5::Quiet quiet;
  for (const auto* set : {&m.id_rows, &m.value_rows, &m.time_rows})
    if (*set) (*set)->resize(static_cast<hsize_t>(rows));
  m.written = rows;
}

void EmbeddingFile::commit() {
  try {
    impl_->flush();
    impl_->id_rows.reset();
    impl_->value_rows.reset();
    impl_->time_rows.reset();
    impl_->file.flush_and_close();
    impl_->target.commit();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", impl_->path.string(), error.message()), Exit::kFailed);
  }
}

}  // namespace xp::evaluate
