#include "tracker/provenance.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include <elf.h>
#include <link.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/cpu.h"
#include "core/base/error.h"
#include "core/base/files.h"
#include "tracker/git.h"
#include "tracker/nvml.h"
#include "tracker/process.h"

namespace xp::tracker {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::milliseconds kGitLimit{10000};

constexpr std::array<std::string_view, 36> kRecorded = {"CUDA_VISIBLE_DEVICES",
                                                        "CUDA_DEVICE_ORDER",
                                                        "CUDA_LAUNCH_BLOCKING",
                                                        "CUBLAS_WORKSPACE_CONFIG",
                                                        "NVIDIA_VISIBLE_DEVICES",
                                                        "NVIDIA_TF32_OVERRIDE",
                                                        "PYTORCH_CUDA_ALLOC_CONF",
                                                        "PYTORCH_ALLOC_CONF",
                                                        "OMP_NUM_THREADS",
                                                        "OMP_PROC_BIND",
                                                        "OMP_PLACES",
                                                        "MKL_NUM_THREADS",
                                                        "OPENBLAS_NUM_THREADS",
                                                        "KMP_AFFINITY",
                                                        "KMP_BLOCKTIME",
                                                        "GOMP_CPU_AFFINITY",
                                                        "MALLOC_ARENA_MAX",
                                                        "LD_PRELOAD",
                                                        "LD_LIBRARY_PATH",
                                                        "LANG",
                                                        "LC_ALL",
                                                        "TZ",
                                                        "WORLD_SIZE",
                                                        "RANK",
                                                        "LOCAL_RANK",
                                                        "LOCAL_WORLD_SIZE",
                                                        "MASTER_ADDR",
                                                        "MASTER_PORT",
                                                        "CONDA_DEFAULT_ENV",
                                                        "SLURM_CLUSTER_NAME",
                                                        "SLURM_CPUS_PER_TASK",
                                                        "SLURM_GPUS_ON_NODE",
                                                        "SLURM_NTASKS",
                                                        "SLURM_PROCID",
                                                        "SLURM_NODEID",
                                                        "SLURM_MEM_PER_NODE"};
constexpr std::array<std::string_view, 2> kRecordedPrefixes = {"NCCL_", "EXP_"};
constexpr std::array<std::string_view, 9> kSecret = {
    "TOKEN", "SECRET", "PASSW", "PWD", "CREDENTIAL", "AUTH", "COOKIE", "KEY", "PRIVATE"};
constexpr std::array<std::string_view, 9> kSlurm = {
    "SLURM_JOB_ID",        "SLURM_JOB_NAME",      "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES", "SLURM_JOB_PARTITION", "SLURM_SUBMIT_HOST"};

// What a recipe, a script or a program is written in. Data and weights are none of this.
constexpr std::array<std::string_view, 20> kSourceKinds = {
    ".toml", ".csv", ".json", ".txt", ".md",  ".sh",    ".py",   ".cpp", ".cc",  ".c",
    ".h",    ".hpp", ".cu",   ".cuh", ".inc", ".cmake", ".yaml", ".yml", ".sql", ".patch"};

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  return text;
}

void sort_untracked(const std::string& listing, SourceState& state) {
  uintmax_t total = 0;
  for (size_t from = 0; from < listing.size();) {
    const size_t end = std::min(listing.find('\0', from), listing.size());
    const std::string name = listing.substr(from, end - from);
    from = end + 1;
    const fs::path file = state.root / name;
    std::error_code none;
    const uintmax_t bytes = fs::is_regular_file(fs::symlink_status(file, none))
                                ? fs::file_size(file, none)
                                : UINTMAX_MAX;
    const std::string kind = file.extension().string();
    const bool wanted =
        std::find(kSourceKinds.begin(), kSourceKinds.end(), kind) != kSourceKinds.end();
    if (wanted && bytes <= kUntrackedFileBytes && total + bytes <= kUntrackedBytes) {
      total += bytes;
      state.untracked.push_back(name);
    } else {
      state.left_out.push_back(name);
    }
  }
}

void add_machine(std::map<std::string, std::string>& facts) {
  const ProcessId self = this_process();
  facts["host.name"] = self.host;
  facts["host.boot_id"] = self.boot;
  utsname system{};
  if (::uname(&system) == 0) {
    facts["host.os"] = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  }
  facts["host.cpu"] = cpu_name();
  facts["host.cores"] = fmt::format("{}", usable_cores());
  facts["host.memory_mb"] = fmt::format("{}", usable_memory() >> 20);
  facts["process.folder"] = fs::current_path().string();
  facts["build.id"] = build_id();
  if (const Nvml* nvml = Nvml::get()) {
    facts["gpu.driver"] = nvml->driver();
    for (int i = 0; i < nvml->count(); ++i) {
      const GpuInfo gpu = nvml->info(i);
      facts[fmt::format("gpu.{}.name", i)] = gpu.name;
      facts[fmt::format("gpu.{}.uuid", i)] = gpu.uuid;
      facts[fmt::format("gpu.{}.memory_mb", i)] = fmt::format("{}", gpu.memory_bytes >> 20);
    }
  }
}

void add_environment(std::map<std::string, std::string>& facts) {
  for (char** at = environ; at && *at; ++at) {
    const std::string_view entry = *at;
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    if (environment_is_recorded(name)) {
      facts["env." + std::string(name)] = without_credentials(entry.substr(equals + 1));
    }
    if (std::find(kSlurm.begin(), kSlurm.end(), name) != kSlurm.end()) {
      std::string key(name.substr(6));
      for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      facts["slurm." + key] = std::string(entry.substr(equals + 1));
    }
  }
}

void add_source(std::map<std::string, std::string>& facts, const SourceState& source) {
  if (source.root.empty()) return;
  facts["git.root"] = source.root.string();
  facts["git.commit"] = source.commit;
  facts["git.branch"] = source.branch;
  facts["git.dirty"] = source.dirty() ? "true" : "false";
  if (!source.diff.empty()) facts["git.diff_applies"] = source.applies ? "true" : "false";
  if (!source.left_out.empty())
    facts["git.untracked_left_out"] = fmt::format("{}", source.left_out.size());
}

int find_build_id(dl_phdr_info* info, size_t, void* out) {
  // The first object is the program itself.
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
    const char* end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      const char* name = at + sizeof note;
      const char* data = name + ((note.n_namesz + 3u) & ~3u);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          std::memcmp(name, "GNU", 4) == 0) {
        for (size_t k = 0; k < note.n_descsz; ++k) {
          *static_cast<std::string*>(out) +=
              fmt::format("{:02x}", static_cast<unsigned char>(data[k]));
        }
        return 1;
      }
      at = data + ((note.n_descsz + 3u) & ~3u);
    }
  }
  return 1;
}

}  // namespace

bool environment_is_recorded(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string_view part : kSecret) {
    if (upper.find(part) != std::string::npos) return false;
  }
  return std::find(kRecorded.begin(), kRecorded.end(), name) != kRecorded.end() ||
         std::any_of(kRecordedPrefixes.begin(), kRecordedPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::string without_credentials(std::string_view value) {
  std::string out(value);
  size_t from = 0;
  while ((from = out.find("://", from)) != std::string::npos) {
    from += 3;
    const size_t end = std::min(out.find_first_of("/ ,;", from), out.size());
    const size_t at = out.rfind('@', end);
    if (at != std::string::npos && at >= from && at < end) out.erase(from, at + 1 - from);
  }
  return out;
}

std::string build_id() {
  std::string out;
  dl_iterate_phdr(&find_build_id, &out);
  return out;
}

SourceState source_state(const fs::path& folder) {
  SourceState state;
  constexpr size_t kLine = 1u << 20;
  const auto root = Git(folder).output({"rev-parse", "--show-toplevel"}, kGitLimit, kLine);
  if (!root) return state;
  state.root = trimmed(*root);
  const Git git(state.root);
  const auto line = [&git](const std::vector<std::string>& words) {
    return trimmed(git.output(words, kGitLimit, kLine).value_or(""));
  };
  state.commit = line({"rev-parse", "--verify", "-q", "HEAD"});
  state.branch = line({"rev-parse", "--abbrev-ref", "HEAD"});
  if (!state.commit.empty()) {
    const auto diff = git.diff(kGitLimit, kDiffBytes);
    state.diff = diff.value_or("");
    if (!diff) state.left_out.emplace_back("(the diff: larger than 32 MiB, or git failed)");
    state.applies = state.diff.empty() || git.applies(state.diff, state.commit, kGitLimit);
  }
  // What `exp` itself writes is no source, whether or not the tree's owner ignores it.
  if (const auto listing =
          git.output({"ls-files", "--others", "--exclude-standard", "-x", ".exp/", "-z"}, kGitLimit,
                     8u << 20)) {
    sort_untracked(*listing, state);
  }
  return state;
}

Provenance collect_provenance(const fs::path& source) {
  Provenance out;
  out.source = source_state(source);
  add_machine(out.facts);
  add_environment(out.facts);
  add_source(out.facts, out.source);
  return out;
}

void add_versions(Provenance& provenance, const std::vector<std::string>& versions) {
  for (const std::string& version : versions) {
    const size_t equals = version.find('=');
    if (equals != std::string::npos)
      provenance.facts["version." + version.substr(0, equals)] = version.substr(equals + 1);
  }
}

void save_source_state(const SourceState& source, const fs::path& folder) {
  if (source.root.empty()) return;
  try {
    fs::create_directories(folder);
    write_file_atomic(folder / "commit", source.commit + "\n");
    if (!source.diff.empty()) write_file_atomic(folder / "diff.patch", source.diff);
    for (const std::string& name : source.untracked) {
      const fs::path target = folder / "untracked" / name;
      fs::create_directories(target.parent_path());
      fs::copy_file(source.root / name, target, fs::copy_options::overwrite_existing);
    }
    std::string left;
    for (const std::string& name : source.left_out) left += name + "\n";
    if (!left.empty()) write_file_atomic(folder / "left_out.txt", left);
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("cannot keep the state of the source: {}", error.what()),
                Exit::kFailed);
  }
}

}  // namespace xp::tracker
