// The rules that span keys: each with a recipe that keeps it and one that breaks it.
#include "core/schema/check.h"

#include <gtest/gtest.h>

#include "tests/schema/recipe_files.h"

namespace xp::schema {
namespace {

constexpr const char* kBase = R"(
[dataset]
name = "audioset"
root = "data"
[model]
arch = "ast-base384"
[optimiser]
lr = 1e-4
[stages.train]
do = "train"
[stages.eval]
do = "evaluate"
checkpoint = "${stages.train.last}"
[variants.mel]
frontend.kind = "augment_mel"
model.arch = "passt-s"
[variants.ssast]
model = { arch = "ssast-base-patch" }
stages.pre = { do = "pretrain" }
)";

struct RuleCase {
  const char* name;
  std::vector<std::string> sets;
  const char* want;  ///< the fault's message without its place, "" for none
  const char* variant = "";
};

/// The first fault's message.
std::string message_of(const RecipeFiles& files, const RuleCase& c) {
  recipe::LoadOptions options = RecipeFiles::options_of(c.sets);
  if (*c.variant != '\0') options.variants = {c.variant};
  try {
    files.load(options);
    return "";
  } catch (const recipe::RecipeError& error) {
    return error.faults().front().message;
  }
}

void check_all(const std::vector<RuleCase>& cases) {
  const RecipeFiles files(kBase);
  for (const RuleCase& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(message_of(files, c), c.want);
  }
}

TEST(CrossFieldRules, Input) {
  check_all({
      {"as it stands", {}, ""},
      {"window fits", {"frontend.window_samples=512"}, ""},
      {"window too long",
       {"frontend.window_samples=600"},
       "stage train: frontend.window_samples is 600, more than the 512 points of fft_size"},
      {"Nyquist", {"frontend.high_hz=8000.0"}, ""},
      {"above Nyquist",
       {"frontend.high_hz=8001.0"},
       "stage train: frontend.high_hz is 8001, above half the rate (8000)"},
      {"edges crossed",
       {"frontend.high_hz=10.0"},
       "stage train: frontend.low_hz is not below the upper edge"},
      {"just a patch", {"frontend.frames=16"}, ""},
      {"no patch",
       {"frontend.frames=15"},
       "stage train: no patch of 16 x 16 fits into 128 bins x 15 frames"},
      {"gaps",
       {"model.fstride=17"},
       "stage train: model.fstride is 17: patches of 16 bins would leave gaps"},
      {"heads divide", {"model.dim=96", "model.heads=3"}, ""},
      {"heads do not divide",
       {"model.dim=100", "model.heads=3"},
       "stage train: model.dim 100 is no multiple of model.heads 3"},
      {"masks fit", {"augment.freq_mask_bins=128", "augment.time_mask_frames=1024"}, ""},
      {"wide frequency mask",
       {"augment.freq_mask_bins=129"},
       "stage train: augment.freq_mask_bins is 129, there are 128 bins"},
      {"wide time mask",
       {"augment.time_mask_frames=1025"},
       "stage train: augment.time_mask_frames is 1025, there are 1024 frames"},
      {"impulse responses",
       {"augment.ir_p=0.5"},
       "stage train: augment.ir_p needs augment.ir_root: where are the impulse responses?"},
      {"positions reach", {"model.pos_frames=998"}, "", "mel"},
      {"positions too few",
       {"model.pos_frames=500"},
       "stage train: the input has 99 patches in time, model.pos_frames = 500 has positions for 50",
       "mel"},
      {"no root", {"dataset.root="}, "stage train: dataset.root is not set: where is audioset?"},
  });
}

TEST(CrossFieldRules, SplitsThatTheSetCannotHave) {
  check_all({
      {"a part", {"dataset.val=balanced_train"}, ""},
      {"no part of AudioSet",
       {"dataset.val=balanced_trian"},
       "stage train: dataset.val = \"balanced_trian\": audioset has no such split; did you mean "
       "'balanced_train'?"},
      {"a fold",
       {"dataset.name=esc50", "dataset.root=x", "dataset.test=tset"},
       "stage train: dataset.test = \"tset\": esc50 has no such split; did you mean 'test'?"},
      {"none", {"dataset.name=esc50", "dataset.root=x", "dataset.val=none"}, ""},
      {"the set's own name",
       {"dataset.name=speechcommands", "dataset.root=x", "dataset.val=testing"},
       ""},
      {"another set's name",
       {"dataset.name=openmic", "dataset.root=x", "dataset.val=validation"},
       "stage train: dataset.val = \"validation\": openmic has no such split; it has train, test"},
      {"a joined set's",
       {"dataset.also=[{ name = \"esc50\", root = \"x\", val = \"vall\" }]"},
       "stage train: dataset.val = \"vall\": esc50 has no such split; did you mean 'val'?"},
      {"folders may have any name",
       {"dataset.name=folder", "dataset.root=x", "dataset.val=monday"},
       ""},
  });
}

TEST(CrossFieldRules, TokensLeftOut) {
  check_all({
      {"rows", {"patchout.f=11"}, ""},
      {"all rows",
       {"patchout.f=12"},
       "stage train: patchout.f = 12 leaves none of the 12 rows of patches"},
      {"columns", {"patchout.t=100"}, ""},
      {"all columns",
       {"patchout.t=101"},
       "stage train: patchout.t = 101 leaves none of the 101 columns of patches"},
      {"patches", {"patchout.u=1211"}, ""},
      {"all patches",
       {"patchout.u=1212"},
       "stage train: patchout.u = 1212 leaves none of the 1212 patches"},
      {"count and fraction",
       {"patchout.t=3", "patchout.t_p=0.5"},
       "stage train: patchout.t and patchout.t_p exclude each other"},
      {"r for each block", {"tome.r=[1,2,3,4,5,6,7,8,9,10,11,12]"}, ""},
      {"r for too many",
       {"tome.r=[1,2,3,4,5,6,7,8,9,10,11,12,13]"},
       "stage train: tome.r lists 13 blocks, ast-base384 has 12"},
      {"bent list",
       {"tome.r=[1,2]", "tome.inflection=-1.0"},
       "stage train: tome.inflection bends one number over the blocks; tome.r is a list"},
      {"r beyond the tokens is clamped", {"tome.r=5000"}, ""},
  });
}

TEST(CrossFieldRules, Training) {
  check_all({
      {"one label",
       {"train.loss=ce"},
       "stage train: train.loss = \"ce\" takes one label a clip, audioset has several; use bce"},
      {"judged classes",
       {"train.loss=masked_bce"},
       "stage train: train.loss = \"masked_bce\" is for classes that nobody judged; audioset has "
       "none"},
      {"micro batch",
       {"train.micro_batch=33"},
       "stage train: train.micro_batch is 33, more than train.batch_size 32"},
      {"micro batch of clips that share statistics",
       {"train.micro_batch=8", "model.arch=mn10"},
       "stage train: micro_batch = 8 (train or runtime) would split the 32 clips that share "
       "statistics of batch norm: set it to 0 or to at least 32, or train.norm_batch to at most 8"},
      {"micro batch of whole groups",
       {"train.micro_batch=8", "train.norm_batch=8", "model.arch=mn10"},
       ""},
      {"groups of batch norm larger than the batch",
       {"train.norm_batch=33", "model.arch=mn10"},
       "stage train: train.norm_batch is 33, more than train.batch_size 32"},
      {"groups of batch norm without batch norm",
       {"train.norm_batch=8"},
       "stage train: train.norm_batch means nothing to ast, which has no batch norm: leave it out"},
      {"select without validation",
       {"train.select=max:val.mAP"},
       "stage train: train.select = \"max:val.mAP\" needs validation, and there is no validation "
       "split: dataset.val"},
      {"select with validation", {"train.select=max:val.mAP", "dataset.val=eval"}, ""},
      {"select by what pretraining computes",
       {"train.select=min:val.loss_mse", "dataset.val=eval"},
       "stage train: train.select = \"min:val.loss_mse\": validation of this stage computes mAP, "
       "mAP_all, auc, d_prime, acc, loss"},
      {"plateau",
       {"schedule.kind=plateau"},
       "stage train: schedule.kind = \"plateau\" needs validation, and there is no validation "
       "split: dataset.val"},
      {"early stop",
       {"train.early_stop_epochs=3", "dataset.val=eval"},
       "stage train: train.early_stop_epochs needs a train.select to get better, and validation"},
      {"two betas", {"optimiser.betas=[0.95, 0.999]"}, ""},
      {"one beta",
       {"optimiser.betas=[0.95]"},
       "stage train: optimiser.betas are two numbers, as [0.9, 0.999]; here are 1"},
      {"average in time", {"averaging.kind=epochs", "averaging.last_epoch=10"}, ""},
      {"average too late",
       {"averaging.kind=epochs", "averaging.last_epoch=11"},
       "stage train: averaging.last_epoch is 11, training ends after epoch 10"},
      {"distillation without logits",
       {"kd.enabled=true"},
       "stage train: kd.enabled needs kd.logits: a teach stage (\"${stages.NAME.output}\") or an "
       ".npy file"},
      {"logits of a file", {"kd.enabled=true", "kd.logits=t.npy", "kd.index=i.pkl"}, ""},
      {"logits without index",
       {"kd.enabled=true", "kd.logits=t.npy"},
       "stage train: kd.logits names a file: kd.index has to say which row is which clip"},
      {"a CNN's start rule",
       {"model.init=efficientat"},
       "stage train: model.init = \"efficientat\" is no rule for ast-base384, which takes auto, "
       "ast, passt, ssast, torchonly, xavier or normal"},
      {"a transformer's start rule", {"model.init=torchonly"}, ""},
      {"a start rule of another family",
       {"model.init=ast", "model.arch=mn10"},
       "stage train: model.init = \"ast\" is no rule for mn10, which takes auto, efficientat, "
       "xavier or normal",
       "mel"},
      {"no bias to set",
       {"model.head_bias=zero", "model.cnn_head=attention", "model.arch=mn10"},
       "stage train: model.cnn_head = \"attention\" has no bias for model.head_bias to set",
       "mel"},
      {"no head",
       {"model.head=none"},
       "stage train: a model without head or aggregator has no classes to train"},
  });
}

TEST(CrossFieldRules, Weights) {
  check_all({
      {"published", {"model.weights=audioset_10_10_0.4593"}, ""},
      {"misspelt",
       {"model.weights=audioset_10_10_0.459"},
       "stage train: there are no published weights 'audioset_10_10_0.459'; did you mean "
       "'audioset_10_10_0.4593'?"},
      {"of another architecture",
       {"model.weights=mn10_as"},
       "stage train: weights mn10_as are of mn10, model.arch is ast-base384; model.strict = false "
       "takes what fits"},
      {"another frontend",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.hop_samples=160"},
       "stage train: weights passt_s_swa_p16_128_ap476 were trained with frontend.hop_samples = "
       "320 (here 160); "
       "model.frontend_mismatch = \"warn\" takes them all the same",
       "mel"},
      {"another frontend, wanted",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.hop_samples=160",
        "model.frontend_mismatch=warn"},
       "",
       "mel"},
      {"the front end that the weights carry",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.high_hz=15000", "frontend.clip_s=5"},
       "",
       "mel"},
      {"another window",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.window_samples=1024"},
       "stage train: weights passt_s_swa_p16_128_ap476 were trained with "
       "frontend.window_samples = 800 (here 1024); model.frontend_mismatch = \"warn\" takes them "
       "all the same",
       "mel"},
      {"another FFT",
       {"model.weights=audioset_10_10_0.4593", "frontend.fft_size=1024"},
       "stage train: weights audioset_10_10_0.4593 were trained with frontend.fft_size = 512 "
       "(here 1024); model.frontend_mismatch = \"warn\" takes them all the same"},
      {"another lower edge",
       {"model.weights=audioset_10_10_0.4593", "frontend.low_hz=50"},
       "stage train: weights audioset_10_10_0.4593 were trained with frontend.low_hz = 20 "
       "(here 50); model.frontend_mismatch = \"warn\" takes them all the same"},
      {"another upper edge",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.high_hz=12000"},
       "stage train: weights passt_s_swa_p16_128_ap476 were trained with frontend.high_hz = "
       "15000 (here 12000); model.frontend_mismatch = \"warn\" takes them all the same",
       "mel"},
      {"normalisation of the data",
       {"model.weights=audioset_10_10_0.4593", "frontend.norm_mean=-6"},
       ""},
      {"another normalisation",
       {"model.weights=passt_s_swa_p16_128_ap476", "frontend.norm_std=4"},
       "stage train: weights passt_s_swa_p16_128_ap476 were trained with frontend.norm_std = "
       "2.5 (here 4); model.frontend_mismatch = \"warn\" takes them all the same",
       "mel"},
      {"rows that have no position",
       {"model.weights=passt_s_swa_p16_128_ap476", "model.fstride=16"},
       "stage train: weights passt_s_swa_p16_128_ap476 are of 12 rows of patches (model.fstride = "
       "10; here 8)",
       "mel"},
      {"columns of another step",
       {"model.weights=passt_s_swa_p16_128_ap476", "model.tstride=12"},
       "stage train: weights passt_s_swa_p16_128_ap476 are of model.tstride = 10 (here 12)",
       "mel"},
      {"strides of an image start",
       {"model.weights=passt_deit_bd_p16_384", "model.fstride=16", "model.tstride=16"},
       "",
       "mel"},
      {"strides of a joint embedding",
       {"model.weights=audioset_10_10_0.4593", "model.fstride=16", "model.tstride=16"},
       ""},
      {"another head",
       {"model.arch=mn10", "model.weights=mn10_as", "model.cnn_head=conv"},
       "stage train: weights mn10_as are of model.cnn_head = \"mlp\" (here \"conv\")",
       "mel"},
      {"the head of the weights",
       {"model.arch=mn10", "model.weights=mn10_as_fc", "model.cnn_head=conv"},
       "",
       "mel"},
      {"no average",
       {"stages.eval.checkpoint=${stages.train.average}"},
       "stage eval: stage train makes no average: its averaging.kind is \"none\""},
      {"an image start is no checkpoint",
       {"stages.eval.checkpoint=deit_base_distilled_384"},
       "stage eval: deit_base_distilled_384 was trained on images: it is a start for training "
       "(model.weights)"},
      {"no classifier",
       {"stages.eval.checkpoint=SSAST-Base-Patch-400"},
       "stage eval: SSAST-Base-Patch-400 was pretrained without labels and has no classifier"},
      {"other classes",
       {"stages.eval.checkpoint=speechcommands_10_10_0.9812"},
       "stage eval: speechcommands_10_10_0.9812 has 35 classes, audioset has 527"},
      {"validation that is not there",
       {"stages.eval.split=val"},
       "stage eval: there are no val clips: dataset.val"},
  });
}

TEST(CrossFieldRules, Pretraining) {
  check_all({
      {"some left", {"pretrain.masked=511", "model.fstride=0"}, "", "ssast"},
      {"none left",
       {"pretrain.masked=512", "model.fstride=0"},
       "stage pre: pretrain.masked is 512, there are 512 patches",
       "ssast"},
      {"clusters of frames",
       {"model.arch=ssast-base-frame", "model.fstride=0"},
       "stage pre: patches of ssast-base-frame have no neighbours in frequency: "
       "pretrain.cluster_min = cluster_max = 0",
       "ssast"},
      {"another family",
       {"model.arch=ast-base384"},
       "stage pre: masked pretraining is of the ssast family; ast-base384 is not",
       "ssast"},
  });
}

TEST(CrossFieldRules, LabelFile) {
  RecipeFiles files(
      "[dataset]\nname = \"esc50\"\nroot = \"d\"\nsubset = \"esc10\"\nlabels = "
      "\"l.csv\"\n[model]\narch = \"ast-nano\"\n"
      "[optimiser]\nlr = 1e-3\n[stages.train]\ndo = \"train\"\n");
  files.add("l.csv", "index,mid,display_name\n0,/m/a,A\n1,/m/b,B\n");
  EXPECT_EQ(files.fault(),
            "a.toml:5:10: stage train: dataset.labels has 2 classes, esc50 has 10\n  labels = "
            "\"l.csv\"\n           ^");
}

TEST(CrossFieldRules, JoinedSetsHaveNoKeysOfTheWholeSet) {
  const std::string rest =
      "[model]\narch = \"ast-nano\"\n[optimiser]\nlr = 1e-3\n[stages.train]\ndo = \"train\"\n";
  const auto fault = [&](const std::string& key) {
    return RecipeFiles("[dataset]\nname = \"synthetic\"\nalso = [{ name = \"synthetic\", " + key +
                       " }]\n" + rest)
        .fault();
  };
  for (const char* key : {"train = \"test\"", "train_p = 0.5", "test_fold = 2", "clips = 20"})
    EXPECT_EQ(fault(key), "") << key;
  EXPECT_EQ(fault("max_bad_p = 0.5"),
            "a.toml:3:43: stage train: dataset.also: max_bad_p is set for the whole set: put it in "
            "[dataset]\n"
            "  also = [{ name = \"synthetic\", max_bad_p = 0.5 }]\n"
            "                                            ^");
  for (const std::string key : {"on_bad_clip = \"error\"", "resample = \"lq\"", "crop = \"random\"",
                                "store = \"flac\"", "shard_mb = 8", "also = []"}) {
    EXPECT_NE(fault(key).find("dataset.also: " + key.substr(0, key.find(' ')) +
                              " is set for the whole set: put it in [dataset]"),
              std::string::npos)
        << fault(key);
  }
  EXPECT_TRUE(RecipeFiles("[dataset]\nname = \"synthetic\"\nalso = [{ name = \"synthetic\", crop = "
                          "\"random\" }]\n[stages.prepare]\ndo = \"prepare\"\n")
                  .fault()
                  .starts_with("a.toml:3:38: stage prepare: dataset.also: crop is set for the "));
}

TEST(CrossFieldRules, Devices) {
  const auto recipe = RecipeFiles(kBase).load();
  EXPECT_NO_THROW(check_devices(recipe, 3)) << "shares of 32 may differ by a clip";
  EXPECT_NO_THROW(check_devices(recipe, 32));
  try {
    check_devices(recipe, 33);
    ADD_FAILURE() << "no fault";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "stage train: train.batch_size is 32: of 33 devices some would have no clip");
  }
}

TEST(CrossFieldRules, FaultsOfMergedLayersNameTheFileThatHoldsThem) {
  RecipeFiles files("extends = [\"mid/b.toml\"]\n[tome]\nr = 2\n" + std::string(kBase));
  files.add("mid/b.toml", "extends = [\"../low/c.toml\"]\n[frontend]\nframes = 160\n");
  files.add("low/c.toml", "[patchout]\nt = 15\n[train]\nloss = \"ce\"\n");
  EXPECT_EQ(files.fault(),
            R"(low/c.toml:2:5: stage train: patchout.t = 15 leaves none of the 15 columns of patches
  t = 15
      ^
low/c.toml:4:8: stage train: train.loss = "ce" takes one label a clip, audioset has several; use bce
  loss = "ce"
         ^)");
  EXPECT_EQ(files.fault_set({"train.loss=bce", "frontend.frames=144", "patchout.f=99"}),
            R"(low/c.toml:2:5: stage train: patchout.t = 15 leaves none of the 13 columns of patches
  t = 15
      ^
--set:1:12: stage train: patchout.f = 99 leaves none of the 12 rows of patches
  patchout.f=99
             ^)");
}

constexpr const char* kWhole = R"(
dataset = { name = "esc50", root = "data", val_fold = 4 }
model.arch = "ast-nano"
optimiser.lr = 1e-4
stages.levels = { do = "stats" }
stages.train = { do = "train" }
stages.eval = { do = "evaluate", checkpoint = "${stages.train.last}" }
stages.mean = { do = "aggregate", inputs = "${stages.eval.output}" }
stages.three = { do = "baseline", each = { "experiment.seed" = "1:3:1" } }
[variants.one]
dataset.subset = "esc10"
stages.train.with.dataset.subset = "esc50"
[sweep]
params = { "tome.r" = "0:8:4" }
metric = "max:eval.acc"
)";

TEST(CrossFieldRules, MetricsOfMaskedPretraining) {
  const RecipeFiles files(R"(
dataset = { name = "synthetic", val_fold = 4 }
model.arch = "ssast-tiny-patch"
optimiser.lr = 1e-4
stages.masked = { do = "pretrain" }
sweep = { params = { "pretrain.masked" = [100, 200] } }
)");
  for (const RuleCase& c : std::vector<RuleCase>{
           {"reconstruction", {"sweep.metric=min:masked.val.loss_mse"}, ""},
           {"chosen by it", {"pretrain.task=generative", "train.select=min:val.loss_mse"}, ""},
           {"not of this task",
            {"pretrain.task=generative", "train.select=max:val.acc"},
            "stage masked: train.select = \"max:val.acc\": validation of this stage computes loss, "
            "loss_mse"},
           {"of labels",
            {"sweep.metric=max:masked.val.mAP"},
            "sweep: 'max:masked.val.mAP': a stage that does 'pretrain' gives no metric 'val.mAP'; "
            "did you mean 'masked.val.acc'?"}}) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(message_of(files, c), c.want);
  }
}

TEST(CrossFieldRules, StagesAndSweeps) {
  const RecipeFiles files(kWhole);
  const std::vector<RuleCase> cases = {
      {"as it stands", {}, ""},
      {"the fold twice",
       {"dataset.val_fold=5"},
       "stage levels: dataset.val_fold and dataset.test_fold are both 5"},
      {"nothing to train on",
       {"dataset.train=none"},
       "stage train: there is no training split: dataset.train"},
      {"no validation fold",
       {"dataset.val_fold=0", "train.select=max:val.acc"},
       "stage train: train.select = \"max:val.acc\" needs validation, and there is no validation "
       "fold: dataset.val_fold is 0"},
      {"statistics of a stage", {"stages.train.with.frontend.norm=${stages.levels.output}"}, ""},
      {"statistics of a stage and of the recipe",
       {"stages.train.with.frontend.norm=${stages.levels.output}", "frontend.norm_mean=-3.0"},
       "stage train: frontend.norm takes mean and deviation from a stage: leave out norm_mean and "
       "norm_std"},
      {"statistics of a training",
       {"stages.train.with.frontend.norm=${stages.eval.output}",
        "stages.eval.checkpoint=audioset_10_10_0.4593"},
       "stage train: frontend.norm needs a stage that does 'stats'; eval does 'evaluate'"},
      {"frozen blocks",
       {"model.freeze_blocks=13"},
       "stage train: model.freeze_blocks is 13, the model has 4"},
      {"average begins too late",
       {"averaging.kind=swa", "averaging.first_epoch=11"},
       "stage train: averaging.first_epoch is 11, training ends after epoch 10"},
      {"average ends before it begins",
       {"averaging.kind=epochs", "averaging.first_epoch=5", "averaging.last_epoch=4"},
       "stage train: averaging.last_epoch is before averaging.first_epoch"},
      {"smoothing of judged classes",
       {"dataset.name=openmic", "dataset.root=x", "train.loss=masked_bce",
        "train.label_smoothing=0.1"},
       "stage train: train.label_smoothing does not go with masked_bce"},
      {"logits of a training",
       {"kd.enabled=true", "kd.logits=${stages.mean.output}"},
       "stages wait for each other in a circle: train -> mean -> eval -> train"},
      {"logits that are neither",
       {"kd.enabled=true", "kd.logits=teacher"},
       "stage train: kd.logits is neither a teach stage nor an .npy file"},
      {"window beyond the frames",
       {"eval.window_s=20.0", "frontend.frames=1024"},
       "stage eval: eval.window_s is 20, which are 1998 frames, and frontend.frames keeps 1024"},
      {"window beyond the clip",
       {"eval.window_s=20.0", "frontend.clip_s=10.0", "frontend.frames=0"},
       "stage eval: eval.window_s is 20, and frontend.clip_s keeps 10 s of each window"},
      {"hop without window",
       {"eval.window_hop_s=1.0"},
       "stage eval: eval.window_hop_s needs eval.window_s"},
      {"hop of a window", {"eval.window_s=2.0", "eval.window_hop_s=2.0"}, ""},
      {"hop beyond the window",
       {"eval.window_s=1.0", "eval.window_hop_s=2.5"},
       "stage eval: eval.window_hop_s is 2.5, more than eval.window_s 1: what lies between the "
       "windows would not be scored"},
      {"mean of trainings",
       {"stages.mean.inputs=${stages.train.output}"},
       "stage mean: inputs needs a stage that does 'evaluate' or 'baseline'; train does 'train'"},
      {"mean of a file",
       {"stages.mean.inputs=a/b.json"},
       "stage mean: inputs takes outputs of stages: \"${stages.NAME.output}\""},
      {"compared with a file",
       {"stages.mean.against=a/b.json"},
       "stage mean: against takes outputs of stages: \"${stages.NAME.output}\""},
      {"three stages compared with one",
       {"stages.mean.inputs=${stages.three.output}", "stages.mean.against=${stages.eval.output}"},
       "stage mean: against pairs with inputs: as many stages, with the same `each` in the same "
       "order"},
      {"trained on other classes",
       {},
       "stage eval: stage train trains on 50 classes, esc50 has 10",
       "one"},
      {"metric of no stage",
       {"sweep.metric=max:evaal.acc"},
       "sweep: 'max:evaal.acc': the recipe has no stage 'evaal'; did you mean 'eval'?"},
      {"metric that no evaluation gives",
       {"sweep.metric=max:eval.mAPP"},
       "sweep: 'max:eval.mAPP': a stage that does 'evaluate' gives no metric 'mAPP'; did you mean "
       "'eval.mAP'?"},
      {"an interval of a mean", {"sweep.metric=max:mean.acc_difference_lo"}, ""},
      {"a class", {"sweep.metric=max:eval.ap//m/09x0r"}, ""},
      {"an epoch's metric", {"sweep.metric=max:train.val.acc"}, ""},
      {"an evaluation's of a training",
       {"sweep.metric=max:train.accc"},
       "sweep: 'max:train.accc': a stage that does 'train' gives no metric 'accc'; it gives "
       "val.mAP, val.mAP_all, val.auc, val.d_prime, val.acc, val.loss, final.mAP, final.mAP_all, "
       "final.auc, final.d_prime, final.acc, final.loss, average.mAP, average.mAP_all, "
       "average.auc, average.d_prime, average.acc, average.loss, train.acc, train.loss, "
       "train.loss_hard, train.loss_kd, train.loss_nce, train.loss_mse, train.grad_norm, "
       "train.clips_per_s, train.peak_mem_mb, train.stall_p, lr, best_epoch"},
      {"of masked patches, which a training of labels has not",
       {"sweep.metric=min:train.val.loss_mse"},
       "sweep: 'min:train.val.loss_mse': a stage that does 'train' gives no metric "
       "'val.loss_mse'; did you mean 'train.val.loss'?"},
      {"a stage that comes several times",
       {"sweep.metric=max:three.acc"},
       "sweep: 'max:three.acc': stage 'three' comes once for each of its `each`: did you mean "
       "'three@1'?"},
      {"one of these", {"sweep.metric=max:three@2.acc"}, ""},
      {"zip of what is not swept",
       {"sweep.zip=[[\"tome.r\", \"train.epochs\"]]"},
       "sweep.zip: 'train.epochs' is not in sweep.params"},
      {"draws without number",
       {"sweep.strategy=random"},
       "sweep.strategy = \"random\" needs sweep.trials"},
      {"no such variant",
       {"experiment.without_data=synthetic"},
       "experiment.without_data: the recipe has no variant 'synthetic'"},
      {"no such goal",
       {"experiment.goals=[\"evla\"]"},
       "experiment.goals: the recipe has no stage 'evla'; did you mean 'eval'?"},
      {"clusters inside out",
       {"stages.train.do=pretrain", "model.arch=ssast-tiny-patch", "pretrain.cluster_min=6",
        "stages.eval.checkpoint=audioset_10_10_0.4593", "dataset.root=x"},
       "stage train: pretrain.cluster_min is above pretrain.cluster_max"},
      {"weights that fit no other size",
       {"model.arch=ast-base384", "model.weights=audioset_10_10_0.4593", "model.dim=96"},
       "stage train: weights audioset_10_10_0.4593 fit no other dim or heads than those of "
       "ast-base384"},
      {"weights of the wrong stage",
       {"model.weights=${stages.levels.output}"},
       "stage train: model.weights needs a stage that does 'train' or 'pretrain'; levels does "
       "'stats'"},
  };
  for (const RuleCase& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(message_of(files, c), c.want);
  }
}

}  // namespace
}  // namespace xp::schema
