#include "tracker/run_sink.h"

#include <limits>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tracker/value.h"

namespace xp::tracker {
namespace {

TEST(MemorySink, KeepsEverythingInOrder) {
  MemorySink sink;
  const MetricId loss = sink.metric("train.loss", Unit::kNone);
  EXPECT_EQ(sink.metric("train.loss", Unit::kNone), loss);
  sink.log(loss, 10, 0.5);
  sink.log(loss, 20, 0.25);
  sink.summary("mAP", 0.459, Unit::kFraction);
  sink.artifact(Kind::kModel, "a.safetensors", 20);
  sink.event(Level::kWarning, "slow disk");
  sink.resumed(10, 1);
  sink.finished(Outcome::kDone, "");

  EXPECT_EQ(sink.names(), (std::vector<std::string>{"train.loss", "mAP"}));
  ASSERT_EQ(sink.points("train.loss").size(), 2u);
  EXPECT_EQ(sink.points("train.loss")[1].step, 20);
  EXPECT_EQ(sink.last("mAP"), 0.459);
  EXPECT_TRUE(sink.points("lr").empty());
  EXPECT_EQ(sink.artifacts()[0].file, "a.safetensors");
  EXPECT_EQ(sink.events()[0].text, "slow disk");
  EXPECT_EQ(sink.resumes()[0], (std::pair<int64_t, int64_t>{10, 1}));
  EXPECT_EQ(sink.endings()[0].first, Outcome::kDone);
}

TEST(MemorySink, NamesWhatWasNeverReported) {
  try {
    MemorySink().last("mAP");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no value of 'mAP' was reported");
  }
}

TEST(Value, TextAndJson) {
  struct Case {
    const char* name;
    Value value;
    const char* text;
    const char* json;
  };
  const double inf = std::numeric_limits<double>::infinity();
  const Case cases[] = {
      {"bool", true, "true", "true"},
      {"int", int64_t{16}, "16", "16"},
      {"double keeps its type", 2.0, "2.0", "2.0"},
      {"shortest that reads back", 2.5e-4, "0.00025", "0.00025"},
      {"infinity", -inf, "-inf", "\"-inf\""},
      {"string", std::string("a \"b\""), "a \"b\"", "\"a \\\"b\\\"\""},
      {"list", Json{"[1,2]"}, "[1,2]", "[1,2]"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(to_text(c.value), c.text);
    EXPECT_EQ(to_json(c.value), c.json);
  }
}

}  // namespace
}  // namespace xp::tracker
