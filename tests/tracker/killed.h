#pragma once

#include <filesystem>

#include <sys/mman.h>

#include <gtest/gtest.h>

#include "tracker/schema.h"
#include "tracker/sqlite.h"

/// What tests that kill processes share.
namespace xp::tracker::testing_runs {

/// Memory that a child and its parent share.
template <class T>
class SharedMemory {
 public:
  SharedMemory()
      : at_(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
  }
  ~SharedMemory() { ::munmap(at_, sizeof(T)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  T* operator->() const { return static_cast<T*>(at_); }

 private:
  void* at_;
};

inline void check_integrity(const std::filesystem::path& file) {
  const sql::Database db = sql::Database::read(file, kRunSchema);
  auto row = db.prepare("PRAGMA integrity_check");
  ASSERT_TRUE(row.step());
  EXPECT_EQ(row.text(0), "ok");
}

}  // namespace xp::tracker::testing_runs
