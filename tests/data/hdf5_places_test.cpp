// HDF5 files of others: values that they would have read from another file are refused; files of
// ours are the same bytes each time.
#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "data/blobs.h"
#include "data/decode.h"
#include "data/hdf5.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;

constexpr hsize_t kValues = 8;

std::string refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

class Hdf5Places : public ::testing::Test {
 protected:
  Hdf5Places() {
    xp::testing::put(secret_, std::string(kValues, 'x'));
    const h5::Handle file(H5Fcreate(file_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    const h5::Handle space(H5Screate_simple(1, &kValues, nullptr));
    const h5::Handle outside(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_external(outside.get(), secret_.c_str(), 0, kValues);
    h5::Handle(H5Dcreate2(file.get(), "external", H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                          outside.get(), H5P_DEFAULT));
    const h5::Handle own(H5Dcreate2(file.get(), "own", H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                                    H5P_DEFAULT, H5P_DEFAULT));
    const std::array<uint8_t, kValues> values{1, 2, 3, 4, 5, 6, 7, 8};
    H5Dwrite(own.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    const h5::Handle other(H5Fcreate(other_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    h5::Handle(H5Dcreate2(other.get(), "there", H5T_STD_U8LE, space.get(), H5P_DEFAULT, H5P_DEFAULT,
                          H5P_DEFAULT));
    H5Lcreate_external(other_.c_str(), "there", file.get(), "linked", H5P_DEFAULT, H5P_DEFAULT);
    const h5::Handle pieces(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_virtual(pieces.get(), space.get(), other_.c_str(), "there", space.get());
    h5::Handle(H5Dcreate2(file.get(), "virtual", H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                          pieces.get(), H5P_DEFAULT));
  }

  xp::testing::TempDir dir_;
  fs::path file_ = dir_ / "f.h5", other_ = dir_ / "other.h5", secret_ = dir_ / "secret";
};

TEST_F(Hdf5Places, ValuesOfOtherFilesAreRefused) {
  const h5::File file = h5::File::open(file_);
  EXPECT_EQ(file.read<uint8_t>("own"), (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  for (const char* name : {"external", "linked", "virtual"}) {
    EXPECT_EQ(refusal([&] { file.read<uint8_t>(name); }),
              file_.string() + ": the bytes of another file are named as those of '" + name + "'");
    EXPECT_NE(refusal([&] { file.shape(name); }), "") << name;
    std::vector<std::byte> bytes;
    const auto problem = BlobFile().read({file_.string(), name, 0}, bytes);
    ASSERT_TRUE(problem) << name;
    EXPECT_NE(problem->find("another file"), std::string::npos) << *problem;
  }
}

TEST_F(Hdf5Places, NothingWaitsForAPipe) {
  const fs::path pipe = dir_ / "pipe.wav";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_NE(refusal([&] { h5::File::open(pipe); }).find("it is a pipe"), std::string::npos);
  for (const std::string& file : {pipe.string(), std::string("/dev/zero")}) {
    Decoder decoder({.rate_hz = 16000});
    EXPECT_EQ(decoder.read(FileSource{file}).problem, "not a regular file") << file;
  }
}

TEST_F(Hdf5Places, DataSetsHaveNoTimes) {
  {
    h5::File file = h5::File::create(dir_ / "ours.h5");
    const std::vector<float> values = {1, 2, 3};
    file.write<float>("group/values", values);
    file.write_strings("ids", std::vector<std::string>{"a", "b"});
    file.flush_and_close();
  }
  const h5::File file = h5::File::open(dir_ / "ours.h5");
  for (const char* name : {"group/values", "ids"}) {
    H5O_info_t info{};
    ASSERT_GE(H5Oget_info(file.open_dataset(name).get(), &info), 0);
    EXPECT_EQ(info.ctime, 0) << name;
    EXPECT_EQ(info.mtime, 0) << name;
  }
}

}  // namespace
}  // namespace xp::data
