#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tracker/run_sink.h"

namespace xp::tracker {

/// A request of another process to the one that writes a run: a small JSON file in
/// runs/ULID/inbox/, made whole by rename and removed once it is in run.db.
struct Request {
  std::string id;                        ///< ULID, also the file's name: a request is taken in once
  std::string action;                    ///< "tag", "note", "stop", "event"
  std::vector<std::string> add, remove;  ///< tags
  std::string text;                      ///< of a note or event
  Level level = Level::kInfo;            ///< of an event
  int64_t time_ns = 0;
};

/// Sends it. Throws Error (kFailed) when the run's folder cannot be written.
void send(const std::filesystem::path& run_folder, Request request);

/// Requests that wait, oldest first. A file that is no request is skipped.
std::vector<Request> read_inbox(const std::filesystem::path& run_folder);

/// Removes a request that was taken in.
void acknowledge(const std::filesystem::path& run_folder, const Request& request);

}  // namespace xp::tracker
