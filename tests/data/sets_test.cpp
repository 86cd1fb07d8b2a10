#include "data/sets/sets.h"

#include <fstream>
#include <map>
#include <set>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/rng.h"
#include "core/graph/input_scan.h"
#include "core/graph/inputs.h"
#include "core/schema/dataset.h"
#include "core/schema/sound_files.h"
#include "data/dataset.h"
#include "data/hdf5.h"
#include "data/npz.h"
#include "data/sets/segments.h"
#include "tests/data/faults.h"
#include "tests/testing/put.h"
#include "tests/testing/temp_dir.h"

namespace xp::data {
namespace {

namespace fs = std::filesystem;
using schema::DatasetName;
using schema::DatasetOptions;
using testing::message_of;
using xp::testing::put;
using xp::testing::TempDir;

DatasetOptions options(DatasetName name, const fs::path& root) {
  DatasetOptions o = DatasetOptions::of_kind(name);
  o.root = root.string();
  return o;
}

/// A data set's listing. All that it read below the root and all sounds that it names count in the
/// key of their shards.
Listing listed(const DatasetOptions& o) {
  Listing listing = list_dataset(o);
  const auto expect_counted = [&](const fs::path& file) {
    const fs::path below = file.lexically_relative(o.root);
    if (o.root.empty() || o.name == DatasetName::kJson || *below.begin() == "..") return;
    EXPECT_TRUE(schema::counts_in(o.name, below.string())) << file;
  };
  for (const std::string& file : listing.files) expect_counted(file);
  for (const Clip& clip : listing.clips) {
    if (const auto* source = std::get_if<FileSource>(&clip.source)) expect_counted(source->file);
    if (const auto* source = std::get_if<BlobSource>(&clip.source)) expect_counted(source->file);
  }
  return listing;
}

TEST(Dataset, MissingFolderShowsTheLayout) {
  EXPECT_EQ(message_of([] { listed(options(DatasetName::kEsc50, "/nowhere/esc50")); }),
            "there is no folder /nowhere/esc50\nexpected layout of esc50:\n"
            "  ROOT/meta/esc50.csv                      filename,fold,target,category,esc10\n"
            "  ROOT/audio/FOLD-CLIP-TAKE-TARGET.wav     or .ogg, .flac\n");
  EXPECT_EQ(message_of([] { listed(options(DatasetName::kFolder, "")); }).substr(0, 50),
            "dataset.root is not set; folder needs its folder\ne");
}

TEST(Dataset, EveryNameOfTheSchemaIsThereWithItsLayout) {
  const auto names = dataset_names();
  const auto wanted = names_of(DatasetName{});
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()),
            std::set<std::string_view>(wanted.begin(), wanted.end()));
  for (const auto name : names) EXPECT_FALSE(dataset_layout(name).empty()) << name;
}

TEST(Dataset, Esc50WithoutItsTargetColumn) {
  const TempDir root;
  const auto meta =
      put(root / "meta/esc50.csv", "filename,fold,category,esc10\na.wav,1,dog,True\n");
  EXPECT_EQ(message_of([&] { listed(options(DatasetName::kEsc50, root.path())); }),
            meta.string() + ":1: no column 'target'; there are: filename, fold, category, esc10");
}

TEST(Dataset, Esc10IsRenumberedAndAbsentFilesAreListed) {
  const TempDir root;
  put(root / "meta/esc50.csv",
      "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"
      "1-2-A-7.wav,1,7,other,False,2,A\n2-3-A-41.wav,2,41,chainsaw,True,3,A\n3-4-A-0.wav,3,0,dog,"
      "True,4,A\n");
  put(root / "audio/1-1-A-0.ogg", "x");
  put(root / "audio/2-3-A-41.wav", "x");
  DatasetOptions o = options(DatasetName::kEsc50, root.path());
  o.subset = schema::EscSubset::kEsc10;
  const Listing listing = listed(o);
  ASSERT_EQ(listing.clips.size(), 2U);
  EXPECT_TRUE(listing.folds);
  EXPECT_EQ(listing.clips[1].labels[0].index, 1);
  EXPECT_EQ(listing.clips[1].fold, 2);
  EXPECT_EQ(listing.classes[1].name, "chainsaw");
  EXPECT_EQ(std::get<FileSource>(listing.clips[0].source).file,
            (root / "audio/1-1-A-0.ogg").string());
  ASSERT_EQ(listing.absent.size(), 1U);
  EXPECT_EQ(listing.absent[0].id, "3-4-A-0");
  EXPECT_EQ(listing.absent[0].reason, "no file audio/3-4-A-0.wav");
}

TEST(Dataset, Esc50CategoriesAndTargetsGoTogether) {
  const TempDir root;
  const fs::path meta = put(root / "meta/esc50.csv",
                            "filename,fold,target,category,esc10\n"
                            "a.wav,1,0,dog,TRUE\nb.wav,1,1,rooster,true\nc.wav,1,2,cow,FALSE\n");
  DatasetOptions o = options(DatasetName::kEsc50, root.path());
  o.subset = schema::EscSubset::kEsc10;
  EXPECT_EQ(listed(o).classes.size(), 2U);  // as a spreadsheet spells it
  put(meta, "filename,fold,target,category,esc10\na.wav,1,0,dog,True\nb.wav,1,1,dog,True\n");
  EXPECT_EQ(message_of([&] { listed(o); }),
            meta.string() + ":3: category 'dog' is target 1 here and 0 above");
}

TEST(Dataset, AudiosetFindsFilesUnderTheirManyNames) {
  const TempDir root;
  put(root / "class_labels_indices.csv", "index,mid,display_name\n0,/m/a,\"A, a\"\n1,/m/b,\"B\"\n");
  put(root / "balanced_train_segments.csv",
      "# a\n# b\n# YTID, start_seconds, end_seconds, positive_labels\n-aaaaaaaaaa, 0.000, 10.000, "
      "\"/m/b,/m/a\"\n"
      "Ybbbbbbbbbb, 0.000, 10.000, \"/m/a\"\ncccccccccc_, 1.000, 10.000, \"/m/a\"\ndddddddddd-, "
      "1.000, 10.000, \"/m/a\"\n"
      "eeeeeeeeeee, 1.000, 10.000, \"/m/a\"\n");
  put(root / "audio/balanced_train/-aaaaaaaaaa.wav", "");
  put(root / "audio/balanced_train/00/Ybbbbbbbbbb.MP3", "");
  put(root / "audio/balanced_train/Ycccccccccc_.flac", "");
  put(root / "balanced_train_segments/dddddddddd-_1.000_10.000.ogg", "");
  put(root / "audio/balanced_train/notes.txt", "");
  const Listing listing = listed(options(DatasetName::kAudioset, root.path()));
  ASSERT_EQ(listing.clips.size(), 4U);
  EXPECT_EQ(listing.clips[0].labels[0].index, 0);  // sorted
  EXPECT_EQ(std::get<FileSource>(listing.clips[1].source).file,
            (root / "audio/balanced_train/00/Ybbbbbbbbbb.MP3").string());
  EXPECT_EQ(std::get<FileSource>(listing.clips[2].source).file,
            (root / "audio/balanced_train/Ycccccccccc_.flac").string());
  ASSERT_EQ(listing.absent.size(), 1U);
  EXPECT_EQ(listing.absent[0].id, "eeeeeeeeeee");
  EXPECT_EQ(listing.splits[0].group, "train");
}

TEST(Dataset, AudiosetUnknownLabel) {
  const TempDir root;
  put(root / "class_labels_indices.csv", "index,mid,display_name\n0,/m/a,\"A\"\n");
  const auto list =
      put(root / "balanced_train_segments.csv", "# a\n# b\n# c\naaaaaaaaaaa, 0, 10, \"/m/x\"\n");
  EXPECT_EQ(message_of([&] { listed(options(DatasetName::kAudioset, root.path())); }),
            list.string() + ":4: label '/m/x' is not in the class list");
}

TEST(Dataset, FolderWithAndWithoutSplits) {
  const TempDir root;
  for (int i = 0; i < 100; ++i) put(root / ("a/bird/" + std::to_string(i) + ".wav"), "");
  put(root / "a/cat/x.flac", "");
  const Listing plain = listed(options(DatasetName::kFolder, root / "a"));
  std::map<int, int> counts;
  for (const Clip& clip : plain.clips) ++counts[clip.split];
  EXPECT_EQ(plain.clips.size(), 101U);
  EXPECT_GT(counts[0], 70);
  EXPECT_GT(counts[1], 2);
  EXPECT_GT(counts[2], 2);
  put(root / "b/train/cat/x.wav", "");
  put(root / "b/test/dog/y.wav", "");
  const Listing split = listed(options(DatasetName::kFolder, root / "b"));
  ASSERT_EQ(split.clips.size(), 2U);
  EXPECT_EQ(split.classes.size(), 2U);
  EXPECT_EQ(split.splits[static_cast<size_t>(split.clips[0].split)].group, "test");
}

/// What a listing is made of, for comparisons.
std::string told_of(const Listing& listing) {
  std::string text;
  for (const ClassInfo& one : listing.classes) text += one.id + ";";
  for (const Split& one : listing.splits) text += one.name + ";";
  for (const Clip& clip : listing.clips) text += clip.id + ";";
  return text;
}

/// The key of the stage that prepares the set is the digest of its folder.
TEST(Dataset, FolderListsNothingThatItsDigestDoesNotSee) {
  const TempDir folder;
  const fs::path root = folder / "set";
  put(root / "train/cat/x.wav", "");
  put(root / "train/cat/deep/y.WAV", "");
  put(root / "test/dog/z.wav", "");
  const DatasetOptions o = options(DatasetName::kFolder, root);
  const graph::Counted counted{"folder", [](std::string_view file) {
                                 return schema::counts_in(DatasetName::kFolder, file);
                               }};
  const auto digest = [&] {
    return graph::InputDigests(folder / "memory").tree(root, {}, nullptr, &counted).digest;
  };
  const std::string told = told_of(listed(o)), before = digest();
  EXPECT_EQ(told, "cat;dog;test;train;dog/z.wav;cat/deep/y.WAV;cat/x.wav;");
  put(root / "train/cat/.old/gone.wav", "");
  put(root / ".trash/cat/gone.wav", "");
  put(root / "train/cat/.hidden.wav", "");
  fs::create_directories(root / "train/cow");
  fs::create_directories(root / "metadata/more");
  fs::create_directory_symlink("..", root / "train/cat/up");
  fs::create_directory_symlink(root, root / "train/self");
  fs::create_directory_symlink(root, root / "again");
  fs::create_symlink("nowhere.wav", root / "train/cat/broken.wav");
  ASSERT_EQ(::mkfifo((root / "train/cat/pipe.wav").c_str(), 0600), 0);
  EXPECT_EQ(digest(), before);
  EXPECT_EQ(told_of(listed(o)), told);
  // What is linked from elsewhere, the digest follows as well.
  put(folder / "elsewhere/w.wav", "");
  fs::create_directory_symlink(folder / "elsewhere", root / "train/cow/linked");
  EXPECT_NE(digest(), before);
  EXPECT_EQ(listed(o).classes.size(), 3U);
  // A file that is no sound changes nothing.
  const std::string with_link = digest();
  put(root / "metadata/more/notes.txt", "");
  EXPECT_EQ(digest(), with_link);
  EXPECT_EQ(listed(o).classes.size(), 3U);
}

TEST(Dataset, FoldersBesideSplits) {
  const TempDir root;
  put(root / "a/train/cat/x.wav", "");
  put(root / "a/test/cat/x.wav", "");
  put(root / "a/extra/cat/x.wav", "");
  put(root / "a/more/x.wav", "");
  const std::string message =
      message_of([&] { listed(options(DatasetName::kFolder, root / "a")); });
  EXPECT_TRUE(message.starts_with((root / "a").string() +
                                  ": test is a split with folders of classes, but there are sounds "
                                  "in folders beside it that are no splits: extra, more\n"
                                  "expected layout of folder:\n"))
      << message;
  // Sounds of trains.
  put(root / "b/train/x.wav", "");
  put(root / "b/car/x.wav", "");
  EXPECT_EQ(listed(options(DatasetName::kFolder, root / "b")).classes.size(), 2U);
  fs::create_directories(root / "c/train/cat");
  put(root / "c/train/readme.txt", "");
  EXPECT_TRUE(message_of([&] {
                listed(options(DatasetName::kFolder, root / "c"));
              }).starts_with((root / "c").string() + " holds no sound in a folder of a class\n"));
}

TEST(Dataset, AFolderThatCannotBeReadIsOneLine) {
  const TempDir root;
  put(root / "file", "");
  EXPECT_EQ(message_of([&] { folders_in(root / "file"); }),
            "cannot read " + (root / "file").string() + ": Not a directory");
  EXPECT_EQ(message_of([&] { files_in(root.path(), "file", true); }),
            "cannot read " + (root / "file").string() + ": Not a directory");
}

// What cannot be a sound does not keep the others from being listed, and is named, once.
TEST(Dataset, LinksInACirclePipesAndDevicesAreNamed) {
  const TempDir root;
  put(root / "train/cat/x.wav", "");
  const Listing before = listed(options(DatasetName::kFolder, root.path()));
  fs::create_symlink("loop.wav", root / "train/cat/loop.wav");
  fs::create_symlink("b", root / "train/a");
  fs::create_symlink("a", root / "train/b");
  fs::create_symlink("nowhere.wav", root / "train/cat/broken.wav");
  fs::create_symlink("/dev/zero", root / "train/cat/zero.wav");
  ASSERT_EQ(::mkfifo((root / "train/cat/pipe.wav").c_str(), 0600), 0);
  ::testing::internal::CaptureStderr();
  const Listing after = listed(options(DatasetName::kFolder, root.path()));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(after.clips.size(), before.clips.size());
  for (const char* line :
       {"train/cat/loop.wav: left out: a link in a circle\n",
        "train/a: left out: a link in a circle\n", "train/b: left out: a link in a circle\n",
        "train/cat/broken.wav: left out: a link that leads nowhere\n",
        "train/cat/zero.wav: left out: a device\n", "train/cat/pipe.wav: left out: a pipe\n"}) {
    const size_t at = said.find(line);
    EXPECT_NE(at, std::string::npos) << line << said;
    EXPECT_EQ(said.find(line, at + 1), std::string::npos) << "once: " << line;
  }
}

TEST(Dataset, WhatIsLeftOutByItsEndingIsCounted) {
  const TempDir root;
  put(root / "train/cat/x.wav", "");
  put(root / "train/cat/x.au", "");
  put(root / "train/cat/x.M4A", "");
  put(root / "train/cat/deep/y.m4a", "");
  put(root / "train/cat/README", "");
  put(root / "notes/a.txt", "");
  put(root / "report.html", "");  // beside the folders: nobody looks for sounds there
  const Listing listing = listed(options(DatasetName::kFolder, root.path()));
  EXPECT_EQ(listing.clips.size(), 2U);
  EXPECT_EQ(listing.left_out, (LeftOut{{".m4a", 2}, {".txt", 1}, {"no ending", 1}}));
  EXPECT_EQ(schema::endings_text(listing.left_out), "2 .m4a, 1 .txt, 1 without an ending");
}

TEST(Dataset, AClassWithoutASoundThatIsReadIsAnError) {
  const TempDir root;
  put(root / "a/dog/x.wav", "");
  put(root / "a/cat/x.m4a", "");
  put(root / "a/cat/y.m4a", "");
  const auto message = [&](const char* set) {
    return message_of([&] { listed(options(DatasetName::kFolder, root / set)); });
  };
  EXPECT_EQ(message("a"), (root / "a/cat").string() +
                              " holds no sound by the endings of its files (2 .m4a; first: "
                              "x.m4a): convert them, with ffmpeg for example, or move the folder "
                              "out of the set");
  // A split, and a class of one.
  put(root / "b/train/dog/x.wav", "");
  put(root / "b/test/dog/x.wma", "");
  EXPECT_TRUE(message("b").starts_with((root / "b/test").string() + " holds no sound"));
  put(root / "b/test/dog/y.wav", "");
  put(root / "b/test/cat/y.xyz", "");
  EXPECT_TRUE(message("b").starts_with((root / "b/test/cat").string() + " holds no sound"));
  fs::remove(root / "b/test/cat/y.xyz");
  EXPECT_EQ(listed(options(DatasetName::kFolder, root / "b")).clips.size(), 2U);
}

TEST(Dataset, JsonWithLabelFile) {
  const TempDir root;
  put(root / "labels.csv", "index,mid,display_name\n0,/m/a,\"A\"\n1,/m/b,\"B\"\n");
  put(root / "train.json",
      "{\"data\": [{\"wav\": \"w/Yaaaaaaaaaaa.wav\", \"labels\": \"/m/b\"}, {\"wav\": "
      "\"w/gone.wav\", \"labels\": \"/m/a\"}]}");
  put(root / "w/Yaaaaaaaaaaa.wav", "");
  DatasetOptions o = DatasetOptions::of_kind(DatasetName::kJson);
  o.labels = (root / "labels.csv").string();
  o.json_train = (root / "train.json").string();
  const Listing listing = listed(o);
  ASSERT_EQ(listing.clips.size(), 1U);
  EXPECT_EQ(listing.clips[0].id, "aaaaaaaaaaa");
  EXPECT_EQ(listing.clips[0].labels[0].index, 1);
  ASSERT_EQ(listing.absent.size(), 1U);
  EXPECT_EQ(listing.absent[0].id, "gone");
}

TEST(Dataset, Fsd50k) {
  const TempDir root;
  put(root / "FSD50K.ground_truth/vocabulary.csv", "0,Accelerating,/m/1\n1,\"Bark\",/m/2\n");
  put(root / "FSD50K.ground_truth/dev.csv",
      "fname,labels,mids,split\n10,\"Bark,Accelerating\",\"/m/2,/m/1\",train\n11,Bark,/m/2,val\n");
  put(root / "FSD50K.ground_truth/eval.csv", "fname,labels,mids\n20,Bark,/m/2\n");
  put(root / "FSD50K.dev_audio/10.wav", "");
  put(root / "FSD50K.dev_audio/11.wav", "");
  put(root / "FSD50K.eval_audio/20.wav", "");
  const Listing listing = listed(options(DatasetName::kFsd50k, root.path()));
  ASSERT_EQ(listing.clips.size(), 3U);
  EXPECT_EQ(listing.clips[0].labels.size(), 2U);
  EXPECT_EQ(listing.splits[static_cast<size_t>(listing.clips[2].split)].name, "eval");
}

TEST(Dataset, OpenmicMask) {
  const TempDir root;
  put(root / "class-map.json", "{\"accordion\": 0, \"banjo\": 1, \"bass\": 2}");
  put(root / "openmic-2018-aggregated-labels.csv",
      "sample_key,instrument,relevance,num_responses\n000046_3840,banjo,0.9,3\n000046_3840,bass,0."
      "2,3\n000100_1,accordion,0.51,3\n");
  put(root / "partitions/split01_train.csv", "000046_3840\n");
  put(root / "partitions/split01_test.csv", "000100_1\n");
  put(root / "audio/000/000046_3840.ogg", "");
  put(root / "audio/000/000100_1.ogg", "");
  const Listing listing = listed(options(DatasetName::kOpenmic, root.path()));
  ASSERT_EQ(listing.clips.size(), 2U);
  EXPECT_TRUE(listing.masked);
  EXPECT_EQ(listing.clips[0].labels.size(), 1U);
  EXPECT_EQ(listing.clips[0].known, (std::vector<int32_t>{1, 2}));
}

/// As OpenMIC is released: keys as objects, arrays packed; and the other ways NumPy has for them.
TEST(Dataset, OpenmicArraysListAsItsTable) {
  const TempDir root;
  put(root / "class-map.json", "{\"accordion\": 0, \"banjo\": 1, \"bass\": 2}");
  put(root / "partitions/split01_train.csv", "000046_3840\n");
  put(root / "partitions/split01_test.csv", "000100_1\n");
  put(root / "audio/000/000046_3840.ogg", "");
  put(root / "audio/000/000100_1.ogg", "");
  const fs::path table = root / "openmic-2018-aggregated-labels.csv";
  put(table,
      "sample_key,instrument,relevance,num_responses\n000046_3840,banjo,0.9,3\n000046_3840,bass,0."
      "2,3\n000100_1,accordion,0.51,3\n");
  const Listing want = listed(options(DatasetName::kOpenmic, root.path()));
  fs::remove(table);
  const fs::path samples = xp::testing::source_dir() / "tests/fixtures/openmic_npz";
  int found = 0;
  for (const auto& entry : fs::directory_iterator(samples)) {
    if (entry.path().extension() != ".npz") continue;
    SCOPED_TRACE(entry.path());
    ++found;
    fs::copy_file(entry.path(), root / "openmic-2018.npz", fs::copy_options::overwrite_existing);
    const Listing got = listed(options(DatasetName::kOpenmic, root.path()));
    ASSERT_EQ(got.clips.size(), want.clips.size());
    EXPECT_TRUE(got.masked);
    for (size_t i = 0; i < want.clips.size(); ++i) {
      EXPECT_EQ(got.clips[i].id, want.clips[i].id);
      EXPECT_EQ(got.clips[i].known, want.clips[i].known);
      ASSERT_EQ(got.clips[i].labels.size(), want.clips[i].labels.size());
      for (size_t k = 0; k < want.clips[i].labels.size(); ++k)
        EXPECT_EQ(got.clips[i].labels[k].index, want.clips[i].labels[k].index);
    }
  }
  EXPECT_EQ(found, 4);
  put(root / "class-map.json", "{\"accordion\": 0, \"banjo\": 1}");
  EXPECT_EQ(message_of([&] { listed(options(DatasetName::kOpenmic, root.path())); }),
            (root / "openmic-2018.npz").string() +
                ": sample_key, Y_true and Y_mask do not fit to 2 classes");
}

/// Any byte changed, any end: an error of ours, or what was written.
TEST(Dataset, DamagedArraysAreErrors) {
  const TempDir root;
  const fs::path samples = xp::testing::source_dir() / "tests/fixtures/openmic_npz";
  Rng random(5, "damaged npz");
  int errors = 0;
  for (const char* name : {"objects.npz", "packed.npz"}) {
    const std::string whole = read_file(samples / name);
    for (int i = 0; i < 2000; ++i) {
      std::string text = whole;
      if (i % 4 == 0) text.resize(random.below(text.size()));
      for (uint64_t k = random.below(4); k > 0 && !text.empty(); --k)
        text[random.below(text.size())] = static_cast<char>(random.below(256));
      put(root / "x.npz", text);
      try {
        const auto arrays = read_npz(root / "x.npz", {"sample_key", "Y_true", "Y_mask"});
        // What was hit then is not in what they hold.
        EXPECT_EQ(arrays[0].texts, (std::vector<std::string>{"000046_3840", "000100_1"}));
        EXPECT_EQ(arrays[1].numbers, (std::vector<double>{0.5, 0.9, 0.2, 0.51, 0.5, 0.5}));
        EXPECT_EQ(arrays[2].numbers, (std::vector<double>{0, 1, 1, 1, 0, 0}));
      } catch (const Error&) {
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 1000);
}

TEST(Dataset, PasstContainer) {
  const TempDir root;
  std::string labels = "index,mid,display_name\n";
  for (int i = 0; i < 10; ++i) labels += std::to_string(i) + ",/m/" + std::to_string(i) + ",x\n";
  put(root / "class_labels_indices.csv", labels);
  const std::vector<std::string> names = {"Yaaaaaaaaaaa.mp3", "00/Ybbbbbbbbbbb.mp3"};
  const fs::path file = root / "balanced_train_segments_mp3.hdf";
  {
    h5::File out = h5::File::create(file);
    out.write_strings("audio_name", names);
    const hsize_t rows = 2;
    const hsize_t shape[2] = {2, 2};
    const h5::Handle space(H5Screate_simple(1, &rows, nullptr));
    const h5::Handle table(H5Screate_simple(2, shape, nullptr));
    const h5::Handle bytes(H5Tvlen_create(H5T_STD_U8LE));
    const h5::Handle mp3(H5Dcreate2(out.id(), "mp3", bytes.get(), space.get(), H5P_DEFAULT,
                                    H5P_DEFAULT, H5P_DEFAULT));
    const h5::Handle target(H5Dcreate2(out.id(), "target", H5T_STD_U8LE, table.get(), H5P_DEFAULT,
                                       H5P_DEFAULT, H5P_DEFAULT));
    const uint8_t bits[4] = {0x80, 0x40, 0x01, 0x00};  // classes 0 and 9; class 7
    H5Dwrite(target.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, bits);
  }
  const Listing listing = listed(options(DatasetName::kPasstHdf5, root.path()));
  ASSERT_EQ(listing.clips.size(), 2U);
  EXPECT_EQ(listing.clips[1].id, "bbbbbbbbbbb");
  ASSERT_EQ(listing.clips[0].labels.size(), 2U);
  EXPECT_EQ(listing.clips[0].labels[0].index, 0);
  EXPECT_EQ(listing.clips[0].labels[1].index, 9);
  EXPECT_EQ(listing.clips[1].labels[0].index, 7);
  EXPECT_EQ(std::get<BlobSource>(listing.clips[1].source).row, 1);
}

TEST(Dataset, SpeechCommandsTwelve) {
  const TempDir root;
  for (int i = 0; i < 20; ++i) put(root / ("yes/" + std::to_string(i) + "aa_nohash_0.wav"), "");
  for (int i = 0; i < 30; ++i) put(root / ("tree/" + std::to_string(i) + "bb_nohash_0.wav"), "");
  // 16 kHz, 16 bit, mono, 12 s of zeros
  std::string wav(
      "RIFF\x24\xDC\x05\x00WAVEfmt "
      "\x10\0\0\0\x01\0\x01\0\x80\x3E\0\0\0\x7D\0\0\x02\0\x10\0data\x00\xDC\x05\x00",
      44);
  wav += std::string(0x5DC00, '\0');
  put(root / "_background_noise_/hum.wav", wav);
  put(root / "validation_list.txt", "yes/0aa_nohash_0.wav\nyes/gone_nohash_0.wav\n");
  put(root / "testing_list.txt", "yes/1aa_nohash_0.wav\r\ntree/1bb_nohash_0.wav\r\n");
  DatasetOptions o = options(DatasetName::kSpeechcommands, root.path());
  o.words = schema::CommandWords::kCore12;
  const Listing listing = listed(o);
  std::map<std::pair<int, int>, int> counts;  // split, class
  for (const Clip& clip : listing.clips) ++counts[{clip.split, clip.labels[0].index}];
  EXPECT_EQ((counts[{0, 0}]), 18);
  EXPECT_EQ((counts[{0, 10}]), 2);  // a tenth of 18, rounded up
  EXPECT_EQ((counts[{0, 11}]), 2);
  EXPECT_EQ((counts[{2, 10}]), 1);
  EXPECT_EQ((counts[{2, 11}]), 1);
  ASSERT_EQ(listing.absent.size(), 1U);
  EXPECT_EQ(listing.absent[0].id, "yes/gone_nohash_0.wav");
  o.words = schema::CommandWords::kCore10;
  EXPECT_EQ(listed(o).clips.size(), 20U);
}

TEST(Dataset, SpeechCommandsListsAsOtherSystemsSaveThem) {
  const TempDir root;
  for (const char* name : {"a", "b", "c", "d", "e"})
    put(root / (std::string("yes/") + name + "_nohash_0.wav"), "");
  put(root / "validation_list.txt",
      "\xEF\xBB\xBF"
      "yes/a_nohash_0.wav\r\n  ./yes/b_nohash_0.wav \r\n\r\n");
  put(root / "testing_list.txt", "yes\\c_nohash_0.wav\t\r\n.\\yes\\d_nohash_0.wav");
  const DatasetOptions o = options(DatasetName::kSpeechcommands, root.path());
  const Listing listing = listed(o);
  std::string splits;
  for (const Clip& clip : listing.clips) splits += std::to_string(clip.split);
  EXPECT_EQ(splits, "11220");
  EXPECT_TRUE(listing.absent.empty());
  const fs::path testing = put(root / "testing_list.txt", "./yes/a_nohash_0.wav\n");
  EXPECT_EQ(message_of([&] { listed(o); }),
            testing.string() + ": 'yes/a_nohash_0.wav' is in validation_list.txt as well");
  put(testing, std::string("\xFF\xFEy\0", 4));
  EXPECT_EQ(message_of([&] { listed(o); }),
            testing.string() + ": not UTF-8 (UTF-16); save it as UTF-8");
}

TEST(Dataset, JoinTakesTheUnionOfClasses) {
  const TempDir root;
  put(root / "a/train/dog/1.wav", "");
  put(root / "a/train/cat/1.wav", "");
  put(root / "b/train/dog/1.wav", "");
  put(root / "b/train/bee/1.wav", "");
  DatasetOptions o = options(DatasetName::kFolder, root / "a");
  o.also.push_back(options(DatasetName::kFolder, root / "b"));
  const JoinedListing joined = list_joined(o);
  ASSERT_EQ(joined.classes.size(), 3U);
  EXPECT_EQ(joined.classes[2].name, "bee");
  EXPECT_EQ(joined.sets[1].clips[0].labels[0].index, 2);  // bee
  EXPECT_EQ(joined.sets[1].clips[1].labels[0].index, 1);  // dog
}

class RealData : public ::testing::Test {
 protected:
  void SetUp() override {
    if (root_.empty()) GTEST_SKIP() << "EXP_DATA is not set";
  }
  std::string root_{xp::testing::env("EXP_DATA")};
};
using RealDataIntegration = RealData;

TEST_F(RealDataIntegration, WholeEvaluationListOfAudiosetAsDamaged) {
  const auto segments = read_segments(root_ + "/audioset_meta/official_eval_segments.ast.csv");
  EXPECT_EQ(segments.size(), 20371U);
  std::set<std::string> mids;
  size_t labels = 0;
  for (const Segment& segment : segments) {
    EXPECT_EQ(segment.id.size(), 11U);
    labels += segment.mids.size();
    mids.insert(segment.mids.begin(), segment.mids.end());
  }
  EXPECT_EQ(labels, 51804U);
  EXPECT_EQ(mids.size(), 527U);
}

TEST_F(RealDataIntegration, AudiosetMini) {
  DatasetOptions o = options(DatasetName::kAudioset, root_ + "/audioset_mini");
  o.parts = {"balanced_train", "unbalanced_train"};
  const Listing listing = listed(o);
  EXPECT_EQ(listing.classes.size(), 527U);
  EXPECT_EQ(listing.clips.size(), 120U + 479U + 150U);
  ASSERT_EQ(listing.absent.size(), 1U);
  EXPECT_EQ(listing.absent[0].id, "6NVjZeHsFQw");
}

TEST_F(RealDataIntegration, TestFilesOfSpeechCommandsHashToTheTestingSplit) {
  DatasetOptions o = options(DatasetName::kSpeechcommands, root_ + "/speech_commands");
  o.split = schema::CommandSplit::kHash;
  const Listing hashed = listed(o);
  EXPECT_EQ(hashed.clips.size(), 3045U);
  for (const Clip& clip : hashed.clips) EXPECT_EQ(clip.split, 2) << clip.id;
  o.split = schema::CommandSplit::kList;
  const Listing by_list = listed(o);
  std::map<int, int> counts;
  for (const Clip& clip : by_list.clips) ++counts[clip.split];
  EXPECT_GT(counts[0], 1000);
  EXPECT_GT(counts[1], 100);
  EXPECT_GT(counts[2], 100);
  EXPECT_TRUE(by_list.absent.empty());
}

}  // namespace
}  // namespace xp::data
