#include "core/recipe/files.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/files.h"
#include "core/recipe/toml.h"

namespace fs = std::filesystem;

namespace xp::recipe {
namespace {

class Reader {
 public:
  using Read = std::function<std::optional<std::string>(const fs::path&)>;

  Reader(Sources& sources, Faults& faults, std::vector<fs::path>& files, const Read& read)
      : sources_(sources), faults_(faults), files_(files), read_(read) {}

  void read(const fs::path& path, const Spot& asked_at) {
    std::error_code none;
    const fs::path identity = fs::weakly_canonical(path, none);
    if (std::find(open_.begin(), open_.end(), identity) != open_.end()) {
      faults_.add(asked_at, "extends goes round in a circle: " + chain(identity));
      return;
    }
    if (static_cast<int>(documents_.size() + open_.size()) >= kMaxFiles) {
      if (!full_) faults_.add(asked_at, fmt::format("a recipe of more than {} files", kMaxFiles));
      full_ = true;
      return;
    }
    const auto text = text_of(path, asked_at.source < 0);
    if (!text) {
      faults_.add(asked_at, fmt::format("there is no file {}", path.string()));
      return;
    }
    Document document;
    document.main = asked_at.source < 0;
    document.source =
        sources_.add({path.string(), fs::absolute(path, none).parent_path(), path, *text});
    if (std::find(files_.begin(), files_.end(), path) == files_.end()) files_.push_back(path);
    try {
      document.tree = parse_toml(sources_.at(document.source).text, document.source);
    } catch (const SyntaxError& error) {
      faults_.add(error.spot, error.message);
      return;
    }
    open_.push_back(identity);
    read_extended(document);
    open_.pop_back();
    documents_.push_back(std::move(document));
  }

  std::vector<Document> take() { return std::move(documents_); }

 private:
  /// nullopt for a file that is not there. The recipe itself may be a pipe; what it extends are
  /// files. A file too large for a recipe is not read.
  std::optional<std::string> text_of(const fs::path& path, bool main) const {
    if (read_) return read_(path);
    std::error_code none;
    if (!main && !fs::is_regular_file(path, none)) return std::nullopt;
    const auto size = fs::file_size(path, none);
    if (!none && size > kMaxBytes) {
      throw Error(
          {path.string(), 0, 0, {}},
          fmt::format("{} bytes: a recipe has at most {}; is this a recipe?", size, kMaxBytes));
    }
    return read_file(path, kMaxBytes + 1);  // a pipe or a device may have no end
  }

  std::string chain(const fs::path& last) const {
    std::string out;
    for (const fs::path& file : open_) out += file.filename().string() + " -> ";
    return out + last.filename().string();
  }

  void read_extended(Document& document) {
    const auto found = document.tree.find("extends");
    if (found == document.tree.end()) return;
    const Value extends = std::move(found->second);
    document.tree.erase(found);
    const Array* array = extends.get<Array>();
    if (array == nullptr) {
      faults_.add(extends.spot, "extends: expected an array of paths, received " +
                                    std::string(type_name(extends)));
      return;
    }
    for (const Value& item : *array) {
      const std::string* text = item.get<std::string>();
      if (text == nullptr || text->empty()) {
        faults_.add(item.spot,
                    "extends: expected a path, received " + std::string(type_name(item)));
        continue;
      }
      const fs::path asked = expand_user(*text);
      const fs::path folder = sources_.at(document.source).file.parent_path();
      read(asked.is_absolute() ? asked : (folder / asked).lexically_normal(), item.spot);
    }
  }

  Sources& sources_;
  Faults& faults_;
  std::vector<fs::path>& files_;
  const Read& read_;
  std::vector<Document> documents_;
  std::vector<fs::path> open_;
  bool full_ = false;
};

}  // namespace

std::vector<Document> read_documents(
    const fs::path& path, Sources& sources, Faults& faults, std::vector<fs::path>& files,
    const std::function<std::optional<std::string>(const fs::path&)>& read) {
  Reader reader(sources, faults, files, read);
  reader.read(path, Spot{});
  return reader.take();
}

}  // namespace xp::recipe
