// exp data convert and exp data missing: work on the lists of a data set, prepared or not.
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/compute/data_parts.h"
#include "data/dataset.h"
#include "data/export.h"

namespace xp::cli {
namespace {
namespace fs = std::filesystem;

std::vector<data::Absent> all_absent(const data::JoinedListing& joined) {
  std::vector<data::Absent> out;
  for (const data::Listing& set : joined.sets)
    out.insert(out.end(), set.absent.begin(), set.absent.end());
  return out;
}

std::string missing_csv(const std::vector<data::Absent>& absent) {
  std::string text = "id,split,reason\n";
  for (const data::Absent& one : absent) {
    text += fmt::format("{},{},{}\n", data::csv_field(one.id), data::csv_field(one.split),
                        data::csv_field(one.reason));
  }
  return text;
}

/// AudioSet's segment lists without the absent clips, named as they were.
std::vector<std::string> write_lists(const data::JoinedListing& joined, const fs::path& out) {
  std::vector<std::string> made;
  for (const data::Listing& set : joined.sets) {
    std::map<std::string, std::set<std::string>> by_split;
    for (const data::Absent& one : set.absent) by_split[one.split].insert(one.id);
    for (const std::string& file : set.files) {
      const std::string name = fs::path(file).filename().string();
      for (const auto& [split, ids] : by_split) {
        if (name != split + "_segments.csv" && name != split + ".csv") continue;
        data::write_filtered_segments(file, ids, out / name);
        made.push_back(name);
      }
    }
  }
  return made;
}

}  // namespace

int data_convert(const DataArguments& arguments, const Session& session) {
  const ChosenData chosen = choose_data(arguments, session);
  const data::JoinedListing joined = data::list_joined(chosen.dataset);
  const data::AstFiles made =
      data::write_ast_files(joined, chosen.dataset, chosen.frontend.rate_hz, arguments.out);
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json({{"folder", arguments.out},
                                               {"files", made.files},
                                               {"clips", made.clips},
                                               {"decoded", made.decoded},
                                               {"unlabelled", made.unlabelled}})
                           .dump(1));
    return 0;
  }
  for (const std::string& file : made.files)
    fmt::print("{}\n", (fs::path(arguments.out) / file).string());
  fmt::print("{} clips, {} of them written as WAV\n", made.clips, made.decoded);
  if (made.unlabelled > 0) {
    fmt::print("{} clips without a label are left out: AST's form has no place for them\n",
               made.unlabelled);
  }
  return 0;
}

int data_missing(const DataArguments& arguments, const Session& session) {
  const ChosenData chosen = choose_data(arguments, session);
  const data::JoinedListing joined = data::list_joined(chosen.dataset);
  const std::vector<data::Absent> absent = all_absent(joined);
  std::map<std::string, int64_t> by_split;
  for (const data::Absent& one : absent) ++by_split[one.split];
  int64_t there = 0;
  for (const data::Listing& set : joined.sets) there += static_cast<int64_t>(set.clips.size());
  std::vector<std::string> made;
  if (!arguments.out.empty()) {
    make_folders(arguments.out);
    write_file_atomic(fs::path(arguments.out) / "missing.csv", missing_csv(absent));
    made = write_lists(joined, arguments.out);
    made.insert(made.begin(), "missing.csv");
  }
  if (session.json) {
    fmt::print(
        "{}\n",
        nlohmann::ordered_json(
            {{"there", there}, {"missing", absent.size()}, {"by_split", by_split}, {"files", made}})
            .dump(1));
    return 0;
  }
  if (made.empty()) fmt::print("{}", missing_csv(absent));
  for (const std::string& file : made)
    fmt::print("{}\n", (fs::path(arguments.out) / file).string());
  fmt::print("{} clips are there, {} are missing", there, absent.size());
  for (const auto& [split, count] : by_split) fmt::print("; {}: {}", split, count);
  fmt::print("\n");
  return 0;
}

}  // namespace xp::cli
