#include "core/evaluate/score_file.h"

#include <array>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "data/hdf5.h"

namespace xp::evaluate {
namespace {

namespace fs = std::filesystem;
using data::h5::File;
using data::h5::Handle;

constexpr int64_t kLogitsVersion = 1;
constexpr hsize_t kChunkRows = 1024;

/// A float32 matrix in chunks of rows, deflated: scores of real models shrink by a third.
void write_matrix(const File& file, const std::string& name, const std::vector<float>& values,
                  hsize_t rows, hsize_t width) {
  const std::array<hsize_t, 2> shape{rows, width};
  const Handle space(H5Screate_simple(2, shape.data(), nullptr));
  const Handle create = data::h5::timeless();
  if (rows > 0 && width > 0) {
    const std::array<hsize_t, 2> chunk{std::min(rows, kChunkRows), width};
    H5Pset_chunk(create.get(), 2, chunk.data());
    H5Pset_shuffle(create.get());
    H5Pset_deflate(create.get(), 1);
  }
  const Handle set(H5Dcreate2(file.id(), name.c_str(), H5T_IEEE_F32LE, space.get(), H5P_DEFAULT,
                              create.get(), H5P_DEFAULT));
  if (!set ||
      H5Dwrite(set.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    throw Error(fmt::format("cannot write {}", name), Exit::kFailed);
}

void write_number(const File& file, const std::string& name, double value) {
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle attribute(
      H5Acreate2(file.id(), name.c_str(), H5T_IEEE_F64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute || H5Awrite(attribute.get(), H5T_NATIVE_DOUBLE, &value) < 0)
    throw Error(fmt::format("cannot write {}", name), Exit::kFailed);
}

struct AttributeNames {
  std::vector<std::string> texts, numbers;
};

herr_t collect(hid_t object, const char* name, const H5A_info_t*, void* data) {
  auto& names = *static_cast<AttributeNames*>(data);
  const Handle attribute(H5Aopen(object, name, H5P_DEFAULT));
  const Handle type(H5Aget_type(attribute.get()));
  if (H5Tget_class(type.get()) == H5T_STRING) names.texts.emplace_back(name);
  if (H5Tget_class(type.get()) == H5T_FLOAT) names.numbers.emplace_back(name);
  return 0;
}

double read_number(const File& file, const std::string& name) {
  const Handle attribute(H5Aopen(file.id(), name.c_str(), H5P_DEFAULT));
  double value = 0;
  if (!attribute || H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value) < 0)
    throw Error(fmt::format("cannot read {}", name), Exit::kData);
  return value;
}

}  // namespace

void write_scores(const fs::path& path, const ScoreFile& scores) {
  const auto rows = static_cast<hsize_t>(scores.ids.size());
  const auto width = static_cast<hsize_t>(scores.width);
  XP_CHECK(scores.values.size() == rows * width, "scores must be [rows, width]");
  const data::h5::Quiet quiet;
  AtomicFile target(path);
  try {
    File file = File::create(target.path());
    file.write_attribute("version", kLogitsVersion);
    file.write_attribute("dataset", scores.dataset);
    for (const auto& [name, text] : scores.texts) file.write_attribute(name, text);
    for (const auto& [name, number] : scores.numbers) write_number(file, name, number);
    file.write_strings("ids", scores.ids);
    if (!scores.class_ids.empty()) {
      file.write_strings("class_ids", scores.class_ids);
      file.write_strings("class_names", scores.class_names);
    }
    write_matrix(file, scores.dataset, scores.values, rows, width);
    if (!scores.targets.empty()) write_matrix(file, "targets", scores.targets, rows, width);
    if (!scores.times_ms.empty()) file.write<double>("times_ms", scores.times_ms);
    if (!scores.mask.empty()) write_matrix(file, "mask", scores.mask, rows, width);
    file.flush_and_close();
    target.commit();
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", path.string(), error.message()), Exit::kFailed);
  }
}

ScoreFile read_scores(const fs::path& path) {
  const data::h5::Quiet quiet;
  const File file = File::open(path);
  if (file.read_attribute("version") != kLogitsVersion)
    throw Error(fmt::format("{}: written by a newer version of exp", path.string()), Exit::kData);
  ScoreFile scores;
  scores.dataset = file.read_text_attribute("dataset");
  scores.ids = file.read_strings("ids");
  if (file.has("class_ids")) {
    scores.class_ids = file.read_strings("class_ids");
    scores.class_names = file.read_strings("class_names");
  }
  const std::vector<uint64_t> shape = file.shape(scores.dataset);
  if (shape.size() != 2 || shape[0] != scores.ids.size())
    throw Error(
        fmt::format("{}: {} is not [{}, width]", path.string(), scores.dataset, scores.ids.size()),
        Exit::kData);
  scores.width = static_cast<int64_t>(shape[1]);
  scores.values = file.read<float>(scores.dataset);
  if (file.has("targets")) scores.targets = file.read<float>("targets");
  if (file.has("mask")) scores.mask = file.read<float>("mask");
  if (file.has("times_ms")) scores.times_ms = file.read<double>("times_ms");
  AttributeNames names;
  hsize_t at = 0;
  H5Aiterate2(file.id(), H5_INDEX_NAME, H5_ITER_INC, &at, &collect, &names);
  for (const std::string& name : names.texts)
    if (name != "dataset") scores.texts[name] = file.read_text_attribute(name);
  for (const std::string& name : names.numbers) scores.numbers[name] = read_number(file, name);
  return scores;
}

}  // namespace xp::evaluate
