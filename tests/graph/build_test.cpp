// From a recipe's text to a graph with keys: what is implicit, what pairs up, what changes which
// key.
#include "core/graph/build.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/graph/manifest.h"
#include "core/graph/plan.h"
#include "core/recipe/recipe.h"
#include "core/schema/load.h"
#include "core/schema/stage_options.h"
#include "tests/testing/temp_dir.h"

namespace xp::graph {
namespace {

namespace fs = std::filesystem;
using xp::testing::TempDir;

constexpr const char* kDistillation = R"(
experiment = { name = "kd", seed = 0 }
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model = { arch = "ast-nano" }
tome.r = 4
kd = { enabled = true, lambda = 0.1, logits = "${stages.teach.output}" }
train = { epochs = 1, batch_size = 8 }
optimiser.lr = 1e-3
stages.teacher = { do = "train", with = { kd.enabled = false, frontend = { kind = "augment_mel" }, model.arch = "mn01" } }
stages.teach = { do = "teach", checkpoint = "${stages.teacher.last}", split = "train" }
stages.student = { do = "train" }
stages.eval = { do = "evaluate", checkpoint = "${stages.student.last}" }
[variants.published_teacher]
stages.teach.checkpoint = "mn10_as"
[variants.nokd]
kd.enabled = false
)";

constexpr const char* kFolds = R"(
experiment.name = "folds"
dataset = { name = "esc50", root = "set", test_fold = 1, val = "test" }
frontend = { kind = "kaldi", frames = 512 }
model.arch = "ast-nano"
train = { epochs = 1, batch_size = 8, loss = "ce" }
optimiser.lr = 1e-3
eval.metrics = ["acc"]
stages.train = { do = "train", each = { "dataset.test_fold" = "1:3:1" } }
stages.eval = { do = "evaluate", each = { "dataset.test_fold" = "1:3:1" }, checkpoint = "${stages.train.last}" }
stages.mean = { do = "aggregate", inputs = "${stages.eval.output}" }
)";

constexpr const char* kSweep = R"(
experiment.name = "sweep"
dataset = { name = "synthetic", clips = 40, classes = 4 }
frontend = { kind = "kaldi", frames = 128 }
model.arch = "ast-nano"
train = { epochs = 1, batch_size = 8 }
optimiser.lr = 1e-3
tome.r = 0
stages.train = { do = "train", with = { tome.r = 0 } }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
)";

class Build : public ::testing::Test {
 protected:
  Graph build(const std::string& text, const std::vector<std::string>& set = {},
              const std::vector<std::string>& variants = {}) {
    std::ofstream(dir_ / "recipe.toml") << text;
    recipe::LoadOptions options;
    options.variants = variants;
    for (const std::string& one : set) {
      recipe::Override change;
      change.key = one.substr(0, one.find('='));
      change.text = one.substr(one.find('=') + 1);
      options.overrides.push_back(change);
    }
    const recipe::Recipe loaded = schema::load_recipe(dir_ / "recipe.toml", options);
    InputDigests inputs(dir_ / "memory");
    notes_.clear();
    return build_graph(loaded, target_, inputs, {}, notes_);
  }

  // Names of the nodes that the goals need.
  std::set<std::string> needed(const Graph& graph) {
    std::set<std::string> out;
    const Plan plan = make_plan(graph, Cache(dir_ / "cache"), nullptr, {});
    for (const Node& node : plan.graph.nodes) out.insert(node.name);
    return out;
  }

  static std::map<std::string, std::string> keys(const Graph& graph) {
    std::map<std::string, std::string> out;
    for (const Node& node : graph.nodes) out[node.name] = node.key;
    return out;
  }

  // Names whose keys are not the same in both.
  static std::set<std::string> changed(const Graph& a, const Graph& b) {
    const auto before = keys(a), after = keys(b);
    std::set<std::string> out;
    for (const auto& [name, key] : after) {
      if (before.count(name) == 0 || before.at(name) != key) out.insert(name);
    }
    return out;
  }

  static const Node& node(const Graph& graph, const std::string& name) {
    return graph.nodes[find_nodes(graph, name).front()];
  }
  static std::vector<std::string> inputs_of(const Graph& graph, const std::string& name) {
    std::vector<std::string> out;
    for (const Edge& edge : node(graph, name).inputs) {
      out.push_back(
          edge.role + "=" +
          (edge.node == Edge::kUser ? edge.path.filename().string() : graph.nodes[edge.node].name) +
          "." + edge.part);
    }
    return out;
  }

  TempDir dir_;
  Target target_;
  std::vector<std::string> notes_;
};

using Names = std::vector<std::string>;
using Set = std::set<std::string>;

TEST_F(Build, DistillationHasShardsForBothRates) {
  const Graph graph = build(kDistillation);
  EXPECT_EQ(needed(graph),
            (Set{"prepare@32000", "prepare@16000", "teacher", "teach", "student", "eval"}));
  EXPECT_EQ(inputs_of(graph, "teacher"), (Names{"data=prepare@32000.output"}));
  EXPECT_EQ(inputs_of(graph, "teach"),
            (Names{"data=prepare@32000.output", "checkpoint=teacher.last"}));
  EXPECT_EQ(inputs_of(graph, "student"),
            (Names{"data=prepare@16000.output", "logits=teach.output"}));
  EXPECT_EQ(inputs_of(graph, "eval"),
            (Names{"data=prepare@16000.output", "checkpoint=student.last"}));
  const auto& options = options_of<schema::TrainStageOptions>(node(graph, "student"));
  EXPECT_TRUE(options.kd && options.kd->lambda == 0.1);
}

TEST_F(Build, APublishedTeacherMakesTheTeacherUnneeded) {
  EXPECT_EQ(needed(build(kDistillation, {"dataset.classes=527", "dataset.clips=600"},
                         {"published_teacher"}))
                .count("teacher"),
            0U);
  EXPECT_EQ(needed(build(kDistillation, {}, {"nokd"})), (Set{"prepare@16000", "student", "eval"}));
}

TEST_F(Build, LambdaChangesTheStudentAndWhatFollows) {
  const Graph before = build(kDistillation);
  EXPECT_EQ(changed(before, build(kDistillation, {"kd.lambda=0.25"})), (Set{"student", "eval"}));
  EXPECT_EQ(changed(before, build(kDistillation, {"tome.r=8"})), (Set{"student", "eval"}));
  EXPECT_EQ(changed(before, build(kDistillation, {"dataset.clips=41"})),
            (Set{"prepare@32000", "prepare@16000", "teacher", "teach", "student", "eval"}));
  EXPECT_EQ(changed(before, build(kDistillation, {"eval.bootstrap=100"})),
            (Set{"teach", "student", "eval"}))
      << "teach reads [eval] as well";
}

TEST_F(Build, WhatIsNoResultChangesNoKey) {
  const Graph before = build(kDistillation);
  struct Case {
    const char* name;
    std::string text;
  };
  const std::string text = kDistillation;
  std::string swapped = text;  // two keys in another order, other spacing
  const std::string pair = "train = { epochs = 1, batch_size = 8 }";
  swapped.replace(swapped.find(pair), pair.size(), "train   = {batch_size=8,   epochs=1}");
  std::string moved = text;  // two lines in another order
  const std::string line = "tome.r = 4\n";
  moved.erase(moved.find(line), line.size());
  moved.insert(moved.find("train = {"), line);
  std::string renamed = text;
  renamed.replace(renamed.find("name = \"kd\""), 11, "name = \"other\"");
  const Case cases[] = {{"a comment", "# hello\n" + text},
                        {"key order", swapped},
                        {"line order", moved},
                        {"a label", renamed}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(changed(before, build(c.text)), Set{});
  }
  EXPECT_EQ(changed(before,
                    build(text, {"train.workers=3", "train.micro_batch=8", "dataset.shard_mb=64"})),
            Set{});
}

TEST_F(Build, PinnedMergingIsReadByEvalAlone) {
  const Graph before = build(kSweep);
  EXPECT_EQ(changed(before, build(kSweep, {"tome.r=16"})), Set{"eval"});
}

TEST_F(Build, InstancesPairUp) {
  std::ofstream(dir_ / "file");
  fs::create_directories(dir_ / "set" / "audio");
  std::ofstream(dir_ / "set" / "audio" / "a.wav") << "a";
  const Graph graph = build(kFolds);
  EXPECT_EQ(needed(graph), (Set{"prepare", "train@1", "train@2", "train@3", "eval@1", "eval@2",
                                "eval@3", "mean"}));
  EXPECT_EQ(inputs_of(graph, "eval@2"), (Names{"data=prepare.output", "checkpoint=train@2.last"}));
  EXPECT_EQ(inputs_of(graph, "mean"),
            (Names{"inputs=eval@1.output", "inputs=eval@2.output", "inputs=eval@3.output"}));
  EXPECT_EQ(node(graph, "eval@3").each, (std::vector<double>{3}));
  EXPECT_EQ(inputs_of(graph, "prepare"), (Names{"dataset.root=set.output"}));
  // A fold's number is in the key of its own stages alone.
  EXPECT_NE(node(graph, "train@1").key, node(graph, "train@2").key);
  EXPECT_EQ(find_nodes(graph, "train").size(), 3U);

  std::ofstream(dir_ / "set" / "audio" / "b.wav") << "b";
  const Graph after = build(kFolds);
  EXPECT_EQ(changed(graph, after).size(), graph.nodes.size()) << "everything is made from the data";
}

TEST_F(Build, AChangedFileIsNamedInThePlan) {
  fs::create_directories(dir_ / "set" / "audio");
  std::ofstream(dir_ / "set" / "audio" / "a.wav") << "a";
  const Cache cache(dir_ / "cache");
  const auto plan_now = [&] {
    Graph graph = build(kFolds);
    InputDigests inputs(dir_ / "memory");
    return make_plan(std::move(graph), cache, &inputs, {});
  };
  const Plan first = plan_now();
  const Node& prepare = node(first.graph, "prepare");
  Wanted wanted;
  wanted.kind = "prepare";
  wanted.version = prepare.version;
  wanted.key = prepare.key;
  wanted.stage = "prepare";
  wanted.options = prepare.options;
  wanted.inputs = input_records(first.graph, prepare);
  cache
      .claim(
          wanted, false, [](const Holder&) { return true; }, [](const std::string&) {})
      ->publish({}, 1);
  EXPECT_EQ(plan_now().steps[0].state, State::kCached);
  std::ofstream(dir_ / "set" / "audio" / "a.wav") << "A";
  const Plan second = plan_now();
  EXPECT_EQ(second.steps[0].state, State::kWillRun);
  EXPECT_EQ(second.steps[0].reasons,
            Names{"input dataset.root: in " + (dir_ / "set").string() + ": audio/a.wav changed"});

  // The set is gone: its shards are looked up by what it last was.
  std::ofstream(dir_ / "set" / "audio" / "a.wav") << "a";
  EXPECT_EQ(plan_now().steps[0].state, State::kCached);
  fs::rename(dir_ / "set", dir_ / "gone");
  EXPECT_EQ(plan_now().steps[0].state, State::kCached);
  EXPECT_EQ(notes_, Names{"dataset.root: " + (dir_ / "set").string() +
                          " is not there any more; stages are looked up by its last content"});
}

TEST_F(Build, AbsentDataIsNamedWithItsPlace) {
  try {
    build(kFolds);
    FAIL();
  } catch (const MissingInput& missing) {
    EXPECT_EQ(missing.key(), "dataset.root");
    EXPECT_EQ(missing.dataset(), "esc50");
    EXPECT_EQ(missing.path(), dir_ / "set");
    EXPECT_EQ(missing.code(), Exit::kData);
    EXPECT_EQ(missing.message(), "dataset.root: " + (dir_ / "set").string() + " is not there");
    EXPECT_EQ(missing.place().line, 3) << missing.what();
  }
}

TEST_F(Build, PathsAreInTheKeyByContent) {
  std::ofstream(dir_ / "teacher.npy") << "logits";
  std::ofstream(dir_ / "rows.csv") << "id,row";
  std::string text = kDistillation;
  const std::string stage = "logits = \"${stages.teach.output}\"";
  text.replace(text.find(stage), stage.size(), "logits = \"teacher.npy\", index = \"rows.csv\"");
  const Graph before = build(text);
  EXPECT_EQ(needed(before), (Set{"prepare@16000", "student", "eval"}));
  EXPECT_EQ(
      inputs_of(before, "student"),
      (Names{"data=prepare@16000.output", "logits=teacher.npy.output", "index=rows.csv.output"}));
  fs::rename(dir_ / "teacher.npy", dir_ / "moved.npy");
  std::string moved = text;
  moved.replace(moved.find("teacher.npy"), 11, "moved.npy");
  EXPECT_EQ(changed(before, build(moved)), Set{});
  std::ofstream(dir_ / "moved.npy") << "Logits";
  EXPECT_EQ(changed(before, build(moved)), (Set{"student", "eval"}));
}

/// A checkpoint of one tensor that holds `data`.
std::string tensor_file(const std::string& data) {
  const std::string header =
      fmt::format(R"({{"cls_token":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}}}})",
                  data.size(), data.size());
  std::string out(8, '\0');
  out[0] = static_cast<char>(header.size());
  return out + header + data;
}

// One bit of a checkpoint, of logits in a folder, or of a manifest: the plan names the file.
TEST_F(Build, OutputsGivenByPathAreWhatTheirManifestSays) {
  const fs::path folder = dir_ / "given";
  fs::create_directories(folder);
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
  };
  write("last.safetensors", tensor_file("weights"));
  write("best.safetensors", tensor_file("others"));
  Manifest manifest;
  manifest.kind = "train";
  manifest.key = std::string(32, 'b');
  manifest.metrics = {{"acc", 0.5}};
  manifest.files = list_output(folder);
  write("manifest.json", manifest_text(manifest));
  const auto refusal = [&](const fs::path& given) -> std::string {
    try {
      build(kDistillation, {"stages.teach.checkpoint=" + given.string()});
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  const fs::path file = folder / "last.safetensors";
  EXPECT_EQ(refusal(file), "");
  EXPECT_EQ(refusal(folder), "");
  write("last.safetensors", tensor_file("weightr"));
  EXPECT_EQ(refusal(file).find(file.string() + ": its content does not match the digest"), 0U)
      << refusal(file);
  EXPECT_EQ(refusal(folder).find(file.string() + ": its content does not match the digest"), 0U);
  EXPECT_EQ(refusal(folder / "best.safetensors"), "") << "it is whole";
  fs::remove(file);
  EXPECT_EQ(refusal(folder), "") << "who needs it says that it is missing";
  write("last.safetensors", tensor_file("weights"));
  EXPECT_EQ(refusal(folder), "");
  std::string text = manifest_text(manifest);
  text.replace(text.find("0.5"), 3, "0.9");
  write("manifest.json", text);
  EXPECT_NE(refusal(file).find("manifest.json: it was changed after it was made"),
            std::string::npos);
  write("manifest.json", R"({"name": "of another program"})");
  EXPECT_EQ(refusal(file), "");
}

TEST_F(Build, SoundsThatAListNamesAreInputs) {
  std::string text = kSweep;
  const std::string set = "name = \"synthetic\", clips = 40, classes = 4";
  text.replace(text.find(set), set.size(),
               "name = \"json\", json_train = \"t.json\", json_test = \"t.json\", "
               "labels = \"labels.csv\", val = \"none\"");
  std::ofstream(dir_ / "labels.csv") << "index,mid,display_name\n0,/m/0,a\n";
  std::ofstream(dir_ / "a.wav") << "a";
  fs::create_directory(dir_ / "far");
  std::ofstream(dir_ / "far" / "b.wav") << "b";
  std::ofstream(dir_ / "t.json")
      << "# a comment\n{\"data\": [{\"wav\": \"a.wav\", \"labels\": \"/m/0\"},\n{\"wav\": \""
      << (dir_ / "far" / "b.wav").string() << "\", \"labels\": \"/m/0\"}]}";
  const Graph before = build(text);
  EXPECT_EQ(changed(before, build(text)), Set{});
  for (const char* file : {"a.wav", "far/b.wav", "labels.csv"}) {
    std::ofstream(dir_ / file, std::ios::app) << "x";
    const Graph after = build(text);
    EXPECT_EQ(changed(before, after), (Set{"prepare", "train", "eval"})) << file;
    std::string back = file == std::string("labels.csv")
                           ? "index,mid,display_name\n0,/m/0,a\n"
                           : std::string(1, fs::path(file).stem().string()[0]);
    std::ofstream(dir_ / file) << back;
    EXPECT_EQ(changed(before, build(text)), Set{}) << file;
  }
}

/// `exp recipe init` writes such a recipe beside the lists, and `exp report` its page.
TEST_F(Build, AListedSetCountsWhatItListsAlone) {
  std::string text = kSweep;
  const std::string set = "name = \"synthetic\", clips = 40, classes = 4";
  text.replace(text.find(set), set.size(),
               "name = \"json\", root = \".\", json_train = \"t.json\", json_test = \"t.json\", "
               "labels = \"labels.csv\", val = \"none\"");
  std::ofstream(dir_ / "labels.csv") << "index,mid,display_name\n0,/m/0,a\n";
  std::ofstream(dir_ / "a.wav") << "a";
  std::ofstream(dir_ / "t.json") << R"({"data": [{"wav": "a.wav", "labels": "/m/0"}]})";
  const Graph before = build(text);
  std::ofstream(dir_ / "report.html") << "curves";
  std::ofstream(dir_ / "b.wav") << "not in the list";
  EXPECT_EQ(changed(before, build(text + "\n# a comment\n")), Set{});
  std::ofstream(dir_ / "a.wav") << "b";
  EXPECT_EQ(changed(before, build(text)), (Set{"prepare", "train", "eval"}));
  text.replace(text.find("root = \".\""), 10, "root = \"gone\"");
  EXPECT_THROW(build(text), MissingInput);
}

TEST_F(Build, FilesBesideAFolderPerClassCountNothing) {
  std::string text = kSweep;
  const std::string set = "name = \"synthetic\", clips = 40, classes = 4";
  text.replace(text.find(set), set.size(), "name = \"folder\", root = \"set\", val = \"none\"");
  for (const char* name : {"set/train/a", "set/test/a"}) fs::create_directories(dir_ / name);
  for (const char* name : {"set/train/a/x.wav", "set/test/a/y.flac"})
    std::ofstream(dir_ / name) << "x";
  const Graph before = build(text);
  for (const char* name :
       {"set/README.md", "set/report.html", "set/train/a/notes.txt", "set/train/LICENSE"})
    std::ofstream(dir_ / name) << "text";
  EXPECT_EQ(changed(before, build(text)), Set{});
  // Sounds, those that cannot be read too: a class of nothing else is an error.
  for (const char* name : {"set/train/a/new.au", "set/train/a/new.m4a"}) {
    std::ofstream(dir_ / name) << "x";
    EXPECT_EQ(changed(before, build(text)), (Set{"prepare", "train", "eval"})) << name;
    fs::remove(dir_ / name);
    EXPECT_EQ(changed(before, build(text)), Set{});
  }
}

TEST_F(Build, AutoPrecisionIsResolvedBeforeTheKey) {
  const auto precision = [](const Graph& graph) {
    return options_of<schema::TrainStageOptions>(node(graph, "train")).train.precision;
  };
  const Graph fp32 = build(kSweep, {"train.precision=fp32"});
  const Graph automatic = build(kSweep, {"train.precision=auto"});
  EXPECT_EQ(precision(automatic), schema::Precision::kFp32);
  EXPECT_EQ(changed(fp32, automatic), Set{});
  target_.bf16_units = true;
  EXPECT_EQ(precision(build(kSweep, {"train.precision=auto"})), schema::Precision::kBf16);
  target_.gpu = true;
  EXPECT_EQ(precision(build(kSweep, {"train.precision=auto"})), schema::Precision::kFp16);
}

TEST_F(Build, TheEvaluationsPrecisionIsTheirsAlone) {
  const auto precision = [](const Graph& graph) {
    return options_of<schema::EvaluateStageOptions>(node(graph, "eval")).eval.precision;
  };
  const Graph fp32 = build(kSweep);
  const Graph automatic = build(kSweep, {"eval.precision=auto"});
  EXPECT_EQ(precision(automatic), schema::Precision::kFp32);
  EXPECT_EQ(changed(fp32, automatic), Set{});
  EXPECT_EQ(changed(fp32, build(kSweep, {"eval.precision=bf16"})), Set{"eval"});
  target_.bf16_units = true;
  EXPECT_EQ(precision(build(kSweep, {"eval.precision=auto"})), schema::Precision::kBf16);
  target_.gpu = true;
  EXPECT_EQ(precision(build(kSweep, {"eval.precision=auto"})), schema::Precision::kFp16);
}

TEST_F(Build, WrittenPrepareIsTheOneThatIsRead) {
  const Graph graph = build(std::string(kSweep) + "stages.shards = { do = \"prepare\" }\n");
  EXPECT_EQ(inputs_of(graph, "train"), Names{"data=shards.output"});
  EXPECT_EQ(needed(graph), (Set{"shards", "train", "eval"}));
}

}  // namespace
}  // namespace xp::graph
