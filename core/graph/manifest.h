#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace xp::graph {

/// What went into a stage, as its manifest remembers it.
struct InputRecord {
  std::string role;   ///< as in stages.inc
  std::string part;   ///< "best", "output", ...
  std::string stage;  ///< name of the producing stage, "" for a file of the user
  std::string kind;   ///< its kind, "" for a file of the user
  std::string key;    ///< its key, or the digest of the user's file or folder
  std::string path;  ///< the user's file or folder as it was found; "" for a stage. Not in the key.
};

struct OutputFile {
  std::string path;  ///< below the output folder, with '/'
  uint64_t size = 0;
  std::string sha256;
};

/// manifest.json of a finished stage: what made it, and the digests of what it made.
struct Manifest {
  std::string kind;
  int version = 0;
  std::string key;
  std::string stage;    ///< name in the recipe that made it (a label)
  std::string options;  ///< canonical text of the result fields, one "key = value" a line
  std::vector<InputRecord> inputs;
  std::vector<OutputFile> files;
  std::map<std::string, double> metrics;  ///< what the stage reported as its summary
  std::string run;                        ///< ULID of the run that made it, "" if none
  std::string host;
  int64_t created_ns = 0;  ///< wall clock
  double seconds = 0;      ///< work in all attempts together

  /// Digest of the listing of `files`: equal outputs have equal digests.
  std::string output_digest() const;
};

/// With a digest of itself.
std::string manifest_text(const Manifest& manifest);
/// Throws Error (kData) naming `file` when the text is no manifest of this format, or does not
/// match its own digest; one without a digest is of an earlier exp.
Manifest parse_manifest(std::string_view text, const std::filesystem::path& file);

/// Lists and digests every regular file below `folder` except manifest.json, sorted by path.
std::vector<OutputFile> list_output(const std::filesystem::path& folder);

/// The key of a stage: 32 hex digits over kind, version, options and the (role, part, key) of its
/// inputs in order; paths, names and machines are not in it.
std::string stage_key(std::string_view kind, int version, std::string_view options,
                      const std::vector<InputRecord>& inputs);

}  // namespace xp::graph
