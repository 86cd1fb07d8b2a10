// What the keys of stages are made of, pinned: an upgrade must not make a cached training invalid.
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/files.h"
#include "core/graph/stage.h"
#include "core/recipe/options_io.h"
#include "core/schema/stage_options.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

template <class Options>
std::string pinned_text() {
  recipe::View view;
  view.sections["kd"] = {{"enabled", true}};
  view.sections["model"] = {{"arch", "passt-s"}};
  return recipe::canonical_text(Options::configure(view));
}

/// What each kind's key is made of where a recipe is silent.
std::string key_texts() {
  std::string out;
#define XP_STAGE(kind, Options, version, resumes, inputs, outputs, sections, help) \
  out += fmt::format("[{} {}]\n{}\n", #kind, version, pinned_text<schema::Options>());
#include "core/graph/stages.inc"
#undef XP_STAGE
  return out;
}

// Whoever changes this text makes every cached output of the kind invalid: add keys with an `off`
// value instead. Where it has to change, the kind's version goes up and the file is written anew
// with XP_WRITE_GOLDEN=1.
TEST(KeyTexts, OfAllKindsArePinned) {
  const auto golden = xp::testing::source_dir() / "tests/fixtures/key_texts.txt";
  if (!xp::testing::env("XP_WRITE_GOLDEN").empty()) write_file_atomic(golden, key_texts());
  EXPECT_EQ(key_texts(), read_file(golden));
}

}  // namespace
}  // namespace xp::graph
