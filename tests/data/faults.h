#pragma once

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "core/base/error.h"

namespace xp::data::testing {

/// What the error of `call` says, which has to have this exit code; "no error" where none is
/// thrown.
inline std::string message_of(const std::function<void()>& call, Exit code = Exit::kData) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "no error";
}

}  // namespace xp::data::testing
