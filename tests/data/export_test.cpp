#include "data/export.h"

#include <fstream>

#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/decode.h"
#include "data/sets/ast_json.h"
#include "data/verify.h"
#include "tests/data/faults.h"
#include "tests/data/prepared.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using xp::testing::TempDir;

TEST(Export, PngAndWav) {
  const TempDir folder;
  ops::Image image;
  image.width = 3;
  image.height = 2;
  image.rgb.assign(18, 200);
  write_png(folder / "a.png", image);
  EXPECT_TRUE(read_file(folder / "a.png").starts_with("\x89PNG"));
  const std::vector<float> wave = {0, 0.5F, -0.5F, 2.0F};
  write_wav(folder / "a.wav", wave, 8000);
  DecodeOptions options;
  options.rate_hz = 8000;
  options.shortest_s = 0;
  const Wave back = Decoder(options).read(FileSource{(folder / "a.wav").string()});
  ASSERT_EQ(back.samples.size(), 4U);
  EXPECT_EQ(back.samples[1], 0.5F);
  EXPECT_EQ(back.samples[3], 2.0F) << "nothing is cut off";
}

TEST(Export, AstFilesAreReadBackAsTheSameSet) {
  const TempDir folder;
  const auto options = testing::synthetic(50, 0.2);
  const JoinedListing joined = list_joined(options);
  const AstFiles made = write_ast_files(joined, options, 16000, folder / "ast");
  EXPECT_EQ(made.clips, 50);
  EXPECT_EQ(made.decoded, 50);
  EXPECT_EQ(made.files, (std::vector<std::string>{"train.json", "train_weight.csv", "test.json",
                                                  "class_labels_indices.csv"}));
  auto json = schema::DatasetOptions::of_kind(schema::DatasetName::kJson);
  json.labels = (folder / "ast/class_labels_indices.csv").string();
  json.json_train = (folder / "ast/train.json").string();
  json.json_test = (folder / "ast/test.json").string();
  const auto direct = testing::prepare_to(folder / "a", options);
  const auto through = testing::prepare_to(folder / "b", json);
  ASSERT_EQ(through->clips(), 50);
  ASSERT_EQ(through->classes().size(), 10U);
  const auto a = rows_of_split(*direct, options, "test");
  const auto b = rows_of_split(*through, json, "test");
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(direct->id(a[i]), through->id(b[i]));
    EXPECT_EQ(direct->labels().of(a[i])[0], through->labels().of(b[i])[0]);
    std::vector<int16_t> x(3200);
    std::vector<int16_t> y(3200);
    direct->read(a[i], x);
    through->read(b[i], y);
    EXPECT_EQ(x, y);
  }
  const std::string weights = read_file(folder / "ast/train_weight.csv");
  EXPECT_EQ(std::count(weights.begin(), weights.end(), '\n'), 40);
  EXPECT_TRUE(weights.starts_with("249.3")) << weights;  // 1000 / (4 + 0.01)
}

/// A clip of 0.1 s without a file of its own.
Clip silent_clip(const std::string& id, std::vector<Label> labels) {
  Clip clip;
  clip.id = id;
  clip.split = 0;
  clip.source = SilentSource{0.1};
  clip.labels = std::move(labels);
  return clip;
}

JoinedListing two_sets() {
  JoinedListing joined;
  joined.classes = {{"dog bark", "Dog"}, {"cat", "Cat"}};
  for (int set = 0; set < 2; ++set) {
    Listing& listing = joined.sets.emplace_back();
    listing.splits = {{"train", "train"}};
    listing.clips = {silent_clip("a/b", {{0, 1}}), silent_clip("a_b", {{0, 1}, {1, 1}}),
                     silent_clip("none", {})};
  }
  return joined;
}

schema::DatasetOptions two_sets_options() {
  auto options = schema::DatasetOptions::of_kind(schema::DatasetName::kFolder);
  options.val = "train";
  options.test = "none";
  options.also.push_back(options);
  options.also[0].val = "none";
  return options;
}

TEST(Export, AstFilesOfClipsThatShareANameAreApart) {
  const TempDir folder;
  const AstFiles made = write_ast_files(two_sets(), two_sets_options(), 16000, folder.path());
  EXPECT_EQ(made.decoded, 4);
  EXPECT_EQ(made.clips, 4 + 2);
  EXPECT_EQ(made.unlabelled, 2 + 1);
  const auto train = read_ast_json(folder / "train.json");
  ASSERT_EQ(train.size(), 4U);
  std::vector<std::string> names;
  for (const AstEntry& entry : train) {
    names.push_back(fs::path(entry.wav).filename().string());
    EXPECT_TRUE(fs::exists(entry.wav));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a_b.wav", "a_b-2.wav", "a_b-3.wav", "a_b-4.wav"}));
  EXPECT_EQ(train[1].labels, (std::vector<std::string>{"dog bark", "cat"}));
  // A clip that two splits have is one file.
  const auto val = read_ast_json(folder / "val.json");
  ASSERT_EQ(val.size(), 2U);
  EXPECT_EQ(val[0].wav, train[0].wav);
  const std::string weights = read_file(folder / "train_weight.csv");
  EXPECT_EQ(std::count(weights.begin(), weights.end(), '\n'), 4);
}

TEST(Export, AClassWithACommaHasNoPlaceInAstFiles) {
  const TempDir folder;
  JoinedListing joined = two_sets();
  joined.classes[1].id = "cat, big";
  EXPECT_EQ(testing::message_of(
                [&] { write_ast_files(joined, two_sets_options(), 16000, folder.path()); }),
            "class 'cat, big': AST's lists have commas between classes, so that none may be in a "
            "name");
}

TEST(Export, FilteredSegmentsFindIdsInQuotesAndBlanks) {
  const TempDir folder;
  std::ofstream(folder / "a.csv", std::ios::binary)
      << "\xEF\xBB\xBF"
         "first, 0, 1, \"/m/x\"\n\"quoted\", 0, 1, \"/m/x\"\r\n  padded , 0, 1, \"/m/x\"\nkept, 0, "
         "1, "
         "\"/m/x\"\n";
  EXPECT_EQ(
      write_filtered_segments(folder / "a.csv", {"first", "quoted", "padded"}, folder / "b.csv"),
      3);
  EXPECT_EQ(read_file(folder / "b.csv"), "\xEF\xBB\xBFkept, 0, 1, \"/m/x\"\n");
}

TEST(Export, FilteredSegmentsKeepEveryOtherByte) {
  const TempDir folder;
  std::ofstream(folder / "a.csv", std::ios::binary)
      << "# one\n# YTID, ..\n-a, 0, 1, \"/m/x,/m/y\"\r\nb, 0, 1, \"/m/x\"\nc, 0, 1, \"/m/x\"";
  EXPECT_EQ(write_filtered_segments(folder / "a.csv", {"b", "zz"}, folder / "sub/b.csv"), 1);
  EXPECT_EQ(read_file(folder / "sub/b.csv"),
            "# one\n# YTID, ..\n-a, 0, 1, \"/m/x,/m/y\"\r\nc, 0, 1, \"/m/x\"");
}

TEST(Verify, NamesEveryDamagedClip) {
  const TempDir folder;
  testing::prepare_to(folder.path(), testing::synthetic(30, 0.2));
  const auto count = [](int64_t, int64_t) {};
  EXPECT_TRUE(verify(folder.path(), 2, count).faults.empty());
  const fs::path shard = folder / "shard-00000.h5";
  const auto size = static_cast<std::streamoff>(fs::file_size(shard));
  std::fstream out(shard, std::ios::in | std::ios::out | std::ios::binary);
  for (const std::streamoff back : {100, 5 * 6400}) {
    out.seekp(size - back);
    out.put('\x7F');
  }
  out.close();
  const Verified verified = verify(folder.path(), 2, count);
  EXPECT_EQ(verified.clips, 30);
  ASSERT_EQ(verified.faults.size(), 2U);
  EXPECT_TRUE(
      verified.faults[1].starts_with(shard.string() + ": clip 'synthetic-000029' is damaged"))
      << verified.faults[1];
}

}  // namespace
}  // namespace xp::data
