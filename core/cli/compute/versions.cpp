#include "core/cli/compute/versions.h"

#include <dlfcn.h>

#include <fmt/format.h>
#include <torch/headeronly/version.h>

namespace xp::cli {

std::vector<std::string> library_versions() {
  std::vector<std::string> out = {"libtorch=" TORCH_VERSION};
  // Asked of what is loaded: a build for CPUs has no NCCL, and the wheel may bring another one than
  // the system's.
  if (void* nccl = ::dlopen("libnccl.so.2", RTLD_LAZY | RTLD_NOLOAD)) {
    using GetVersion = int (*)(int*);
    const auto get_version = reinterpret_cast<GetVersion>(::dlsym(nccl, "ncclGetVersion"));
    int version = 0;
    if (get_version != nullptr && get_version(&version) == 0)
      out.push_back(
          fmt::format("nccl={}.{}.{}", version / 10000, version / 100 % 100, version % 100));
    ::dlclose(nccl);
  }
  return out;
}

}  // namespace xp::cli
