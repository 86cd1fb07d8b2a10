#include "tracker/filter.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/testing/temp_dir.h"
#include "tests/tracker/make_run.h"

namespace xp::tracker {
namespace {

using testing_runs::quiet;
using testing_runs::sample;

class Filter : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new testing::TempDir;
    Store store(*dir_ / ".exp");
    // r 0, 8, 16 with mAP .30, .41, .45; the last failed and has other tags and a string parameter.
    for (int i = 0; i < 3; ++i) {
      NewRun run = sample(i == 2 ? "other" : "kd", i * 8);
      if (i == 2) run.tags = {"paper", "kd-2"};
      run.params.push_back({"dataset.name", std::string(i == 0 ? "esc50" : "audioset"), "x"});
      if (i == 1) run.params.push_back({"patchout.t", int64_t{4}, "x"});
      auto live = store.create(run, quiet());
      auto stage = live->begin_stage("eval", "evaluate", "k", {});
      stage->summary("mAP", 0.30 + 0.11 * i - (i == 2 ? 0.07 : 0), Unit::kFraction);
      const MetricId loss = stage->metric("loss", Unit::kNone);
      for (int step = 0; step < 5; ++step) stage->log(loss, step, 5 - step + i);
      live->finish(i == 2 ? Outcome::kFailed : Outcome::kDone, i == 2 ? "out of memory" : "", "",
                   i == 2 ? 1 : 0);
    }
    query_ = new Query(*dir_ / ".exp");
  }
  static void TearDownTestSuite() {
    delete query_;
    delete dir_;
  }

  static std::vector<int64_t> matches(const std::string& filter) {
    std::vector<int64_t> out;
    for (const RunInfo& run : query_->runs({.filter = filter, .sort = {"tome.r"}})) {
      out.push_back(std::get<int64_t>(run.params.at("tome.r")));
    }
    return out;
  }
  static std::string error_of(const std::string& filter) {
    try {
      query_->runs({.filter = filter});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  static testing::TempDir* dir_;
  static Query* query_;
};
testing::TempDir* Filter::dir_ = nullptr;
Query* Filter::query_ = nullptr;

TEST_F(Filter, Matches) {
  using Runs = std::vector<int64_t>;
  struct Case {
    const char* filter;
    Runs want;
  };
  const Case cases[] = {
      {"", {0, 8, 16}},
      {"status=done and tome.r>=8 and eval.mAP>0.4", {8}},
      {"status=done and tome.r>=16 and eval.mAP>0.4", {}},
      {"tome.r>=8", {8, 16}},
      {"tome.r == 8", {8}},
      {"tome.r != 8", {0, 16}},
      {"not tome.r=8", {0, 16}},
      {"! (tome.r=8 or tome.r=0)", {16}},
      {"not not tome.r=8", {8}},
      {"tome.r in (0, 16)", {0, 16}},
      {"status in (failed, lost)", {16}},
      {"status=DONE", {0, 8}},
      {"eval.mAP<0.35 or eval.mAP>=0.45", {0, 16}},
      {"min(eval.loss)<=1", {0}},
      {"max(eval.loss)=7", {16}},
      {"last(eval.loss)=2", {8}},
      {"n(eval.loss)=5 and nans(eval.loss)=0", {0, 8, 16}},
      {"name=kd", {0, 8}},
      {"name~OTH", {16}},
      {"name!~kd", {16}},
      {"tag=kd", {0, 8}},
      {"tag=paper", {16}},
      {"tag!=kd", {16}},
      {"tag~kd", {0, 8, 16}},
      {"kd.enabled=true", {0, 8, 16}},
      {"kd.enabled=false", {}},
      {"optimiser.lr<1e-3", {0, 8, 16}},
      {"optimiser.lr=0.00025", {0, 8, 16}},
      {"model.arch=ast-nano and dataset.name=esc50", {0}},
      {"dataset.name='esc50'", {0}},
      {"dataset.name~set", {8, 16}},
      {"optimiser.betas~0.999", {0, 8, 16}},
      {"patchout.t=4", {8}},
      {"patchout.t!=4", {}},  // a run without the key matches no comparison
      {"has(patchout.t)", {8}},
      {"not has(patchout.t)", {0, 16}},
      {"error~memory", {16}},
      {"age<1h and attempts=1", {0, 8, 16}},
      {"age>7d", {}},
      {"duration<30min", {0, 8, 16}},
      {"recipe~kd.toml", {0, 8}},
      {"tome.r=0 or tome.r=8 and status=failed", {0}},  // and binds closer
      {"\"tome.r\"=8", {8}},
      {"name='kd\\' OR 1=1 --'", {}},
      {"name=\"'; DROP TABLE run; --\"", {}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.filter);
    EXPECT_EQ(matches(c.filter), c.want);
  }
}

TEST_F(Filter, ErrorsSayWhereAndWhat) {
  struct Case {
    const char* filter;
    const char* want;
  };
  const Case cases[] = {
      {"statsu=done",
       "filter:1:1: no run has 'statsu'; did you mean 'status'?; `exp runs --keys` lists what "
       "there is\n"
       "  statsu=done\n"
       "  ^"},
      {"status=donne",
       "filter:1:8: there is no status 'donne'; did you mean 'done'?\n  status=donne\n         ^"},
      {"tome.r>=", "filter:1:9: expected a value\n  tome.r>=\n          ^"},
      {"tome.r 8", "filter:1:8: expected one of = != < <= > >= ~ in\n  tome.r 8\n         ^"},
      {"(tome.r=8", "filter:1:10: expected ')'\n  (tome.r=8\n           ^"},
      {"tome.r=8 tome.r=0",
       "filter:1:10: expected 'and', 'or' or the end, found 'tome.r'\n  tome.r=8 tome.r=0\n        "
       "   ^"},
      {"eval.mAP=high",
       "filter:1:10: 'eval.mAP' is a metric: it is compared with a number, not 'high'\n  "
       "eval.mAP=high\n           ^"},
      {"age<soon",
       "filter:1:5: 'age' is compared with a duration such as 90s, 30min, 12h, 7d, not 'soon'\n  "
       "age<soon\n      ^"},
      {"avg(eval.loss)<1",
       "filter:1:1: there is no function 'avg': last, min, max, n, nans, has\n  avg(eval.loss)<1\n "
       " ^"},
      {"max(tome.r)<1",
       "filter:1:5: 'tome.r' is a parameter, not a metric\n  max(tome.r)<1\n      ^"},
      {"name='kd", "filter:1:6: this quote has no end\n  name='kd\n       ^"},
      {"tome.r=8 ; DROP", "filter:1:10: ';' has no meaning here\n  tome.r=8 ; DROP\n           ^"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.filter);
    EXPECT_EQ(error_of(c.filter), c.want);
  }
  EXPECT_NE(error_of(std::string(5000, '(')), "");
  EXPECT_NE(error_of(std::string(70000, 'a')), "");
}

TEST_F(Filter, SortsWithAbsentValuesLast) {
  const auto order = [](std::vector<std::string> keys) {
    std::vector<int64_t> out;
    for (const RunInfo& run : query_->runs({.sort = std::move(keys)})) {
      out.push_back(std::get<int64_t>(run.params.at("tome.r")));
    }
    return out;
  };
  using Runs = std::vector<int64_t>;
  EXPECT_EQ(order({}), (Runs{16, 8, 0})) << "newest first";
  EXPECT_EQ(order({"-eval.mAP"}), (Runs{16, 8, 0}));
  EXPECT_EQ(order({"patchout.t"}), (Runs{8, 16, 0}));
  EXPECT_EQ(order({"-patchout.t", "tome.r"}), (Runs{8, 0, 16}));
  EXPECT_EQ(order({"status", "tome.r"}), (Runs{0, 8, 16}));
  EXPECT_EQ(order({"-age"}), (Runs{0, 8, 16}));
  EXPECT_THROW(order({"eval.mAPP"}), Error);
}

}  // namespace
}  // namespace xp::tracker
