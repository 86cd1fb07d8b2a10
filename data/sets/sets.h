#pragma once

// Private to data/sets: the list functions of datasets.inc and what they share.

#include <filesystem>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"

namespace xp::schema {
struct DatasetOptions;
}

namespace xp::data {

#define XP_DATASET(name, list) Listing list(const schema::DatasetOptions& options);
#include "data/datasets.inc"
#undef XP_DATASET

/// The set's folder; throws Error (kData) with the layout that is expected when it is not there.
std::filesystem::path require_root(const schema::DatasetOptions& options);
/// A file below it; throws the same way.
std::filesystem::path require_file(const schema::DatasetOptions& options,
                                   const std::filesystem::path& file);
[[noreturn]] void fail_layout(const schema::DatasetOptions& options, const std::string& message);

/// A label file: columns index, mid, display_name. Indices must be 0..n-1, each once; any order of
/// rows.
std::vector<ClassInfo> read_classes(const std::filesystem::path& file);
std::vector<ClassInfo> parse_classes(const std::string& name, std::string_view text);
/// `options.labels` where it is set, else `own`, which must be there.
std::vector<ClassInfo> classes_of(const schema::DatasetOptions& options,
                                  const std::filesystem::path& own, Listing& listing);

/// Class id -> index; throws nothing.
std::map<std::string, int32_t, std::less<>> index_by_id(const std::vector<ClassInfo>& classes);

/// Sorts labels by index and drops repetitions.
void sort_labels(std::vector<Label>& labels);

/// Files of a folder, as paths relative to it, sorted by bytes.
struct FolderFiles {
  std::vector<std::string> sounds;  ///< by their endings, see schema::kind_of_file
  std::vector<std::string> others;
};
/// The files of ROOT/BELOW and, if `deep`, of its folders. Only what the digest of ROOT is of
/// (core/graph/input_scan.h), so that a stage's key says what is listed: regular files, through
/// links, but for names below ROOT that begin with '.' and a link to a folder that it lies in.
/// Throws Error (kData) when a folder cannot be read.
FolderFiles files_in(const std::filesystem::path& root, const std::string& below, bool deep);
/// Their sounds; the others are counted in `left_out` where it is given.
std::vector<std::string> sound_files(const std::filesystem::path& root, const std::string& below,
                                     bool deep, LeftOut* left_out = nullptr);
void count_left_out(const std::vector<std::string>& files, LeftOut& left_out);
/// All endings of sound, `first` before the others: a set says which it prefers of several files.
std::vector<std::string_view> endings_from(std::initializer_list<std::string_view> first);
/// Names of the folders in a folder, sorted; those that begin with '.' are left out. Throws Error
/// (kData) when it cannot be read.
std::vector<std::string> folders_in(const std::filesystem::path& folder);

/// The index of the split of this name; made when it is new.
int16_t split_index(Listing& listing, std::string_view name, std::string_view group);

}  // namespace xp::data
