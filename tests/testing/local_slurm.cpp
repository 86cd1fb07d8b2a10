#include "tests/testing/local_slurm.h"

#include <cstdlib>
#include <fstream>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "tests/testing/shell.h"

namespace xp::testing {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfiguration = R"(ClusterName=exptest
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldPort={port}
SlurmdPort={other}
SlurmdSpoolDir={home}/spool
StateSaveLocation={home}/state
SlurmctldLogFile={home}/log/ctld.log
SlurmdLogFile={home}/log/d.log
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=100000,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=300
KillWait=3
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 Sockets=2 CoresPerSocket=1 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={name} Default=YES MaxTime=INFINITE State=UP
)";

// A munged that this starts stays: another test may be using it by then.
constexpr const char* kStart =
    "export PATH=$PATH:/usr/sbin\n"
    "munge -n >/dev/null 2>&1 || { mkdir -p /run/munge && chown munge:munge /run/munge && "
    "runuser -u munge -- munged --force >/dev/null 2>&1; }\n"
    "slurmctld -f $SLURM_CONF -c && slurmd -f $SLURM_CONF\n"
    "for i in $(seq 300); do sinfo -h -o %T 2>/dev/null | grep -q idle && exit 0; sleep 0.1; "
    "done; exit 1";

}  // namespace

LocalSlurm::LocalSlurm(fs::path folder) : folder_(std::move(folder)) { missing_ = start(); }

std::string LocalSlurm::start() {
  for (const char* program : {"slurmctld", "slurmd", "munged", "sbatch", "srun"}) {
    if (shell(fmt::format("command -v {} || command -v /usr/sbin/{}", program, program)).code != 0)
      return fmt::format("no {} here", program);
  }
  if (::geteuid() != 0) return "slurmd needs root here";
  for (const char* part : {"state", "spool", "log"}) fs::create_directories(folder_ / part);
  // Two ports by process, so that tests at once do not meet.
  const int port = 20000 + 2 * static_cast<int>(::getpid() % 10000);
  const std::string host = shell("hostname -s").text;
  const fs::path file = folder_ / "slurm.conf";
  std::ofstream(file) << fmt::format(
      kConfiguration, fmt::arg("name", host.substr(0, host.find('\n'))),
      fmt::arg("home", folder_.string()), fmt::arg("port", port), fmt::arg("other", port + 1));
  ::setenv("SLURM_CONF", file.c_str(), 1);
  const Shell started = shell(kStart);
  return started.code == 0 ? "" : "slurmctld and slurmd do not start here: " + started.text;
}

LocalSlurm::~LocalSlurm() {
  ::unsetenv("SLURM_CONF");
  shell(fmt::format(
      "cd '{}' && for f in slurmd.pid slurmctld.pid; do [ -e $f ] && kill $(cat $f); done; "
      "for i in $(seq 100); do [ -e slurmctld.pid ] || [ -e slurmd.pid ] || break; sleep 0.1; "
      "done",
      folder_.string()));
}

}  // namespace xp::testing
