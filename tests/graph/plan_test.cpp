#include "core/graph/plan.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/graph/fakes.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using testing::distillation;
using testing::fake_node;
using testing::run_to_goal;
using xp::testing::TempDir;

std::vector<std::string> to_run(const Plan& plan) {
  std::vector<std::string> out;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].state == State::kWillRun) out.push_back(plan.graph.nodes[i].name);
  }
  return out;
}

const Step& step(const Plan& plan, const std::string& name) {
  return plan.steps[find_nodes(plan.graph, name).front()];
}

using Names = std::vector<std::string>;

TEST(Plan, EverythingThenNothing) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Plan first = make_plan(distillation(0.1), cache, nullptr, {});
  EXPECT_EQ(to_run(first), (Names{"prepare", "teacher", "teach", "student", "eval"}));
  EXPECT_EQ(step(first, "student").reasons, Names{"no output in the cache"});
  run_to_goal(distillation(0.1), cache);
  const Plan second = make_plan(distillation(0.1), cache, nullptr, {});
  EXPECT_EQ(to_run(second), Names{});
}

TEST(Plan, LambdaRerunsTheStudentAndWhatFollows) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  run_to_goal(distillation(0.1), cache);
  const Plan plan = make_plan(distillation(0.25), cache, nullptr, {});
  EXPECT_EQ(to_run(plan), (Names{"student", "eval"}));
  EXPECT_EQ(step(plan, "student").reasons, Names{"kd.lambda 0.1 -> 0.25"});
  ASSERT_EQ(step(plan, "eval").reasons.size(), 1U);
  EXPECT_TRUE(step(plan, "eval").reasons[0].starts_with("input data: stage student is another ("))
      << step(plan, "eval").reasons[0];
}

TEST(Plan, SaysWhatDiffers) {
  struct Case {
    const char* name;
    void (*change)(Node& node);
    Names want;
  };
  const Case cases[] = {
      {"a value", [](Node& n) { n.options = "a = 1\nb = 3\n"; }, {"b 2 -> 3"}},
      {"a new leaf", [](Node& n) { n.options += "c = \"x = y\"\n"; }, {"c = \"x = y\" is new"}},
      {"a leaf less", [](Node& n) { n.options = "a = 1\n"; }, {"b was 2, is not read now"}},
      {"the code", [](Node& n) { n.version = 2; }, {"version of train 1 -> 2"}},
      {"a file",
       [](Node& n) { n.inputs[0].digest = "other"; },
       {"input weights: the content of /w.pt changed"}},
      {"another file",
       [](Node& n) {
         n.inputs[0].digest = "other";
         n.inputs[0].path = "/v.pt";
       },
       {"input weights: /w.pt -> /v.pt"}},
      {"another checkpoint of the same stage",
       [](Node& n) { n.inputs[0].part = "best"; },
       {"input weights: output -> best"}},
      {"an input more", [](Node& n) { n.inputs.push_back(n.inputs[0]); }, {"input weights is new"}},
      {"an input less", [](Node& n) { n.inputs.clear(); }, {"input weights is not read now"}},
      {"two things",
       [](Node& n) {
         n.options = "a = 5\nb = 2\n";
         n.inputs[0].digest = "other";
       },
       {"a 1 -> 5", "input weights: the content of /w.pt changed"}},
  };
  const auto graph = [] {
    Graph out;
    out.nodes = {fake_node("train", "train", "a = 1\nb = 2\n")};
    Edge file;
    file.role = "weights";
    file.path = "/w.pt";
    file.digest = "first";
    out.nodes[0].inputs = {file};
    out.goals = {0};
    return out;
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const TempDir dir;
    const Cache cache(dir / "cache");
    Graph before = graph();
    set_keys(before);
    Wanted wanted;
    wanted.kind = "train";
    wanted.version = 1;
    wanted.key = before.nodes[0].key;
    wanted.stage = "train";
    wanted.options = before.nodes[0].options;
    wanted.inputs = input_records(before, before.nodes[0]);
    auto claim = cache.claim(
        wanted, false, [](const Holder&) { return true; }, [](const std::string&) {});
    claim->publish({}, 1);
    Graph after = graph();
    c.change(after.nodes[0]);
    set_keys(after);
    const Plan plan = make_plan(after, cache, nullptr, {});
    EXPECT_EQ(plan.steps[0].reasons, c.want);
  }
}

TEST(Plan, ComparesWithTheNearestOfTheSameStage) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  for (const double lambda : {0.1, 0.5, 0.9}) run_to_goal(distillation(lambda), cache);
  Graph graph = distillation(0.5);
  graph.nodes[3].options = "kd.lambda = 0.5\nmodel.arch = \"ast-base384\"\n";
  set_keys(graph);
  EXPECT_EQ(step(make_plan(graph, cache, nullptr, {}), "student").reasons,
            Names{"model.arch \"ast-nano\" -> \"ast-base384\""});
}

TEST(Plan, WhatIsNotNeededIsNotMade) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  run_to_goal(graph, cache);
  for (const char* kind : {"prepare", "teach"}) fs::remove_all(dir / "cache" / kind);
  const Plan plan = make_plan(graph, cache, nullptr, {});
  EXPECT_EQ(to_run(plan), Names{});
  EXPECT_EQ(step(plan, "prepare").state, State::kNotNeeded);
  // The student again needs the shards and the logits, not the teacher anew.
  fs::remove_all(dir / "cache" / "evaluate");
  fs::remove_all(cache.folder("train", graph.nodes[3].key));
  EXPECT_EQ(to_run(make_plan(graph, cache, nullptr, {})),
            (Names{"prepare", "teach", "student", "eval"}));
}

TEST(Plan, ForceFromUntil) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  PlanRequest until;
  until.until = "teach";
  EXPECT_EQ(to_run(make_plan(graph, cache, nullptr, until)),
            (Names{"prepare", "teacher", "teach"}));
  PlanRequest from;
  from.from = "student";
  try {
    make_plan(graph, cache, nullptr, from);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "--from student: stage prepare comes before it and is not cached (no output in the "
              "cache); run without "
              "--from, or --until prepare first");
  }
  run_to_goal(graph, cache);
  EXPECT_EQ(to_run(make_plan(graph, cache, nullptr, from)), Names{});
  PlanRequest force;
  force.force = {"teach"};
  const Plan forced = make_plan(graph, cache, nullptr, force);
  EXPECT_EQ(to_run(forced), (Names{"teach", "student", "eval"}));
  EXPECT_EQ(step(forced, "teach").reasons, Names{"forced"});
  PlanRequest typo;
  typo.until = "studnet";
  try {
    make_plan(graph, cache, nullptr, typo);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "there is no stage 'studnet' in this recipe; did you mean 'student'?");
  }
}

TEST(Plan, ResumesAndWaits) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  Wanted wanted;
  wanted.kind = "prepare";
  wanted.version = 1;
  wanted.resume = Resume::kResumes;
  wanted.key = graph.nodes[0].key;
  wanted.stage = "prepare";
  {
    auto claim = cache.claim(
        wanted, false, [](const Holder&) { return true; }, [](const std::string&) {});
    std::ofstream(claim->output() / "half") << "half";
    const Plan held = make_plan(graph, cache, nullptr, {});
    EXPECT_EQ(step(held, "prepare").state, State::kWaits);
    EXPECT_TRUE(step(held, "prepare")
                    .reasons[0]
                    .starts_with("made at this moment by another process, stage prepare"))
        << step(held, "prepare").reasons[0];
  }
  EXPECT_EQ(step(make_plan(graph, cache, nullptr, {}), "prepare").state, State::kResumes);
}

TEST(Plan, DamageThatShowsAtAGlance) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  const Graph graph = distillation(0.1);
  run_to_goal(graph, cache);
  fs::remove(cache.folder("evaluate", graph.nodes[4].key) / "out.txt");
  EXPECT_EQ(step(make_plan(graph, cache, nullptr, {}), "eval").reasons,
            Names{"the cached output is damaged: out.txt is missing"});
}

TEST(Plan, Text) {
  const TempDir dir;
  const Cache cache(dir / "cache");
  run_to_goal(distillation(0.1), cache);
  const Graph graph = distillation(0.25);
  const Plan plan = make_plan(graph, cache, nullptr, {});
  const auto key = [&](size_t i) { return graph.nodes[i].key.substr(0, 12); };
  const std::string want =
      "stage    kind      state       key\n"
      "prepare  prepare   cached      " +
      key(0) +
      "\n"
      "teacher  train     cached      " +
      key(1) +
      "\n"
      "teach    teach     cached      " +
      key(2) +
      "\n"
      "student  train     will run    " +
      key(3) +
      "\n"
      "           kd.lambda 0.1 -> 0.25\n"
      "eval     evaluate  will run    " +
      key(4) +
      "\n"
      "           " +
      plan.steps[4].reasons[0] + "\n";
  EXPECT_EQ(plan_text(plan), want);
  EXPECT_NE(plan_json(plan, cache).find("\"state\": \"will run\""), std::string::npos);
}

TEST(Plan, KindsAreInOneTable) {
  EXPECT_EQ(stage_kinds().size(), 9U);
  for (const StageKindInfo& info : stage_kinds()) {
    EXPECT_EQ(find_stage_kind(info.name), &info);
    EXPECT_EQ(&stage_kind(info.kind), &info);
    EXPECT_GE(info.version, 1);
    EXPECT_NE(std::string(info.help), "");
  }
  EXPECT_EQ(find_stage_kind("trian"), nullptr);
}

}  // namespace
}  // namespace xp::graph
