#include <cstdlib>
#include <filesystem>

#include <dlfcn.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/cpu.h"
#include "core/base/error.h"
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

std::string gpus() {
  const GpuDriver& driver = gpu_driver();
  if (driver.gpus.empty())
    return driver.there ? "none (the NVIDIA driver is here and shows none)" : "none";
  std::string out;
  for (const Gpu& gpu : driver.gpus)
    out += fmt::format("{}{} (compute {}.{})", out.empty() ? "" : ", ", gpu.name, gpu.major,
                       gpu.minor);
  return fmt::format("{}; the driver knows CUDA {}", out, driver.cuda_text());
}

/// How this program uses them, and what to do where it could and does not.
Finding gpu_build() {
  if (!built_with_cuda()) {
    const bool idle = !gpu_driver().gpus.empty();
    return {"built for", "the CPU alone", idle ? "EXP_CUDA=ON ./exp doctor" : ""};
  }
  try {
    return {"built for", fmt::format("CPU and CUDA, {} GPUs usable", usable_gpus()), ""};
  } catch (const Error& error) {
    return {"built for", "CPU and CUDA", error.what()};
  }
}

/// NCCL as LibTorch's wheel brings it.
std::string nccl() {
#ifdef XP_NCCL_LIBRARY
  void* const library = dlopen(XP_NCCL_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  const auto version_of = library == nullptr
                              ? nullptr
                              : reinterpret_cast<int (*)(int*)>(dlsym(library, "ncclGetVersion"));
  int version = 0;
  if (version_of == nullptr || version_of(&version) != 0)
    return "cannot be loaded: " XP_NCCL_LIBRARY;
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
#else
  return "none (needed for several GPUs only)";
#endif
}

std::vector<Finding> look(const Session& session) {
  const fs::path bin = session.program.parent_path();
  const bool compute = fs::exists(bin / "exp-compute");
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
  all.push_back(gpu_build());
  all.push_back({"NCCL", nccl(), ""});
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
