#include "core/schema/load.h"

#include <gtest/gtest.h>

#include "core/recipe/language.h"
#include "core/schema/stage_options.h"
#include "tests/schema/recipe_files.h"

namespace xp::schema {
namespace {

constexpr const char* kSmall = R"(
[dataset]
name = "esc50"
root = "data"
val = "test"
[frontend]
frames = 512
[model]
arch = "ast-nano"
[optimiser]
lr = 1e-4
[tome]
r = 4
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
)";

TEST(RecipeLoad, StagesAndCarriedSections) {
  RecipeFiles files;
  files.add("a.toml", kSmall);
  const auto recipe = files.load();
  ASSERT_EQ(recipe.stages().size(), 2u);
  EXPECT_EQ(recipe.stages()[0].name, "train");
  const recipe::View& eval = recipe.stages()[1].instances[0].view;
  EXPECT_EQ(eval.carried_from, "stage train");
  EXPECT_EQ(eval.build<ModelOptions>().arch, "ast-nano");
  EXPECT_EQ(EvaluateStageOptions::configure(eval).tome->r.value, 4);
  EXPECT_EQ(recipe.goals(), std::vector<std::string>{"eval"});
  EXPECT_EQ(recipe.hash().size(), 64u);
}

TEST(RecipeLoad, ShowReproducesTheRecipe) {
  RecipeFiles files;
  files.add("a.toml", kSmall);
  const auto recipe = files.load();
  RecipeFiles shown;
  shown.add("b.toml", recipe.show());
  EXPECT_EQ(shown.load().hash(), recipe.hash());
  EXPECT_EQ(shown.load().canonical(), recipe.canonical());
}

TEST(RecipeLoad, AllFaultsAtOnce) {
  RecipeFiles files;
  files.add(
      "a.toml",
      "extends = [\"b.toml\"]\n[model]\narch = \"ast-nano\"\nwidht = 3\n[train]\nepochs = \"ten\"\n"
      "[stages.train]\ndo = \"train\"\n");
  files.add("b.toml", "[dataset]\nname = \"esc5\"\n");
  EXPECT_EQ(files.fault(), R"(a.toml:4:1: unknown key 'widht' in [model]; did you mean 'width'?
  widht = 3
  ^
a.toml:6:10: train.epochs: expected an integer in [1, 1000000], received a string "ten"
  epochs = "ten"
           ^
a.toml:7:9: stage train needs optimiser.lr: learning rate (a float in (0, 100])
  [stages.train]
          ^
b.toml:2:8: dataset.name: expected one of audioset, esc50, speechcommands, fsd50k, openmic, librispeech, json, folder, passt_hdf5, synthetic, received a string "esc5"; did you mean 'esc50'?
  name = "esc5"
         ^)");
}

TEST(RecipeLoad, FaultsThroughExtendsNameTheirFile) {
  RecipeFiles files("extends = [\"base/b.toml\"]\n" + std::string(kSmall));
  files.add("base/b.toml", "extends = [\"c.toml\"]\n[train]\nepochs = 0\n");
  files.add("base/c.toml", "[trian]\nepochs = 3\n[model]\nfstride = 3\nlr = 1.0\n");
  EXPECT_EQ(
      files.fault(),
      R"(base/b.toml:3:10: train.epochs: expected an integer in [1, 1000000], received an integer 0
  epochs = 0
           ^
base/c.toml:1:2: unknown section [trian]; did you mean [train]?
  [trian]
   ^
base/c.toml:5:1: unknown key 'lr' in [model]; did you mean 'optimiser.lr'?
  lr = 1.0
  ^)");
}

TEST(RecipeLoad, SetFaultsShowTheArgument) {
  RecipeFiles files(kSmall);
  EXPECT_EQ(files.fault_set({"train.epochs=many", "tome.q=3", "stages.trian.with.tome.r=3"}),
            R"(--set:1:14: train.epochs: expected an integer in [1, 1000000], received 'many'
  train.epochs=many
               ^
--set:1:1: unknown key 'tome.q'; did you mean 'tome.r'?
  tome.q=3
  ^
--set:1:1: the recipe has no stage 'trian'; did you mean 'train'?
  stages.trian.with.tome.r=3
  ^)");
}

TEST(RecipeLoad, SetOfASectionNamesItsKeys) {
  RecipeFiles files(kSmall);
  EXPECT_EQ(files.fault_set({"train={epochs=3, loss=\"ce\"}"}),
            "--set:1:1: 'train' is set key by key: --set train.epochs=3 --set train.loss=ce\n"
            "  train={epochs=3, loss=\"ce\"}\n  ^");
  EXPECT_EQ(files.fault_set({"stages.train.with={train={epochs=3}}"}),
            "--set:1:1: 'stages.train.with' is set key by key: --set "
            "stages.train.with.train.epochs=3\n  stages.train.with={train={epochs=3}}\n  ^");
  EXPECT_EQ(files.fault_set({"tome=8"}),
            "--set:1:1: 'tome' is a section, it has the keys r, inflection, prop_attn, "
            "protect_dist\n  tome=8\n  ^");
  EXPECT_EQ(files.fault_set({"tome={q=3}"}),
            "--set:1:1: 'tome' is a section, it has the keys r, inflection, prop_attn, "
            "protect_dist\n  tome={q=3}\n  ^");
}

TEST(RecipeLoad, PinnedKeysAreNamed) {
  RecipeFiles files(std::string(kSmall) +
                    "with = { tome.r = 0 }\n[stages.train.with]\ntome.r = 2\n");
  EXPECT_EQ(files.fault_set({"tome.r=8"}),
            "--set:1:1: --set tome.r has no effect: every stage that reads it pins it; did you "
            "mean stages.train.with.tome.r?\n"
            "  tome.r=8\n  ^");
  EXPECT_EQ(files.load_set({"stages.train.with.tome.r=8"})
                .find_stage("train")
                ->instances[0]
                .view.build<TomeOptions>()
                .r.value,
            8);
}

TEST(RecipeLoad, SyntaxErrorsOfEachFile) {
  RecipeFiles files("extends = [\"b.toml\", \"gone.toml\", \"c.toml\"]\n[model]\nwidht = 3\n");
  files.add("b.toml", "[dataset\nname = 1\n");
  files.add("c.toml", "[model]\narch = \n");
  EXPECT_EQ(files.fault(), R"(a.toml:1:22: there is no file gone.toml
  extends = ["b.toml", "gone.toml", "c.toml"]
                       ^
a.toml:3:1: unknown key 'widht' in [model]; did you mean 'width'?
  widht = 3
  ^
b.toml:1:9: not TOML (table header): expected ']', saw '\n'
  [dataset
          ^
c.toml:2:8: not TOML (key-value pair): expected value, saw '\n'
  arch = 
         ^)");
}

TEST(RecipeLoad, CirclesAreNamed) {
  RecipeFiles extends("extends = [\"b.toml\"]\n");
  extends.add("b.toml", "extends = [\"a.toml\"]\n");
  EXPECT_EQ(extends.fault(),
            R"(b.toml:1:12: extends goes round in a circle: a.toml -> b.toml -> a.toml
  extends = ["a.toml"]
             ^)");
  RecipeFiles keys(std::string(kSmall) +
                   "[train]\nepochs = \"${train.batch_size}\"\nbatch_size = \"${train.epochs}\"\n");
  EXPECT_EQ(
      keys.fault(),
      R"(a.toml:21:14: references go round in a circle: train.epochs -> train.batch_size -> train.epochs
  batch_size = "${train.epochs}"
               ^)");
  RecipeFiles stages(std::string(kSmall) +
                     "[kd]\nenabled = true\nlogits = \"${stages.teach.output}\"\n"
                     "[stages.teach]\ndo = \"teach\"\ncheckpoint = \"${stages.train.last}\"\n");
  EXPECT_EQ(stages.fault(),
            R"(a.toml:24:14: stages wait for each other in a circle: train -> teach -> train
  checkpoint = "${stages.train.last}"
               ^)");
}

TEST(RecipeLoad, ReferencesAreChecked) {
  RecipeFiles files(
      std::string(kSmall) +
      "[stages.other]\ndo = \"evaluate\"\ncheckpoint = \"${stages.trian.last}\"\n"
      "[stages.third]\ndo = \"evaluate\"\ncheckpoint = \"${stages.train.newest}\"\n"
      "[train]\nepochs = \"${env:NO_SUCH_VARIABLE}\"\nbatch_size = \"${trian.epochs}\"\n");
  EXPECT_EQ(
      files.fault(),
      R"(a.toml:21:14: stage other refers to stage 'trian', which the recipe does not have; did you mean 'train'?
  checkpoint = "${stages.trian.last}"
               ^
a.toml:24:14: stage train does 'train' and has no 'newest'; it has output, best, last, average
  checkpoint = "${stages.train.newest}"
               ^
a.toml:26:10: the environment variable NO_SUCH_VARIABLE is not set; give it a value, or write ${env:NO_SUCH_VARIABLE:-default}
  epochs = "${env:NO_SUCH_VARIABLE}"
           ^
a.toml:27:14: '${trian.epochs}': there is no key 'trian.epochs'; did you mean 'train.epochs'?
  batch_size = "${trian.epochs}"
               ^)");
}

TEST(RecipeLoad, EnvironmentGivesTypedValues) {
  RecipeFiles files(std::string(kSmall) +
                    "[train]\nepochs = \"${env:EPOCHS:-4}\"\nbatch_size = \"${train.epochs}\"\n");
  recipe::LoadOptions options;
  options.environment = [](const std::string& name) {
    return name == "EPOCHS" ? std::optional<std::string>("7") : std::nullopt;
  };
  const auto train =
      files.load(options).find_stage("train")->instances[0].view.build<TrainOptions>();
  EXPECT_EQ(train.epochs, 7);
  EXPECT_EQ(train.batch_size, 7);
  options.environment = [](const std::string&) { return std::optional<std::string>("many"); };
  EXPECT_EQ(files.fault(options).substr(0, 115),
            "a.toml:20:10: train.epochs: expected an integer in [1, 1000000], received a string "
            "\"many\" (from \"${env:EPOCHS:-4}\")");
}

TEST(RecipeLoad, KindKeysDropLowerLayers) {
  RecipeFiles files(
      "extends = [\"b.toml\"]\n[frontend]\nkind = \"augment_mel\"\nclip_s = 5.0\n[dataset]\nname = "
      "\"esc50\"\nroot = \"d\"\n"
      "[model]\narch = \"passt-s\"\n[optimiser]\nlr = 1e-3\n[stages.train]\ndo = \"train\"\n");
  files.add(
      "b.toml",
      "[frontend]\nframes = 512\nnorm_mean = -6.0\n[model]\narch = \"passt-l\"\nfstride = 16\n");
  const recipe::View view = files.load().find_stage("train")->instances[0].view;
  EXPECT_EQ(view.build<FrontendOptions>().frames, 0);
  EXPECT_EQ(view.build<FrontendOptions>().norm_mean, -4.5);
  EXPECT_EQ(view.build<ModelOptions>().fstride, 16) << "the family is the same";
  const auto settings = files.load().explain("frontend.frames");
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[1].layer, "extends");
  EXPECT_TRUE(settings[1].dropped);
}

// Whatever their order: a kind key drops what lies below the command line, not what stands beside
// it.
TEST(RecipeLoad, OverridesAreOneLayer) {
  const RecipeFiles files(std::string(kSmall) +
                          "[schedule]\nkind = \"step\"\nfirst_epoch = 7\nwarmup_steps = 3\n");
  for (const auto& sets :
       {std::vector<std::string>{"schedule.warmup_steps=100", "schedule.kind=cosine"},
        {"schedule.kind=cosine", "schedule.warmup_steps=100"}}) {
    const auto recipe = files.load_set(sets);
    const auto schedule = recipe.base().build<ScheduleOptions>();
    EXPECT_EQ(schedule.kind, ScheduleKind::kCosine);
    EXPECT_EQ(schedule.warmup_steps, 100);
    const auto settings = recipe.explain("schedule.warmup_steps");
    ASSERT_EQ(settings.size(), 3u);
    EXPECT_TRUE(settings[1].dropped) << "the file's";
    EXPECT_FALSE(settings[2].dropped) << "--set";
    EXPECT_EQ(recipe.hash(), files.load_set({"schedule.kind=cosine", sets[0], sets[1]}).hash());
  }
  EXPECT_EQ(files.fault_set({"stages.train.with.schedule.warmup_steps=9",
                             "stages.train.with.schedule.kind=cosine"}),
            "");
  EXPECT_EQ(files.load_set({"tome.r=6", "tome.r=8"}).base().build<TomeOptions>().r.value, 8)
      << "of the same key the last";
}

TEST(RecipeLoad, AnOverrideThatIsDroppedIsAFault) {
  const RecipeFiles files(kSmall);
  EXPECT_EQ(files.fault_set({"schedule.patience=3", "schedule.kind=cosine"}),
            "--set:1:1: schedule.kind is \"cosine\", which has no key 'patience' (it belongs to "
            "plateau)\n"
            "  schedule.patience=3\n"
            "  ^");
  recipe::LoadOptions swept = RecipeFiles::options_of({"tome.r=6"});
  swept.overrides.push_back({"tome.r", "8", "--param"});
  EXPECT_EQ(files.fault(swept),
            "--set:1:1: --set tome.r has no effect: --param sets it as well\n  tome.r=6\n  ^");
  const RecipeFiles folds(std::string(kSmall) + "each = { \"dataset.test_fold\" = [1, 2] }\n");
  EXPECT_EQ(folds.fault_set({"stages.eval.with.dataset.test_fold=3"}),
            "--set:1:1: --set stages.eval.with.dataset.test_fold has no effect: the stage's `each` "
            "sets dataset.test_fold\n"
            "  stages.eval.with.dataset.test_fold=3\n"
            "  ^");
}

TEST(RecipeLoad, KeysThatAKindLacks) {
  RecipeFiles files(std::string(kSmall) + "[frontend.x]\n");
  RecipeFiles other(std::string(kSmall) +
                    "[schedule]\nkind = \"step\"\npatience = 3\n[pretrain]\nmasked = 3\n");
  EXPECT_EQ(
      other.fault(),
      R"(a.toml:21:1: schedule.kind is "step", which has no key 'patience' (it belongs to plateau)
  patience = 3
  ^
a.toml:22:2: no stage of this recipe reads [pretrain]: its stages do 'train', 'evaluate'
  [pretrain]
   ^)");
}

TEST(RecipeLoad, PathsAreRelativeToTheirFile) {
  RecipeFiles files("extends = [\"base/b.toml\"]\n" + std::string(kSmall));
  files.add("base/b.toml", "[augment]\nir_root = \"irs\"\nir_p = 0.1\n");
  const recipe::View view = files.load().find_stage("train")->instances[0].view;
  EXPECT_EQ(view.build<DatasetOptions>().root, (files.folder() / "data").string());
  EXPECT_EQ(view.build<AugmentOptions>().ir_root, (files.folder() / "base/irs").string());
  recipe::LoadOptions options = RecipeFiles::options_of({"dataset.root=x"});
  options.working_folder = "/elsewhere";
  EXPECT_EQ(files.load(options).base().build<DatasetOptions>().root, "/elsewhere/x");
}

TEST(RecipeLoad, ATildeIsTheHomeFolder) {
  const RecipeFiles files(kSmall);
  const std::string root =
      files.load_set({"dataset.root=~/sets"}).base().build<DatasetOptions>().root;
  EXPECT_EQ(root, std::string(testing::env("HOME")) + "/sets");
}

// Filters write both as STAGE.METRIC and SECTION.KEY, and stages are often named as sections are.
TEST(RecipeLoad, NoKeyReadsAsAMetric) {
  for (const char* metric :
       {"train.loss", "val.mAP", "val.acc", "loss_hard", "loss_kd", "mAP", "mAP_all", "mAP_classes",
        "auc", "d_prime", "acc", "clips_per_s", "latency_p50_ms", "latency_p95_ms", "peak_mem_mb",
        "params_m", "gflop", "stall_p", "rows"}) {
    for (const recipe::SectionSpec& section : language().sections)
      EXPECT_EQ(section.find(metric), nullptr) << section.name << "." << metric;
  }
  RecipeFiles files(std::string(kSmall) + "[stages.optimiser]\ndo = \"prepare\"\n");
  EXPECT_EQ(files.fault(),
            "a.toml:19:9: stage name \"optimiser\": its metric optimiser.lr would read as the key "
            "optimiser.lr; choose another name\n"
            "  [stages.optimiser]\n"
            "          ^");
}

TEST(RecipeLoad, EachMakesInstancesThatPairUp) {
  RecipeFiles files(std::string(kSmall) +
                    "each = { \"dataset.test_fold\" = \"1:3:1\" "
                    "}\n[stages.train.each]\n\"dataset.test_fold\" = [1, 2, 3]\n"
                    "[stages.mean]\ndo = \"aggregate\"\ninputs = \"${stages.eval.output}\"\n");
  const auto recipe = files.load();
  const recipe::Stage& eval = *recipe.find_stage("eval");
  ASSERT_EQ(eval.instances.size(), 3u);
  EXPECT_EQ(eval.instances[1].name, "eval@2");
  EXPECT_EQ(eval.instances[1].view.build<DatasetOptions>().test_fold, 2);
  const auto makers = recipe.resolve({"train", "last"}, eval.instances[1]);
  ASSERT_EQ(makers.size(), 1u);
  EXPECT_EQ(makers[0]->name, "train@2");
  EXPECT_EQ(recipe.resolve({"eval", "output"}, recipe.find_stage("mean")->instances[0]).size(), 3u);
}

TEST(RecipeLoad, CarriedKeysCannotBeSet) {
  RecipeFiles files(
      std::string(kSmall) +
      "with = { model = { arch = \"ast-tiny224\", fstride = 12 }, frontend.frames = 256 }\n");
  EXPECT_EQ(files.fault(),
            "a.toml:19:20: model.arch cannot be set here: the checkpoint of stage train brings its "
            "own [model]; only "
            "frontend.frames, model.fstride, model.tstride may differ\n"
            "  with = { model = { arch = \"ast-tiny224\", fstride = 12 }, frontend.frames = 256 }\n"
            "                     ^");
}

TEST(RecipeLoad, ExplainTellsTheWholeChain) {
  RecipeFiles files("extends = [\"b.toml\"]\n" + std::string(kSmall) +
                    "with = { tome.r = 1 }\n[variants.v]\ntome.r = 5\n");
  files.add("b.toml", "[tome]\nr = 2\n");
  recipe::LoadOptions options = RecipeFiles::options_of({"tome.r=6"});
  options.variants = {"v"};
  std::string text;
  for (const recipe::Setting& s : files.load(options).explain("tome.r")) {
    text += s.layer + " " + s.text + " " + std::filesystem::path(s.place.file).filename().string() +
            ":" + std::to_string(s.place.line) + "\n";
  }
  EXPECT_EQ(text,
            "default 0 :0\nextends 2 b.toml:2\nfile 4 a.toml:14\nvariant v 5 a.toml:22\n--set 6 "
            "--set:1\nstages.eval.with 1 a.toml:20\n");
}

constexpr const char* kTaught = R"(
[dataset]
name = "esc50"
root = "data"
[frontend]
frames = 512
[augment]
gain_db = 6
[model]
arch = "ast-nano"
[train]
epochs = 7
[optimiser]
lr = 1e-4
[eval]
batch_size = 3
[kd]
enabled = true
logits = "${stages.teach.output}"
[stages.teacher]
do = "train"
inherit = false
with = { model.arch = "mn04", optimiser.lr = 0.1 }
[stages.teach]
do = "teach"
checkpoint = "${stages.teacher.last}"
[stages.student]
do = "train"
)";

TEST(RecipeLoad, InheritCutsAllButDatasetAndEval) {
  const RecipeFiles files(kTaught);
  const auto of = [](const recipe::Recipe& recipe, const char* stage) {
    return TrainStageOptions::configure(recipe.find_stage(stage)->instances[0].view);
  };
  const auto before = files.load();
  const TrainStageOptions teacher = of(before, "teacher");
  EXPECT_EQ(teacher.train.epochs, TrainOptions().epochs);
  EXPECT_EQ(teacher.augment.gain_db, AugmentOptions().gain_db);
  EXPECT_EQ(teacher.optimiser.lr, 0.1);
  EXPECT_FALSE(teacher.kd);
  EXPECT_EQ(of(before, "student").train.epochs, 7);

  const std::vector<std::string> sets = {"experiment.seed=3",    "augment.gain_db=9",
                                         "train.epochs=8",       "sampler.kind=class_balanced",
                                         "schedule.kind=cosine", "averaging.kind=ema",
                                         "optimiser.lr=1e-3",    "frontend.frames=256"};
  for (const std::string& set : sets) {
    const auto after = files.load_set({set});
    EXPECT_EQ(recipe::canonical_text(of(after, "teacher")), recipe::canonical_text(teacher)) << set;
    EXPECT_NE(recipe::canonical_text(of(after, "student")),
              recipe::canonical_text(of(before, "student")))
        << set;
  }
  EXPECT_EQ(of(files.load_set({"dataset.test_fold=2"}), "teacher").dataset.test_fold, 2);
}

TEST(RecipeLoad, InheritIsShownHashedAndExplained) {
  const RecipeFiles files(kTaught);
  const auto cut = files.load();
  EXPECT_EQ(RecipeFiles(cut.show()).load().canonical(), cut.canonical());
  const RecipeFiles plain(kSmall), whole(std::string(kSmall) + "inherit = true\n");
  EXPECT_EQ(whole.load().hash(), plain.load().hash()) << "as without the key";
  EXPECT_NE(plain.load_set({"stages.eval.inherit=false"}).hash(), plain.load().hash());
  std::string told;
  for (const recipe::Setting& setting : cut.explain("augment.gain_db"))
    told += setting.layer + ": " + setting.text + "\n";
  EXPECT_EQ(told, "default: 0\nfile: 6\nstages.teacher: not inherited (inherit = false)\n");
}

TEST(RecipeLoad, AKeyThatNoStageInheritsHasNoEffect) {
  const RecipeFiles files(std::string(kTaught) +
                          "inherit = false\nwith = { model.arch = "
                          "\"mn04\", optimiser.lr = 0.2 }\n");
  EXPECT_NE(files.fault_set({"augment.gain_db=9"}).find("augment"), std::string::npos);
}

TEST(RecipeLoad, UnknownVariant) {
  RecipeFiles files(std::string(kSmall) + "[variants.tiny]\ntrain.epochs = 1\n");
  recipe::LoadOptions options;
  options.variants = {"tny"};
  EXPECT_EQ(files.fault(options),
            "--variant tny: a.toml has no such variant; did you mean 'tiny'?");
}

}  // namespace
}  // namespace xp::schema
