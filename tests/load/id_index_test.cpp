#include "core/load/id_index.h"

#include <cstring>
#include <fstream>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"

namespace xp::load {
namespace {

using xp::testing::TempDir;

void write_npy(const std::filesystem::path& file, const std::string& header,
               const std::string& data) {
  std::ofstream out(file, std::ios::binary);
  const auto length = static_cast<uint16_t>(header.size());
  out << "\x93NUMPY" << '\x01' << '\0';
  out.write(reinterpret_cast<const char*>(&length), 2);
  out << header << data;
}

TEST(ReadNpy, TypesAndFaults) {
  const TempDir folder;
  const std::vector<float> values{1.5F, -2, 3, 0.25F, 5, 6};
  const std::string bytes(reinterpret_cast<const char*>(values.data()), 24);
  write_npy(folder / "ok.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
            bytes);
  const Matrix matrix = read_npy(folder / "ok.npy");
  EXPECT_EQ(matrix.rows, 2);
  EXPECT_EQ(matrix.columns, 3);
  EXPECT_EQ(matrix.values, values);
  const uint16_t halves[] = {0x3C00, 0xC000, 0x7BFF, 0x0001};
  write_npy(folder / "half.npy", "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }",
            std::string(reinterpret_cast<const char*>(halves), 8));
  EXPECT_EQ(read_npy(folder / "half.npy").values,
            (std::vector<float>{1, -2, 65504, 5.9604645e-8F}));
  const auto message = [&](const std::string& header, const std::string& data) {
    write_npy(folder / "bad.npy", header, data);
    try {
      read_npy(folder / "bad.npy");
    } catch (const Error& error) {
      return error.message().substr((folder / "bad.npy").string().size() + 2);
    }
    return std::string("accepted");
  };
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }", bytes),
            "it is cut short");
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", bytes),
            "it is in Fortran order");
  EXPECT_EQ(message("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", bytes),
            "its type is <i4, expected <f2, <f4 or <f8");
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", bytes),
            "it is not a matrix");
  EXPECT_EQ(
      message("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000, 4000000000000), }",
              bytes),
      "it is cut short");
}

TEST(ReadIdIndex, PickleAndCsv) {
  const TempDir folder;
  // pickle.dumps({"abc": 0, "d-e": 7}, protocol=2)
  const char pickle[] =
      "\x80\x02}q\x00(X\x03\x00\x00\x00"
      "abcq\x01K\x00X\x03\x00\x00\x00"
      "d-eq\x02K\x07u.";
  std::ofstream(folder / "i.pkl", std::ios::binary).write(pickle, sizeof(pickle) - 1);
  const auto index = read_id_index(folder / "i.pkl");
  EXPECT_EQ(index.size(), 2U);
  EXPECT_EQ(index.at("d-e"), 7);
  std::ofstream(folder / "i.csv") << "id,row\nabc,3\r\n";
  EXPECT_EQ(read_id_index(folder / "i.csv").at("abc"), 3);
  std::ofstream(folder / "bad.csv") << "abc,3\nabd;4\n";
  EXPECT_THROW(read_id_index(folder / "bad.csv"), Error);
}

TEST(IdCandidates, YoutubeNames) {
  const auto names = id_candidates("audio/Y-0abc.wav");
  EXPECT_NE(std::find(names.begin(), names.end(), "-0abc"), names.end());
}

}  // namespace
}  // namespace xp::load
