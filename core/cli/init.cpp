#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"

namespace xp::cli {
namespace {

constexpr const char* kWorkspaceFile =
    "# A workspace of exp: runs, sweeps and cached stages live in .exp/ beside this file.\n"
    "\n"
    "# The recipe that `exp sweep` and `exp run` take when none is given.\n"
    "# default_recipe = \"recipes/my_recipe.toml\"\n";

class Init : public Command {
 public:
  void declare(Arguments& declared) override {
    declared.option("folder", folder_, "where (default: here)");
    declared.footer("Example:\n  exp init my_experiments\n");
  }

  int run(Session& session) override {
    const std::filesystem::path file = std::filesystem::path(folder_) / "exp.toml";
    if (std::filesystem::exists(file)) {
      throw Error(fmt::format("{} is there already; nothing was changed", file.string()));
    }
    std::filesystem::create_directories(std::filesystem::path(folder_) / ".exp");
    write_file_atomic(file, kWorkspaceFile);
    if (session.json) {
      fmt::print("{}\n", nlohmann::json({{"workspace", file.string()}}).dump());
      return 0;
    }
    fmt::print("workspace ready: {}\nnext: exp run RECIPE.toml\n", file.string());
    return 0;
  }

 private:
  std::string folder_ = ".";
};

}  // namespace

std::unique_ptr<Command> make_init() { return std::make_unique<Init>(); }

}  // namespace xp::cli
