#include "tracker/store.h"

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "tracker/inbox.h"
#include "tracker/index.h"
#include "tracker/make_run.h"
#include "tracker/run_db.h"
#include "tracker/schema.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

/// Who writes the run, for messages: of its newest attempt.
std::string owner(const fs::path& folder) {
  try {
    const sql::Database db = read_run(folder);
    auto row = db.prepare("SELECT host, pid FROM attempt ORDER BY k DESC LIMIT 1");
    if (row.step()) return fmt::format(" on {}, pid {}", row.text(0), row.integer(1));
  } catch (const Error&) {
    // Locked or broken: then nobody can say.
  }
  return "";
}

/// A change that asks for `exp index` to look at an ended run again: docs/formats/tracker.md,
/// "index.db".
void mark_changed(const fs::path& workspace, std::string_view uid) {
  std::error_code ignored;
  fs::create_directories(workspace / "changed", ignored);
  write_file_atomic(workspace / "changed" / fmt::format("{}.{}", uid, make_ulid()), "");
}

/// `git status` of a tree that holds the workspace stays readable.
void keep_out_of_git(const fs::path& workspace) {
  const fs::path file = workspace / ".gitignore";
  if (fs::exists(file)) return;
  make_folders(workspace);
  write_file_atomic(file, "*\n");
}

}  // namespace

Store::Store(fs::path folder) : folder_(std::move(folder)) {}

std::string Store::new_uid() const {
  std::string newest;
  std::error_code none;
  fs::directory_iterator it(folder_ / "runs", none);
  for (const fs::directory_iterator end; !none && it != end; it.increment(none))
    newest = std::max(newest, it->path().filename().string());
  return make_ulid_after(newest);
}

std::unique_ptr<Run> Store::create(const NewRun& run, const RunOptions& options) {
  keep_out_of_git(folder_);
  return make_run(folder_, run.uid.empty() ? new_uid() : run.uid, run, options, false);
}

std::string Store::queue(const NewRun& run) {
  keep_out_of_git(folder_);
  const std::string uid = new_uid();
  const fs::path folder = run_folder(uid);
  fs::create_directories(folder / "inbox");
  fs::create_directories(folder / "files");
  make_run_db(folder, uid, run, wall_ns(), std::nullopt);
  return uid;
}

void Store::check_known(std::string_view uid) const {
  if (!fs::exists(run_folder(uid) / "run.db")) {
    throw Error(fmt::format("there is no run {} in {}", uid, folder_.string()));
  }
}

std::unique_ptr<Run> Store::resume(std::string_view uid, const NewRun& run,
                                   const RunOptions& options) {
  check_known(uid);
  try {
    auto out = make_run(folder_, std::string(uid), run, options, true);
    mark_changed(folder_, uid);
    return out;
  } catch (const Error& error) {
    if (error.code() != Exit::kUsage) throw;
    throw Error(fmt::format("run {} is running{}", uid, owner(run_folder(uid))));
  }
}

std::vector<Store::Earlier> Store::earlier(std::string_view recipe_hash) const {
  std::vector<Earlier> out;
  if (!fs::is_directory(folder_)) return out;
  Index index(folder_);
  index.refresh();
  auto rows = index.db().prepare(
      "SELECT uid, status FROM run WHERE recipe_hash=? AND status NOT IN ('queued', 'broken') "
      "ORDER BY uid DESC");
  rows.query(recipe_hash);
  while (rows.step()) {
    const bool done = rows.text_view(1) == "done";
    if (done || lock_unwritten(run_folder(rows.text(0)))) out.push_back({rows.text(0), done});
  }
  return out;
}

void Store::request(std::string_view uid, Request request) {
  check_known(uid);
  const fs::path folder = run_folder(uid);
  send(folder, std::move(request));
  // Nobody writes the run: the request is taken in here.
  if (auto lock = lock_unwritten(folder)) {
    recover(folder);
    mark_changed(folder_, uid);
  }
}

void Store::tag(std::string_view uid, const std::vector<std::string>& add,
                const std::vector<std::string>& remove) {
  Request message;
  message.action = "tag";
  message.add = add;
  message.remove = remove;
  request(uid, std::move(message));
}

void Store::note(std::string_view uid, std::string_view text) {
  Request message;
  message.action = "note";
  message.text = std::string(text);
  request(uid, std::move(message));
}

void Store::stop(std::string_view uid) {
  check_known(uid);
  if (lock_unwritten(run_folder(uid))) {
    throw Error(fmt::format("run {} is not running; there is nothing to stop", uid));
  }
  Request message;
  message.action = "stop";
  send(run_folder(uid), std::move(message));
}

void Store::remove(std::string_view uid) {
  check_known(uid);
  const fs::path folder = run_folder(uid);
  const auto lock = lock_unwritten(folder);
  if (!lock)
    throw Error(fmt::format("run {} is running{}; `exp stop {}` ends it", uid, owner(folder), uid));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    // What a killed `exp rm` left.
    if (entry.path().filename().string().starts_with("removed-"))
      fs::remove_all(entry.path(), ignored);
  }
  // Out of sight at once, so that nobody meets a half-removed run.
  const fs::path aside = folder_ / fmt::format("removed-{}", make_ulid());
  fs::rename(folder, aside);
  fs::remove_all(aside);
}

}  // namespace xp::tracker
