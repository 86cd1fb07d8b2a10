#pragma once

#include "core/recipe/options.h"

namespace xp::schema {

enum class DatasetName {
  kAudioset,
  kEsc50,
  kSpeechcommands,
  kFsd50k,
  kOpenmic,
  kLibrispeech,
  kJson,
  kFolder,
  kPasstHdf5,
  kSynthetic
};
XP_ENUM_NAMES(DatasetName, "audioset", "esc50", "speechcommands", "fsd50k", "openmic",
              "librispeech", "json", "folder", "passt_hdf5", "synthetic")

enum class EscSubset { kEsc50, kEsc10 };
XP_ENUM_NAMES(EscSubset, "esc50", "esc10")

enum class CommandWords { kAll35, kCore10, kCore12 };
XP_ENUM_NAMES(CommandWords, "all35", "core10", "core12")

enum class CommandSplit { kList, kHash };
XP_ENUM_NAMES(CommandSplit, "list", "hash")

enum class Crop { kHead, kCenter, kRandom, kFull };
XP_ENUM_NAMES(Crop, "head", "center", "random", "full")

enum class OnBadClip { kSkip, kError };
XP_ENUM_NAMES(OnBadClip, "skip", "error")

enum class ResampleQuality { kLq, kMq, kHq, kVhq };
XP_ENUM_NAMES(ResampleQuality, "lq", "mq", "hq", "vhq")

enum class Store { kPcm16, kFlac };
XP_ENUM_NAMES(Store, "pcm16", "flac")

/// [dataset]: where the clips come from, their splits, and how shards are written.
struct DatasetOptions {
  static constexpr std::string_view kSection = "dataset";
  static constexpr std::string_view kHelp = "the clips, their labels and splits";
  using Kind = DatasetName;

  DatasetName name = DatasetName::kAudioset;
  std::string root;
  std::vector<DatasetOptions> also;  ///< concatenated after this one, in order
  std::string labels;
  std::string train = "train";
  double train_p = 1.0;
  std::string val = "val";
  std::string test = "test";
  std::string json_train;
  std::string json_val;
  std::string json_test;
  EscSubset subset = EscSubset::kEsc50;
  int64_t test_fold = 5;
  int64_t val_fold = 0;
  int64_t version = 2;
  CommandWords words = CommandWords::kAll35;
  CommandSplit split = CommandSplit::kList;
  std::vector<std::string> parts = {"balanced_train"};
  double labels_binarise_above = 0.5;
  int64_t clips = 200;
  int64_t classes = 10;
  int64_t labels_per_clip = 1;
  double clip_s = 5.0;
  Crop crop = Crop::kHead;
  OnBadClip on_bad_clip = OnBadClip::kSkip;
  double max_bad_p = 0.01;
  ResampleQuality resample = ResampleQuality::kHq;
  Store store = Store::kPcm16;
  int64_t shard_mb = 512;

  /// The set's own names of its splits.
  static DatasetOptions of_kind(DatasetName name) {
    DatasetOptions o;
    o.name = name;
    switch (name) {
      case DatasetName::kAudioset:
      case DatasetName::kPasstHdf5:
        o.val = "none";
        o.test = "eval";
        break;
      case DatasetName::kSpeechcommands:
        o.val = "validation";
        o.test = "testing";
        break;
      case DatasetName::kFsd50k:
        o.test = "eval";
        break;
      case DatasetName::kOpenmic:
        o.val = "none";
        break;
      case DatasetName::kLibrispeech:
        o.val = "none";
        o.test = "none";
        break;
      default:
        break;
    }
    return o;
  }

  template <class Visitor>
  static void describe(Visitor& v) {
    using O = DatasetOptions;
    v.kind("name", &O::name, {.required = true}, "which data set");
    v.field(
        "root", &O::root,
        {.only = "audioset esc50 speechcommands fsd50k openmic librispeech json folder passt_hdf5",
         .sweepable = false,
         .path = true},
        "folder of the data set in the layout in which it is distributed");
    v.field("also", &O::also, {.sweepable = false},
            "further tables like [dataset], concatenated in order");
    v.field("labels", &O::labels, {.sweepable = false, .path = true},
            "label CSV (index,mid,display_name); empty = the set's own");
    v.field("train", &O::train, {}, "split to train on, or \"none\"");
    v.field("train_p", &O::train_p, {.min = 1e-6, .max = 1},
            "share of the training clips that is used, at least one; a larger share holds every "
            "smaller one");
    v.field("val", &O::val, {},
            "split to validate on, or \"none\"; \"test\" is allowed and reported as such");
    v.field("test", &O::test, {}, "split to test on, or \"none\"");
    v.field("json_train", &O::json_train, {.only = "json", .sweepable = false, .path = true},
            "AST data JSON of the training clips");
    v.field("json_val", &O::json_val, {.only = "json", .sweepable = false, .path = true},
            "AST data JSON of the validation clips");
    v.field("json_test", &O::json_test, {.only = "json", .sweepable = false, .path = true},
            "AST data JSON of the test clips");
    v.field("subset", &O::subset, {.only = "esc50"}, "esc10 keeps ten classes, renumbered 0..9");
    v.field("test_fold", &O::test_fold, {.min = 1, .max = 5, .only = "esc50 synthetic"},
            "fold that is the test split");
    v.field("val_fold", &O::val_fold, {.min = 0, .max = 5, .only = "esc50 synthetic"},
            "fold that is the validation split, 0 = none");
    v.field("version", &O::version, {.min = 1, .max = 2, .only = "speechcommands"},
            "version of Speech Commands: 1 has 30 words, 2 has 35");
    v.field("words", &O::words, {.only = "speechcommands"},
            "classes: all words, the ten core words, or these with _unknown_ and _silence_");
    v.field("split", &O::split, {.only = "speechcommands"},
            "splits by the set's own lists, or by the hash of the speaker");
    v.field("parts", &O::parts, {.only = "audioset passt_hdf5"},
            "segment lists that make the training split, in order");
    v.field("labels_binarise_above", &O::labels_binarise_above,
            {.min = 0, .max = 1, .only = "openmic"},
            "a label probability above this is a positive");
    v.field("clips", &O::clips, {.min = 10, .max = 1e7, .only = "synthetic"}, "clips to make");
    v.field("classes", &O::classes, {.min = 2, .max = 1000, .only = "synthetic"},
            "classes of sound to make");
    v.field("labels_per_clip", &O::labels_per_clip, {.min = 1, .max = 10, .only = "synthetic"},
            "largest number of classes mixed into a clip");
    v.field("clip_s", &O::clip_s, {.min = 0.1, .max = 60, .unit = "s", .only = "synthetic"},
            "length of a clip");
    v.field("crop", &O::crop, {}, "which part of a clip that is longer than the input is used");
    v.field("on_bad_clip", &O::on_bad_clip, {}, "what a clip that cannot be decoded does");
    v.field("max_bad_p", &O::max_bad_p, {.min = 0, .max = 1},
            "fraction of bad clips above which the stage fails");
    v.field("resample", &O::resample, {}, "quality of the resampler");
    v.field("store", &O::store, {}, "what shards hold: PCM of 16 bits or FLAC");
    v.field("shard_mb", &O::shard_mb,
            {.min = 1, .max = 65536, .unit = "MB", .hash = recipe::HashClass::kSpeed},
            "size of a shard file");
  }
};

}  // namespace xp::schema
