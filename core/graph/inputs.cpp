#include "core/graph/inputs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

#include <sys/stat.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/graph/input_scan.h"
#include "core/graph/inputs_table.h"
#include "core/graph/seen_files.h"

namespace xp::graph {
namespace fs = std::filesystem;

namespace {

constexpr size_t kNamedInDifference = 3;  // changed files named in a difference
constexpr size_t kRemembered = 64;        // differences kept a root

std::string describe_changes(const InputTable& before, const Scan& now) {
  std::unordered_map<std::string_view, const TableRecord*> old;
  for (const TableRecord& record : before.records()) {
    if (record.state != TableRecord::kAbsent) old.emplace(before.path(record), &record);
  }
  std::vector<std::string> named;
  size_t total = 0;
  const auto say = [&](std::string_view path, const char* what) {
    if (++total <= kNamedInDifference)
      named.push_back(path.empty() ? "content " + std::string(what)
                                   : fmt::format("{} {}", path, what));
  };
  for (size_t i = 0; i < now.files.size(); ++i) {
    if (now.files[i].state == TableRecord::kAbsent) continue;
    const auto found = old.find(now.paths[i]);
    if (found == old.end()) {
      say(now.paths[i], "added");
      continue;
    }
    if (found->second->hash != now.files[i].hash) say(now.paths[i], "changed");
    old.erase(found);
  }
  for (const TableRecord& record : before.records()) {
    if (old.count(before.path(record)) != 0) say(before.path(record), "removed");
  }
  std::string out = fmt::format("{}", fmt::join(named, ", "));
  if (total > kNamedInDifference) out += fmt::format(" and {} more", total - kNamedInDifference);
  return out;
}

nlohmann::json read_history(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return nlohmann::json::array();
  const nlohmann::json in = nlohmann::json::parse(read_file(file), nullptr, false);
  return in.is_array() ? in : nlohmann::json::array();
}

void remember_change(const fs::path& file, const std::string& from, const std::string& to,
                     const std::string& what) {
  nlohmann::json history = read_history(file);
  history.push_back({{"from", from}, {"to", to}, {"what", what}});
  while (history.size() > kRemembered) history.erase(history.begin());
  write_file_atomic(file, history.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// One table a root and choice of its files.
fs::path table_base(const fs::path& memory, const fs::path& root,
                    const Counted* counted = nullptr) {
  std::string what = fs::absolute(root).lexically_normal().string();
  if (counted != nullptr) what += '\n' + counted->name;
  return memory / sha256(what).substr(0, 16);
}

fs::path list_base(const fs::path& memory, const fs::path& name) {
  return table_base(memory, name / "list");
}

// Whether paths and sizes are those of the table, as where the contents are.
bool same_listing(const Scan& scan, const InputTable& made, const Counted* counted) {
  std::unordered_map<std::string_view, uint64_t> sizes;
  for (const TableRecord& record : made.records()) {
    const bool counts = counted == nullptr || counted->file(made.path(record));
    if (record.state != TableRecord::kAbsent && counts)
      sizes.emplace(made.path(record), record.stat.size);
  }
  if (sizes.size() != scan.count()) return false;
  for (size_t i = 0; i < scan.files.size(); ++i) {
    if (scan.files[i].state == TableRecord::kAbsent) continue;
    const auto at = sizes.find(scan.paths[i]);
    if (at == sizes.end() || at->second != scan.files[i].stat.size) return false;
  }
  return true;
}

}  // namespace

// What is looked at, and how.
struct InputDigests::Look {
  fs::path root;           ///< paths are below it; "" where they are whole
  fs::path base;           ///< of the table's file
  fs::path history;        ///< base of the file that remembers changes
  const Counted* counted;  ///< null: all files
  const Counted* known;    ///< another choice that is remembered; null: none, or that of all
  std::string_view source;
  const Progress& progress;
  const PutOff* put_off;
  bool list;
};

InputDigest InputDigests::finish(Scan& scan, const Look& look) {
  InputDigest out;
  out.files = scan.count();
  out.bytes = scan.bytes();
  if (scan.unchanged() && scan.table().source() == look.source) {
    out.digest = scan.table().digest();
    return out;
  }
  scan.keep_all();
  if (!scan.unread.empty() && look.counted != look.known)
    fill_from(scan,
              InputTable::open(table_base(memory_, look.root, look.known).string() + ".table"));
  for (const auto& seen : taken_) {
    std::erase_if(scan.unread, [&](const Scan::Unread& one) {
      return seen->fill(scan.files[one.at], one.device);
    });
  }
  if (look.put_off != nullptr && scan.unread_bytes() > look.put_off->above_bytes &&
      !was_made(scan, look)) {
    out.unread = scan.unread.size();
    out.unread_bytes = scan.unread_bytes();
    out.digest = listing_digest(scan);
    return out;
  }
  hash_unread(scan, look.root, look.progress);
  out.hashed = scan.unread.size();
  out.digest = content_digest(scan);
  const std::string& before = scan.table().digest();
  std::string changes;
  if (!before.empty() && before != out.digest) changes = describe_changes(scan.table(), scan);
  auto write = [this, base = look.base.string(), history = look.history.string(), before, changes,
                digest = out.digest, bytes = out.bytes, source = std::string(look.source),
                files = std::move(scan.files), paths = std::move(scan.paths)]() mutable {
    std::error_code error;
    fs::create_directories(memory_, error);
    try {
      if (!changes.empty()) remember_change(history + ".changes", before, digest, changes);
      write_table(base + ".table", files, paths, digest, bytes, source);
    } catch (const Error&) {
      // A memory that cannot be kept costs time at the next plan, nothing else.
    }
  };
  if (held_) {
    pending_.emplace_back(std::move(write));
  } else {
    write();
  }
  return out;
}

bool InputDigests::was_made(const Scan& scan, const Look& look) const {
  const auto& made = look.list ? look.put_off->lists : look.put_off->trees;
  return std::any_of(made.begin(), made.end(), [&](const auto& one) {
    const auto& [path, digest] = one;
    const fs::path base =
        look.list ? list_base(memory_, path) : table_base(memory_, path, look.counted);
    const InputTable table = InputTable::open(base.string() + ".table");
    if (table.digest() == digest) return same_listing(scan, table, nullptr);
    if (look.counted != nullptr) {  // as a version made it whose keys were of all files
      const InputTable all = InputTable::open(table_base(memory_, path).string() + ".table");
      if (all.digest() == digest) return same_listing(scan, all, look.counted);
    }
    return base != look.base || table.digest().empty();
  });
}

void InputDigests::take(std::shared_ptr<SeenFiles> seen) { taken_.push_back(std::move(seen)); }

void InputDigests::never_put_off(const fs::path& root) { never_put_off_.insert(root.string()); }

void InputDigests::hold() { held_ = true; }

void InputDigests::keep() {
  held_ = false;
  for (const auto& write : pending_) write();
  pending_.clear();
}

InputDigest InputDigests::tree(const fs::path& root, const Progress& progress,
                               const PutOff* put_off, const Counted* counted) {
  if (!once_) return look(root, progress, put_off, counted, nullptr);
  const auto [at, fresh] = seen_.try_emplace(table_base(memory_, root, counted).string());
  if (fresh) {
    try {
      at->second = look(root, progress, nullptr, counted, nullptr);
    } catch (...) {
      seen_.erase(at);
      throw;
    }
  }
  return at->second;
}

InputDigest InputDigests::tree_of_all(const fs::path& root, const Counted& counted) {
  return look(root, {}, nullptr, nullptr, &counted);
}

InputDigest InputDigests::look(const fs::path& root, const Progress& progress,
                               const PutOff* put_off, const Counted* counted,
                               const Counted* known) {
  const fs::path base = table_base(memory_, root, counted);
  const InputTable table = InputTable::open(base.string() + ".table");
  Scan scan(table);
  struct stat info {};
  if (::stat(root.c_str(), &info) != 0) {
    throw Error(fmt::format("cannot read {}: {}", root.string(), std::strerror(errno)),
                Exit::kData);
  }
  if (S_ISREG(info.st_mode)) {
    // the digest is of what the path holds, not of the path
    scan.meet("", file_stat_of(info), info.st_dev);
  } else {
    scan.walk(root, counted);
  }
  return finish(scan, {root, base, table_base(memory_, root), counted, known, "", progress,
                       unless_never(root, put_off), false});
}

InputDigest InputDigests::list(const fs::path& name, std::string_view source,
                               const std::function<std::vector<fs::path>()>& read,
                               const Progress& progress, const PutOff* put_off) {
  const fs::path base = list_base(memory_, name);
  const InputTable table = InputTable::open(base.string() + ".table");
  Scan scan(table);
  const auto look = [&](const std::string& file) {
    struct stat info {};
    // What is no regular file has no content: who decodes it says what it is.
    if (::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      scan.meet(file, file_stat_of(info), info.st_dev);
    } else {
      scan.meet_absent(file);
    }
  };
  if (!source.empty() && table.source() == source) {
    std::string file;
    for (const TableRecord& record : table.records()) look(file = table.path(record));
  } else {
    for (const fs::path& file : read()) look(file.string());
  }
  return finish(scan, {fs::path(), base, base, nullptr, nullptr, source, progress,
                       unless_never(name, put_off), true});
}

const PutOff* InputDigests::unless_never(const fs::path& root, const PutOff* put_off) const {
  return never_put_off_.count(root.string()) == 0 ? put_off : nullptr;
}

std::string InputDigests::last_known(const fs::path& root, const Counted* counted) const {
  const InputTable table = InputTable::open(table_base(memory_, root, counted).string() + ".table");
  if (counted == nullptr || !table.digest().empty()) return table.digest();
  const InputTable all = InputTable::open(table_base(memory_, root).string() + ".table");
  return all.digest().empty() ? "" : content_digest(all, *counted);
}

std::string InputDigests::content_of(const fs::path& root, std::string_view file) const {
  const InputTable table = InputTable::open(table_base(memory_, root).string() + ".table");
  for (const TableRecord& record : table.records()) {
    if (record.state == TableRecord::kAbsent || table.path(record) != file) continue;
    std::string out;
    for (const uint8_t byte : record.hash) out += fmt::format("{:02x}", byte);
    return out;
  }
  return "";
}

std::string InputDigests::difference(const fs::path& root, std::string_view from,
                                     std::string_view to) const {
  const nlohmann::json history = read_history(table_base(memory_, root).string() + ".changes");
  // Backwards from `to`: the newest way that leads there.
  std::string at(to), out;
  for (auto it = history.rbegin(); it != history.rend() && at != from; ++it) {
    if (it->value("to", "") != at) continue;
    const std::string what = it->value("what", "");
    out = out.empty() ? what : what + ", then " + out;
    at = it->value("from", "");
  }
  return at == from ? out : "";
}

}  // namespace xp::graph
