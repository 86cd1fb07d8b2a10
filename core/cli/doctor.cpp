#include <cstdlib>
#include <filesystem>

#include <dlfcn.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "core/base/files.h"
#include "core/base/gpu.h"
#include "core/cli/arguments.h"
#include "core/cli/command.h"
#include "core/cli/version.h"

namespace xp::cli {
namespace {
namespace fs = std::filesystem;

struct Finding {
  std::string what;
  std::string found;
  std::string remedy;  ///< the command that installs what is missing, empty when nothing is
};

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const fs::path file = fs::path(rest.substr(0, colon)) / program;
    if (access(file.c_str(), X_OK) == 0) return true;
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  return false;
}

bool loads(const char* library) {
  void* handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) return false;
  dlclose(handle);
  return true;
}

std::string gpus() {
  const int present = present_gpus();
  if (present == 0) return "none";
  if (!built_with_cuda()) return fmt::format("{} NVIDIA, not used: built without CUDA", present);
  return fmt::format("{} NVIDIA, {} usable", present, usable_gpus());
}

std::vector<Finding> look(const Session& session) {
  const fs::path bin = session.program.parent_path();
  const bool compute = fs::exists(bin / "exp-compute");
  const bool nvcc = on_path("nvcc");
  const auto gigabytes = [](uint64_t bytes) {
    return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
  };
  std::vector<Finding> all;
  all.push_back({"exp", version_text(), ""});
  all.push_back({"compute part", compute ? (bin / "exp-compute").string() : "not built",
                 compute ? "" : "scripts/setup.sh && make build"});
  all.push_back({"CPU", fmt::format("{}, {} cores usable", cpu_name(), usable_cores()), ""});
  all.push_back({"bf16 on the CPU", has_bf16_units() ? "in hardware" : "emulated: use fp32", ""});
  all.push_back({"memory", gigabytes(usable_memory()) + " usable", ""});
  all.push_back({"disk here", gigabytes(free_bytes(session.workspace())) + " free", ""});
  all.push_back({"GPUs", gpus(), ""});
  all.push_back(
      {"CUDA compiler", nvcc ? "nvcc on PATH" : "none (needed for the GPU build only)", ""});
  all.push_back(
      {"NCCL", loads("libnccl.so.2") ? "libnccl.so.2" : "none (needed for several GPUs only)", ""});
  all.push_back({"Slurm",
                 on_path("sbatch") ? "sbatch on PATH" : "none (needed for --executor slurm only)",
                 ""});
  all.push_back({"EXP_DATA",
                 std::getenv("EXP_DATA") != nullptr ? std::getenv("EXP_DATA")
                                                    : "not set: recipes look in ~/.local/share/exp",
                 ""});
  return all;
}

class Doctor : public Command {
 public:
  void declare(Arguments& declared) override { declared.footer("Example:\n  exp doctor\n"); }

  int run(Session& session) override {
    const auto findings = look(session);
    if (session.json) {
      auto out = nlohmann::ordered_json::array();
      for (const auto& f : findings)
        out.push_back({{"what", f.what}, {"found", f.found}, {"remedy", f.remedy}});
      fmt::print("{}\n", out.dump(2));
      return 0;
    }
    bool fine = true;
    for (const auto& f : findings) {
      fmt::print("{:<16} {}\n", f.what, f.found);
      if (!f.remedy.empty()) {
        fmt::print("{:<16}   to get it: {}\n", "", f.remedy);
        fine = false;
      }
    }
    fmt::print("{}\n", fine ? "Everything that a CPU run needs is here."
                            : "Something is missing: see above.");
    return fine ? 0 : 1;
  }
};

}  // namespace

std::unique_ptr<Command> make_doctor() { return std::make_unique<Doctor>(); }

}  // namespace xp::cli
