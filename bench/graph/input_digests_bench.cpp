// What planning over a large folder costs when nothing changed, against a bare stat of each file.
//
//   input_digests_bench [FILES=200000] [FOLDER] [EXP]
//
// Makes FILES files of 64 bytes in 100 folders below FOLDER (a temporary one by default), hashes
// them once, waits until they are older than a tick of the clock, hashes again, then measures in
// turn: stat of every path, and InputDigests::tree. With EXP (the program exp) a data JSON lists
// the files, and the whole command `EXP recipe plan` is measured as well. Prints seconds per
// million files and the ratios as a last line of JSON.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/clock.h"
#include "core/graph/inputs.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> make_files(const fs::path& root, int count) {
  std::vector<std::string> out;
  for (int folder = 0; folder < 100; ++folder) {
    fs::create_directories(root / fmt::format("part{:02}", folder));
  }
  for (int i = 0; i < count; ++i) {
    out.push_back((root / fmt::format("part{:02}/Y{:011}.wav", i % 100, i)).string());
    std::ofstream(out.back()) << fmt::format("{:064}", i);
  }
  std::sort(out.begin(), out.end());
  return out;
}

template <class Work>
double seconds(const Work& work) {
  const int64_t start = xp::steady_ns();
  work();
  return static_cast<double>(xp::steady_ns() - start) / 1e9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A workspace whose recipe trains on a data JSON of all files.
void write_workspace(const fs::path& base, const std::vector<std::string>& files) {
  std::ofstream(base / "exp.toml") << "default_recipe = \"recipe.toml\"\n";
  std::ofstream(base / "labels.csv") << "index,mid,display_name\n0,/m/0,a\n";
  std::ofstream(base / "recipe.toml")
      << "dataset = { name = \"json\", json_train = \"list.json\", "
         "labels = \"labels.csv\", val = \"none\", test = \"none\" }\n"
         "model = { arch = \"ast-nano\", weights = \"none\" }\n"
         "optimiser.lr = 1e-3\nstages.train = { do = \"train\" }\n";
  std::ofstream list(base / "list.json");
  list << "{\"data\": [\n";
  for (size_t i = 0; i < files.size(); ++i) {
    list << "{\"wav\": \"" << files[i] << "\", \"labels\": \"/m/0\"}"
         << (i + 1 < files.size() ? ",\n" : "\n]}\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 200000;
  const fs::path base = argc > 2 ? fs::path(argv[2]) : fs::temp_directory_path() / xp::make_ulid();
  const std::vector<std::string> files = make_files(base / "set", count);
  xp::graph::InputDigests digests(base / "memory");
  const double first = seconds([&] { digests.tree(base / "set"); });
  ::sleep(3);
  digests.tree(base / "set");

  const std::string command =
      argc > 3 ? fmt::format("cd '{}' && '{}' recipe plan > plan.txt", base.string(), argv[3]) : "";
  const auto whole_command = [&] {
    if (std::system(command.c_str()) != 0) std::abort();
  };
  if (!command.empty()) {
    write_workspace(base, files);
    whole_command();
    ::sleep(3);
    whole_command();
  }
  std::vector<double> bare, ours, commands;
  for (int round = 0; round < 9; ++round) {
    const auto stat_all = [&] {
      uint64_t bytes = 0;
      for (const std::string& file : files) {
        struct stat info {};
        if (::stat(file.c_str(), &info) == 0) bytes += static_cast<uint64_t>(info.st_size);
      }
      if (bytes != files.size() * 64) std::abort();
    };
    const auto plan = [&] {
      if (digests.tree(base / "set").hashed != 0) std::abort();
    };
    // In turn, so that whatever else the machine does falls on both.
    if (round % 2 == 0) bare.push_back(seconds(stat_all));
    ours.push_back(seconds(plan));
    if (round % 2 != 0) bare.push_back(seconds(stat_all));
    if (!command.empty()) commands.push_back(seconds(whole_command));
  }
  const double million = 1e6 / count;
  fmt::print("{} files; first time {:.2f} s, every file read\n", count, first);
  fmt::print("bare stat of each {:.3f} s a million, planning {:.3f} s a million\n",
             median(bare) * million, median(ours) * million);
  const double whole = command.empty() ? 0 : median(commands);
  if (!command.empty())
    fmt::print("exp recipe plan over a JSON of them {:.3f} s a million\n", whole * million);
  fmt::print(
      "{{\"stat\": {:.6f}, \"plan\": {:.6f}, \"ratio\": {:.3f}, \"command\": {:.6f}, "
      "\"command_ratio\": {:.3f}}}\n",
      median(bare), median(ours), median(ours) / median(bare), whole, whole / median(bare));
  fs::remove_all(base);
  return 0;
}
