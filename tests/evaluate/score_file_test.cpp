#include "core/evaluate/score_file.h"

#include <fstream>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "data/hdf5.h"
#include "tests/testing/temp_dir.h"

namespace xp::evaluate {
namespace {

using xp::testing::TempDir;

TEST(ScoreFile, ComesBackAsItWas) {
  const TempDir folder;
  ScoreFile file;
  file.ids = {"a", "bb"};
  file.class_ids = {"/m/1", "/m/2", "/m/3"};
  file.class_names = {"x", "y, z", "ü"};
  file.width = 3;
  file.values = {1, 2, 3, 4, 5, 6};
  file.targets = {0, 1, 0, 1, 0, 0};
  file.texts = {{"split", "test"}};
  file.numbers = {{"mAP", 0.25}};
  write_scores(folder / "p.h5", file);
  const ScoreFile back = read_scores(folder / "p.h5");
  EXPECT_EQ(back.ids, file.ids);
  EXPECT_EQ(back.class_names, file.class_names);
  EXPECT_EQ(back.values, file.values);
  EXPECT_EQ(back.targets, file.targets);
  EXPECT_TRUE(back.mask.empty());
  EXPECT_EQ(back.texts, file.texts);
  EXPECT_EQ(back.numbers, file.numbers);
  // Without times in it, the same scores are the same bytes whenever they are written.
  const data::h5::File stored = data::h5::File::open(folder / "p.h5");
  for (const std::string& name : {file.dataset, std::string("targets"), std::string("ids")}) {
    H5O_info_t info{};
    ASSERT_GE(H5Oget_info(stored.open_dataset(name).get(), &info), 0);
    EXPECT_EQ(info.mtime, 0) << name;
  }
}

}  // namespace
}  // namespace xp::evaluate
