#include "core/run/run_srun.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/schema/load.h"

namespace xp::run {
namespace {

// Devices of one node, by the text alone: this machine may have none of them.
int devices_of_node(const std::string& text) {
  const auto fail = [&]() -> int {
    throw Error(
        fmt::format("--nodes with --devices {}: expected how many devices a node has, as in "
                    "--devices 8 (GPUs) or cpu:4",
                    text.empty() ? "not given" : text));
  };
  if (text == "cpu") return 1;
  if (text.starts_with("gpu:"))
    return static_cast<int>(std::count(text.begin(), text.end(), ',')) + 1;
  const std::string digits = text.starts_with("cpu:") ? text.substr(4) : text;
  int out = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (fault != std::errc() || end != digits.data() + digits.size() || out < 1) return fail();
  return out;
}

// The arguments of each task: those of this command without --nodes.
std::vector<std::string> task_arguments(const std::vector<std::string>& all) {
  std::vector<std::string> out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] == "--nodes") {
      ++i;
    } else if (!all[i].starts_with("--nodes=")) {
      out.push_back(all[i]);
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> srun_words(const RunArguments& arguments, const Invocation& invocation) {
  const int devices = devices_of_node(arguments.devices);
  std::vector<std::string> out = {"srun", fmt::format("--nodes={}", arguments.nodes),
                                  fmt::format("--ntasks-per-node={}", devices), "--job-name=exp",
                                  // A rank that is gone ends the others: they would wait for it.
                                  "--kill-on-bad-exit=1"};
  if (!arguments.devices.starts_with("cpu"))
    out.push_back(fmt::format("--gpus-per-node={}", devices));
  out.push_back(invocation.program.string());
  for (std::string& word : task_arguments(invocation.arguments)) out.push_back(std::move(word));
  return out;
}

void become_srun(const RunArguments& arguments, const Invocation& invocation,
                 const std::filesystem::path& root) {
  std::vector<std::string> words = srun_words(arguments, invocation);
  // Faults of the recipe are told before a job waits.
  schema::load_recipe(recipe_file(arguments, load_workspace(root)), load_options(arguments));
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);
  ::execvp(argv[0], argv.data());
  throw Error(
      fmt::format("--nodes {}: cannot start srun: {}", arguments.nodes, std::strerror(errno)),
      Exit::kFailed);
}

}  // namespace xp::run
