// exp fetch: published weights from their release into the folder where recipes find them.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sys/stat.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/printable.h"
#include "core/base/process.h"
#include "core/base/progress.h"
#include "core/base/stop.h"
#include "core/checkpoint/archive.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/schema/weights.h"
#include "core/schema/weights_sources.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using schema::WeightsSource;

const WeightsSource& source_of(const std::string& name) {
  if (const WeightsSource* found = schema::find_weights_source(name)) return *found;
  std::vector<std::string_view> names;
  for (const WeightsSource& s : schema::weights_sources()) names.push_back(s.name);
  const std::string near = nearest(name, names);
  throw Error(fmt::format("there are no published weights '{}'{}", name,
                          near.empty() ? "; `exp models --weights` lists them"
                                       : fmt::format("; did you mean '{}'?", near)));
}

fs::path digest_file(const fs::path& file) { return file.string() + ".sha256"; }

/// What is recorded of a file, "" when nothing is.
std::string recorded_digest(const fs::path& file) {
  if (!fs::exists(digest_file(file))) return "";
  return read_file(digest_file(file)).substr(0, 64);
}

/// In the format of sha256sum, so that `sha256sum -c` reads it.
void record_digest(const fs::path& file, const std::string& digest) {
  write_file_atomic(digest_file(file), digest + "  " + file.filename().string() + "\n");
}

/// The file's digest must be what its release says, and what it was the first time.
void check_digest(const WeightsSource& source, const fs::path& file, const std::string& digest) {
  const std::string_view start = source.digest_start();
  if (digest.compare(0, start.size(), start) != 0) {
    throw Error(
        fmt::format("{}: its SHA-256 is {}.., the release says {}..; remove it and fetch it again",
                    file.string(), digest.substr(0, 8), start),
        Exit::kData);
  }
  const std::string before = recorded_digest(file);
  if (!before.empty() && before != digest) {
    throw Error(fmt::format("{}: its SHA-256 is {}.., it was {}.. when it was fetched; remove it "
                            "and fetch it again",
                            file.string(), digest.substr(0, 8), before.substr(0, 8)),
                Exit::kData);
  }
}

/// A release has nothing larger.
constexpr int64_t kMostBytes = int64_t{4} << 30;
constexpr size_t kHead = 64;

/// The file begins as weights do: a server that has no file may answer with a page about that.
void check_head(const WeightsSource& source, const fs::path& file) {
  const std::string head = read_file(file, kHead);
  if (checkpoint::looks_like_weights(std::as_bytes(std::span(head)))) return;
  throw Error(
      fmt::format("{}: this is {}, not weights; remove it, and see what {} gives", file.string(),
                  head.find('<') < 8 ? "a web page"
                                     : "neither a file of torch.save nor a .safetensors file",
                  source.url),
      Exit::kData);
}

/// What curl's exit codes mean here (curl(1), "EXIT CODES").
std::string curl_reason(int code) {
  switch (code) {
    case 5:
    case 6:
    case 7:
    case 28:
    case 35:
      return "the address cannot be reached from here";
    case 22:
      return "the server has no such file";
    case 63:
      return fmt::format("it is larger than {} GB: no file of a release", kMostBytes >> 30);
    case 23:
      return "the file cannot be written";
    case 127:
      return "curl is not installed";
    default:
      return fmt::format("curl ended with code {}", code);
  }
}

class Download {
 public:
  Download(const WeightsSource& source, fs::path file)
      : source_(source),
        file_(std::move(file)),
        part_(file_.string() + ".part"),
        version_(part_.string() + ".etag") {}

  void run() {
    fs::create_directories(file_.parent_path());
    const auto lock = FileLock::acquire(file_.string() + ".lock",
                                        [] { return stop_requested() == StopReason::kNone; });
    if (fs::exists(file_)) return;  // another process fetched it meanwhile
    std::string version = version_of_part();
    if (version.empty()) fs::remove(part_);
    const auto there = size_of(part_);
    if (there > 0)
      fmt::print(stderr, "goes on after {:.1f} MB\n", static_cast<double>(there) * 1e-6);
    int code = transfer(there, version);
    if (code == kNoRange) {  // the server's file is another one by now
      fmt::print(stderr, "{} has changed since: it is fetched from the start\n", source_.url);
      fs::remove(part_);
      code = transfer(0, "");
    }
    if (code != 0) fail(code);
    check_head(source_, part_);
    const std::string digest = sha256_file(part_);
    check_digest(source_, part_, digest);
    fs::rename(part_, file_);
    std::error_code ignored;
    fs::remove(version_, ignored);
    record_digest(file_, digest);
  }

 private:
  static int64_t size_of(const fs::path& file) {
    std::error_code absent;
    const auto size = fs::file_size(file, absent);
    return absent ? 0 : static_cast<int64_t>(size);
  }

  // The version of the file (its ETag) that the part is of: "URL LF etag". Without it nobody can
  // say what the part is a part of.
  std::string version_of_part() const {
    if (size_of(part_) == 0 || !fs::exists(version_)) return "";
    const std::string kept = read_file(version_, 4096);
    const size_t line = kept.find('\n');
    if (line == std::string::npos || kept.substr(0, line) != source_.url) return "";
    std::string etag = kept.substr(line + 1);
    while (!etag.empty() && etag.back() == '\n') etag.pop_back();
    return is_printable(etag) ? etag : "";
  }

  // What curl has saved of the answer, kept with the address once there is a part.
  void keep_version(const fs::path& answer) const {
    std::error_code absent;
    if (!fs::exists(answer, absent)) return;
    write_file_atomic(version_, std::string(source_.url) + "\n" + read_file(answer, 4096));
    fs::remove(answer, absent);
  }

  int transfer(int64_t there, const std::string& version) {
    const fs::path answer = part_.string() + ".answer";
    std::error_code ignored;
    fs::remove(answer, ignored);
    std::vector<std::string> argv = {"curl",
                                     "--location",
                                     "--fail",
                                     "--silent",
                                     "--show-error",
                                     "--retry",
                                     "3",
                                     "--connect-timeout",
                                     "20",
                                     "--proto",
                                     "=https",
                                     "--max-filesize",
                                     std::to_string(kMostBytes),
                                     "--etag-save",
                                     answer.string(),
                                     "--output",
                                     part_.string()};
    if (there > 0)
      argv.insert(argv.end(), {"--continue-at", "-", "--header", "If-Range: " + version});
    argv.emplace_back(source_.url);
    pid_t child = 0;
    try {
      child = start_process(argv, {});
    } catch (const Error&) {
      return 127;
    }
    Progress progress(fmt::format("fetch {}", source_.name), 0, "MB");
    progress.start_from(there / 1'000'000);
    int64_t shown = there / 1'000'000;
    while (true) {
      const auto code = poll_process(child);
      const int64_t now = size_of(part_) / 1'000'000;
      progress.add(now - shown);
      shown = now;
      keep_version(answer);
      if (code) return *code;
      if (size_of(part_) > kMostBytes) {
        ::kill(child, SIGTERM);
        fs::remove(part_, ignored);
        throw Error(fmt::format("{} is larger than {} GB: this is no file of a release",
                                source_.url, kMostBytes >> 30),
                    Exit::kData);
      }
      if (stop_requested() != StopReason::kNone) {
        throw Error(fmt::format("stopped; the same command goes on with {}", part_.string()),
                    Exit::kInterrupted);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  [[noreturn]] void fail(int code) const {
    throw Error(fmt::format("cannot fetch {}: {}\n  download  {}\n  to        {}", source_.name,
                            curl_reason(code), source_.url, file_.string()),
                Exit::kFailed);
  }

  static constexpr int kNoRange = 33;  // of curl: the range that was asked for is not given

  const WeightsSource& source_;
  fs::path file_;
  fs::path part_;
  fs::path version_;
};

class Fetch : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("names", names_, "weights, as `exp models --weights` lists them").required();
    declared.flag("--check", check_, "read files that are there again and compare their digests");
    declared.footer(
        "Downloads with curl, and goes on where an earlier attempt ended if the server still has "
        "that file. Files are kept in "
        "$EXP_WEIGHTS (default\n"
        "~/.local/share/exp/weights) with their SHA-256 beside them.\n\n"
        "Examples:\n  exp fetch passt_s_swa_p16_128_ap476\n  exp fetch --check "
        "audioset_10_10_0.4593\n");
  }

  int run(Session& session) override {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const std::string& name : names_)
      source_of(name);  // a misspelt one stops before the first download
    for (const std::string& name : names_) {
      const WeightsSource& source = source_of(name);
      const fs::path file = schema::weights_file(source);
      const bool was_there = fs::exists(file);
      if (!was_there) Download(source, file).run();
      std::string digest = recorded_digest(file);
      if (check_ || digest.empty()) {
        check_head(source, file);
        digest = sha256_file(file);
        check_digest(source, file, digest);
        record_digest(file, digest);
      }
      if (session.json) {
        rows.push_back({{"name", name},
                        {"file", file.string()},
                        {"sha256", digest},
                        {"stated", !source.digest_start().empty()},
                        {"fetched", !was_there}});
      } else {
        fmt::print(
            "{}  {}  sha256 {}..{}\n", was_there ? "there  " : "fetched", file.string(),
            digest.substr(0, 12),
            source.digest_start().empty() ? " (the release states none: noted as it came)" : "");
      }
    }
    if (session.json) fmt::print("{}\n", rows.dump(2));
    return 0;
  }

 private:
  std::vector<std::string> names_;
  bool check_ = false;
};

}  // namespace

std::unique_ptr<Command> make_fetch() { return std::make_unique<Fetch>(); }

}  // namespace xp::cli
