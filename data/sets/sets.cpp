#include "data/sets/sets.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/schema/dataset.h"
#include "core/schema/sound_files.h"
#include "data/csv.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

const char* name_of(fs::file_type type) {
  switch (type) {
    case fs::file_type::not_found:
      return "a link that leads nowhere";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "a device";
  }
}

/// Of an entry, through links. What is neither a file nor a folder is named, and counts as nothing.
fs::file_type type_of(const fs::directory_entry& entry) {
  std::error_code error;
  const fs::file_type type = entry.status(error).type();
  if (type == fs::file_type::regular || type == fs::file_type::directory) return type;
  const bool circle = error == std::errc::too_many_symbolic_link_levels;
  if (error && !circle && type != fs::file_type::not_found)
    throw fs::filesystem_error("stat", entry.path(), error);
  log::warn("{}: left out: {}", entry.path().string(),
            circle ? "a link in a circle" : name_of(type));
  return fs::file_type::none;
}

/// Collects the files below a folder, and keeps the folders that it is in: a link back up to one of
/// them has no end.
class FolderWalk {
 public:
  FolderFiles found;

  explicit FolderWalk(bool deep) : deep_(deep) {}

  /// Through the folders from `folder` to `below`, which is listed.
  void descend(const fs::path& folder, const fs::path& below) {
    fs::path at = folder;
    for (const fs::path& name : below) {
      if (!enter(at)) return;
      at /= name;
    }
    list(at, "");
  }

 private:
  bool enter(const fs::path& folder) {
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0)
      throw fs::filesystem_error("stat", folder, std::error_code(errno, std::generic_category()));
    const std::pair<dev_t, ino_t> id(info.st_dev, info.st_ino);
    if (std::find(above_.begin(), above_.end(), id) != above_.end()) return false;
    above_.push_back(id);
    return true;
  }

  void list(const fs::path& folder, const std::string& path) {
    if (!enter(folder)) return;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) continue;
      const fs::file_type type = type_of(entry);
      if (deep_ && type == fs::file_type::directory) list(entry.path(), path + name + "/");
      if (type != fs::file_type::regular) continue;
      const bool sound = schema::kind_of_file(name) == schema::FileKind::kSound;
      (sound ? found.sounds : found.others).push_back(path + name);
    }
    above_.pop_back();
  }

  bool deep_;
  std::vector<std::pair<dev_t, ino_t>> above_;
};

/// What the system refuses becomes the one line that a user can act on.
template <class Look>
auto looking_into(Look look) {
  try {
    return look();
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("cannot read {}: {}", error.path1().string(), error.code().message()),
                Exit::kData);
  }
}

}  // namespace

void fail_layout(const schema::DatasetOptions& options, const std::string& message) {
  const std::string_view name = recipe::enum_name(options.name);
  throw Error(fmt::format("{}\nexpected layout of {}:\n{}", message, name, dataset_layout(name)),
              Exit::kData);
}

fs::path require_root(const schema::DatasetOptions& options) {
  const std::string_view name = recipe::enum_name(options.name);
  if (options.root.empty())
    fail_layout(options, fmt::format("dataset.root is not set; {} needs its folder", name));
  const fs::path root = expand_user(options.root);
  std::error_code ignored;
  if (!fs::is_directory(root, ignored))
    fail_layout(options, fmt::format("there is no folder {}", root.string()));
  return root;
}

fs::path require_file(const schema::DatasetOptions& options, const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored))
    fail_layout(options, fmt::format("there is no file {}", file.string()));
  return file;
}

std::vector<ClassInfo> read_classes(const fs::path& file) {
  return parse_classes(file.string(), read_file(file));
}

std::vector<ClassInfo> parse_classes(const std::string& name, std::string_view text) {
  CsvReader csv(name, text);
  const auto columns = csv.header({"index", "mid", "display_name"});
  std::vector<std::optional<ClassInfo>> found;
  std::map<std::string, int> lines;
  CsvRow row;
  while (csv.next(row)) {
    const int64_t index = csv.integer(row, columns[0]);
    if (index < 0 || index > 1'000'000)
      csv.fail(row, fmt::format("implausible class index {}", index));
    const auto at = static_cast<size_t>(index);
    if (at >= found.size()) found.resize(at + 1);
    if (found[at]) csv.fail(row, fmt::format("class index {} is there twice", index));
    const std::string& id = csv.at(row, columns[1]);
    const auto [other, fresh] = lines.emplace(id, row.line);
    if (!fresh) csv.fail(row, fmt::format("class '{}' is in line {} as well", id, other->second));
    found[at] = ClassInfo{id, csv.at(row, columns[2])};
  }
  std::vector<ClassInfo> classes;
  for (const auto& one : found) {
    if (!one) {
      throw Error(Place{name}, fmt::format("class index {} is missing", classes.size()),
                  Exit::kData);
    }
    classes.push_back(*one);
  }
  if (classes.empty()) throw Error(Place{name}, "no class in it", Exit::kData);
  return classes;
}

std::vector<ClassInfo> classes_of(const schema::DatasetOptions& options, const fs::path& own,
                                  Listing& listing) {
  const fs::path file =
      options.labels.empty() ? require_file(options, own) : expand_user(options.labels);
  listing.files.push_back(file.string());
  return read_classes(file);
}

std::map<std::string, int32_t, std::less<>> index_by_id(const std::vector<ClassInfo>& classes) {
  std::map<std::string, int32_t, std::less<>> out;
  for (size_t i = 0; i < classes.size(); ++i) out.emplace(classes[i].id, static_cast<int32_t>(i));
  return out;
}

void sort_labels(std::vector<Label>& labels) {
  std::sort(labels.begin(), labels.end(),
            [](const Label& a, const Label& b) { return a.index < b.index; });
  labels.erase(std::unique(labels.begin(), labels.end(),
                           [](const Label& a, const Label& b) { return a.index == b.index; }),
               labels.end());
}

FolderFiles files_in(const fs::path& root, const std::string& below, bool deep) {
  FolderWalk walk(deep);
  looking_into([&] { walk.descend(root, below); });
  std::sort(walk.found.sounds.begin(), walk.found.sounds.end());
  std::sort(walk.found.others.begin(), walk.found.others.end());
  return std::move(walk.found);
}

std::vector<std::string> sound_files(const fs::path& root, const std::string& below, bool deep,
                                     LeftOut* left_out) {
  FolderFiles files = files_in(root, below, deep);
  if (left_out != nullptr) count_left_out(files.others, *left_out);
  return std::move(files.sounds);
}

std::vector<std::string_view> endings_from(std::initializer_list<std::string_view> first) {
  std::vector<std::string_view> out(first);
  for (const std::string_view one : schema::sound_endings()) {
    if (std::find(out.begin(), out.end(), one) == out.end()) out.push_back(one);
  }
  return out;
}

void count_left_out(const std::vector<std::string>& files, LeftOut& left_out) {
  for (const std::string& file : files) ++left_out[schema::ending_of(file)];
}

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  looking_into([&] {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(".") && type_of(entry) == fs::file_type::directory)
        names.push_back(name);
    }
  });
  std::sort(names.begin(), names.end());
  return names;
}

int16_t split_index(Listing& listing, std::string_view name, std::string_view group) {
  for (size_t i = 0; i < listing.splits.size(); ++i) {
    if (listing.splits[i].name == name) return static_cast<int16_t>(i);
  }
  listing.splits.push_back({std::string(name), std::string(group)});
  return static_cast<int16_t>(listing.splits.size() - 1);
}

}  // namespace xp::data
