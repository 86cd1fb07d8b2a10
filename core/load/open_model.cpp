#include "core/load/open_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/checkpoint/archive.h"
#include "core/load/checked_weights.h"
#include "core/load/foreign_file.h"
#include "core/load/weights_file.h"
#include "core/model/files/cnn_file.h"
#include "core/model/files/import.h"
#include "core/model/registry.h"
#include "core/model/torchonly.h"
#include "core/model/trunk.h"
#include "core/recipe/view.h"
#include "core/schema/adjust.h"
#include "core/schema/geometry.h"
#include "core/schema/weights.h"
#include "core/schema/weights_sources.h"
#include "data/sets/sets.h"

namespace xp::load {
namespace {

namespace fs = std::filesystem;
using checkpoint::Archive;

/// Classes of the classifier in a file of the originals, by its weight or its bias; 0 = none.
int64_t classes_in(const Archive& archive) {
  constexpr auto kLayers = std::to_array<std::string_view>(
      {"head.1.", "head.linear.", "classifier.dense.", "classifier.5."});
  for (const checkpoint::Entry& e : archive.entries()) {
    for (const std::string_view layer : kLayers) {
      for (const std::string_view part : {"weight", "bias"}) {
        if (std::string_view(e.name).ends_with(fmt::format("{}{}", layer, part)) &&
            !e.shape.empty())
          return e.shape[0];
      }
    }
  }
  return 0;
}

/// The published weights that a file is a copy of: by its stem.
const schema::PublishedWeights* namesake(const fs::path& file) {
  const schema::PublishedWeights* found = schema::find_weights(file.stem().string());
  if (found != nullptr) return found;
  for (const schema::WeightsSource& s : schema::weights_sources()) {
    const std::string_view url = s.url.substr(0, s.url.find('?'));
    if (url.substr(url.rfind('/') + 1) == file.filename().string())
      return schema::find_weights(s.name);
  }
  return nullptr;
}

void describe_published(const schema::PublishedWeights& weights, OpenModel& out) {
  recipe::View view;
  if (!schema::carry_published(weights.name, view)) {
    throw Error(fmt::format("{} was trained on images: it is a start for training (model.weights)",
                            weights.name));
  }
  out.options = view.build<schema::ModelOptions>();
  out.frontend = view.build<schema::FrontendOptions>();
}

bool has_strides(const OpenOptions& options) { return options.fstride > 0 || options.tstride > 0; }

/// The file or folder as a message names it: the last part of its path.
std::string name_of(const std::string& what) {
  return (fs::path(what) / "").parent_path().filename().string();
}

/// Options that a checkpoint which says everything itself would pass over.
void check_options(const OpenOptions& options, const OpenModel& out, bool says_itself) {
  if (says_itself && (!options.arch.empty() || has_strides(options))) {
    throw Error(
        fmt::format("{} says its architecture and strides itself: leave out --arch, "
                    "--fstride and --tstride",
                    out.name));
  }
  if (options.arch.empty() && has_strides(options))
    throw Error("--fstride and --tstride go with --arch");
}

void describe_arch(const OpenOptions& options, OpenModel& out) {
  const auto family = schema::ModelOptions::parse_kind(options.arch);
  if (!family) {
    throw Error(fmt::format("there is no architecture '{}'{}", options.arch, [&] {
      const std::string near = nearest(options.arch, schema::arch_names());
      return near.empty() ? std::string("; `exp models` lists them")
                          : fmt::format("; did you mean '{}'?", near);
    }()));
  }
  if (has_strides(options) && !schema::is_transformer(*family)) {
    throw Error(fmt::format("{} has no patches: --fstride and --tstride have no effect on it",
                            options.arch));
  }
  out.options = schema::ModelOptions::of_kind(*family);
  out.options.arch = options.arch;
  if (options.fstride > 0) out.options.fstride = options.fstride;
  if (options.tstride > 0) out.options.tstride = options.tstride;
  const bool kaldi = *family == schema::Family::k_ast || *family == schema::Family::k_ssast;
  out.frontend = schema::FrontendOptions::of_kind(kaldi ? schema::FrontendKind::kKaldi
                                                        : schema::FrontendKind::kAugmentMel);
}

/// PaSST's time positions are the file's, and its input as long as they reach; ten seconds where
/// that is one of the columns that they make.
void describe_positions(const Archive& archive, OpenModel& out) {
  if (out.options.resolved().family != schema::Family::k_passt) return;
  out.options.pos_frames = 0;
  take_positions(out.options, archive);
  const int64_t there = model::time_positions(archive);
  const int64_t heard = schema::patch_grid(out.options, schema::input_geometry(out.frontend)).t;
  if (there == 0 || heard == there || heard == there - 1) return;
  out.frontend.clip_s = static_cast<double>(out.options.pos_frames * out.frontend.hop_samples) /
                        static_cast<double>(out.frontend.rate_hz);
}

/// The names that a label file gives to the classes of a checkpoint: `own`, or as many as `count`
/// where it has no ids of its own.
ClassList read_labels(const fs::path& file, const ClassList& own, int64_t count) {
  ClassList classes;
  if (file.empty()) {
    for (int64_t k = 0; k < count; ++k) classes.emplace_back(std::to_string(k), std::to_string(k));
    return classes;
  }
  for (const data::ClassInfo& c : data::read_classes(file)) classes.emplace_back(c.id, c.name);
  if (says_ids(own)) {
    const auto places = places_by_id(own, classes);
    if (!places) {
      throw Error(xp::Place{file.string()},
                  fmt::format("no class '{}', which the checkpoint has; without --labels it shows "
                              "its own names",
                              first_absent(own, classes)),
                  Exit::kData);
    }
    ClassList named = own;
    for (size_t k = 0; k < named.size(); ++k)
      named[k].second = classes[static_cast<size_t>((*places)[k])].second;
    return named;
  }
  if (static_cast<int64_t>(classes.size()) != count) {
    throw Error(xp::Place{file.string()},
                fmt::format("{} classes, the checkpoint has {}", classes.size(), count),
                Exit::kData);
  }
  return classes;
}

void set_frames(schema::FrontendOptions& frontend, int64_t frames) {
  if (frontend.kind == schema::FrontendKind::kKaldi) {
    frontend.frames = frames;
  } else {
    frontend.clip_s =
        static_cast<double>(frames * frontend.hop_samples) / static_cast<double>(frontend.rate_hz);
  }
}

[[noreturn]] void throw_unknown(const std::string& what) {
  std::vector<std::string_view> names;
  for (const schema::PublishedWeights& weights : schema::published_weights())
    names.emplace_back(weights.name);
  const std::string near = nearest(what, names);
  throw Error(fmt::format("'{}' is neither a file nor published weights{}", what,
                          near.empty() ? " (`exp models --weights`)" : did_you_mean(near)),
              Exit::kData);
}

/// `published` is the name of published weights; "" for a file.
void read_model(const Archive& archive, const fs::path& file, const std::string& published,
                const OpenOptions& options, OpenModel& out) {
  const std::optional<Carried> carried = carried_of(archive, file);
  const auto config = carried ? std::nullopt : model::torchonly_config(archive, file);
  if (!config) check_options(options, out, !published.empty() || carried.has_value());
  int64_t classes = 0;
  model::ImportOptions import;
  import.strict = options.strict;
  if (carried && !options.set.empty())
    throw Error(fmt::format("{} says its model itself: leave out --set", out.name));
  if (carried) {
    out.options = carried->model;
    out.frontend = carried->frontend;
    out.geometry = carried->geometry;
    out.classes = carried->classes;
    out.loss = carried->loss;
    if (carried->others) {
      import.grid = schema::patch_grid(carried->model, carried->geometry);
    } else {
      out.folder = file.parent_path();
    }
    classes = std::max<int64_t>(1, static_cast<int64_t>(carried->classes.size()));
  } else {
    const schema::PublishedWeights* weights =
        published.empty() ? namesake(file) : schema::find_weights(published);
    if (config) {
      take_description(*config, out.name, options.arch, options.fstride, options.tstride,
                       out.options, out.frontend);
      set_frames(out.frontend, config->input.T);
      out.notes = config->notes;
    } else if (!options.arch.empty()) {
      describe_arch(options, out);
    } else if (weights != nullptr) {
      describe_published(*weights, out);
    } else {
      throw Error(
          fmt::format("{} does not say its architecture: give --arch (`exp models` lists them)",
                      file.string()));
    }
    classes = classes_in(archive);
    // What was said comes before what the file shows, which may depend on it (mel bins), and after.
    const std::set<std::string> said = schema::adjust(options.set, out.options, out.frontend);
    if (schema::is_cnn(out.options.resolved().family)) {
      if (options.frames > 0) set_frames(out.frontend, options.frames);
      const model::Geometry input = schema::usual_geometry(out.frontend);
      classes = model::read_cnn(archive, out.options, input);
      schema::adjust(options.set, out.options, out.frontend);
      model::check_gated_frames(archive, file, out.options, input);
      const std::string line = granted(out.options, out.frontend, said);
      if (weights == nullptr && !line.empty()) out.notes.push_back(line);
    }
    if (!config && said.count("model.pos_frames") == 0) describe_positions(archive, out);
    if (weights != nullptr && options.arch.empty()) import.grid = published_grid(*weights);
    import.bins = out.frontend.mel_bins;
    import.bins_assumed = !config && said.count("frontend.mel_bins") == 0;
    import.frames_assumed = options.frames == 0;
    import.strides_assumed = !config && !has_strides(options) &&
                             said.count("model.fstride") + said.count("model.tstride") == 0;
    model::take_said_positions(out.options, import);
    // They are of the file that was read, and no part of the model.
    out.options.weights_grid = {};
    out.options.weights_fstride = 0;
    out.options.weights_mel_bins = 0;
    if (classes == 0) {
      out.options.head = schema::Head::kNone;
      classes = 1;
    }
  }
  if (options.frames > 0) set_frames(out.frontend, options.frames);
  if (!carried || options.frames > 0) out.geometry = schema::usual_geometry(out.frontend);
  if (out.classes.empty() || !options.labels.empty())
    out.classes = read_labels(options.labels, out.classes, classes);
  out.options.strict = options.strict;
  if (options.reductions.any()) schema::require_tokens(out.options, "--tome-r");
  out.model = model::make_model({.options = out.options,
                                 .geometry = out.geometry,
                                 .classes = classes,
                                 .reductions = options.reductions,
                                 .draw = false});
  if (out.model->classes() == 0) out.classes.clear();
  out.report = model::load_weights(*out.model, archive, file, import);
  out.model->require_grad(false);
}

}  // namespace

fs::path published_file(const std::string& name) {
  const schema::WeightsSource* source = schema::find_weights_source(name);
  if (source == nullptr)
    throw Error(fmt::format(
        "there are no published weights '{}'; `exp models --weights` lists them", name));
  const fs::path file = schema::weights_file(*source);
  if (fs::exists(file)) return file;
  throw Error(
      fmt::format("weights {} are not here: run `exp fetch {}`\n  or download {}\n  to          {}",
                  name, name, source->url, file.string()),
      Exit::kData);
}

OpenModel open_model(const std::string& what, const OpenOptions& options) {
  OpenModel out;
  const bool published = schema::find_weights(what) != nullptr && !fs::exists(what);
  if (!published && !fs::exists(expand_user(what))) throw_unknown(what);
  const fs::path file = published ? published_file(what) : weights_path(expand_user(what), "");
  out.name = published ? what : name_of(what);
  use_checked_weights(file, [&](const Archive& archive) {
    read_model(archive, file, published ? what : "", options, out);
  });
  return out;
}

Carried carried_by(const OpenModel& open) {
  Carried carried;
  carried.model = open.options;
  carried.frontend = open.frontend;
  carried.geometry = open.geometry;
  carried.classes = open.classes;
  carried.loss = open.loss;
  return carried;
}

std::optional<schema::Grid> published_grid(const schema::PublishedWeights& weights) {
  recipe::View view;
  if (!schema::carry_published(weights.name, view)) return std::nullopt;
  const auto model = view.build<schema::ModelOptions>();
  const schema::Family family = model.resolved().family;
  if (family != schema::Family::k_ast && family != schema::Family::k_ssast) return std::nullopt;
  return schema::patch_grid(model, {weights.mel_bins, weights.frames});
}

void require_classifier(const OpenModel& open) {
  if (open.model->classes() == 0)
    throw Error(fmt::format("{} has no classifier; `exp embed` gives its embeddings", open.name));
  const std::string untrained = model::untrained_head(*open.model, open.report);
  if (untrained.empty()) return;
  throw Error(fmt::format("{} has no trained classifier: its file lacks {}", open.name, untrained),
              Exit::kData);
}

std::optional<int64_t> heard_samples(const OpenModel& open) {
  const schema::FrontendOptions& frontend = open.frontend;
  // The longest clip that makes no more frames than these: see schema::frames_of.
  const auto samples_of = [&frontend](int64_t frames) {
    return frontend.kind == schema::FrontendKind::kKaldi
               ? frontend.window_samples + frames * frontend.hop_samples - 1
               : frames * frontend.hop_samples;
  };
  std::optional<int64_t> most;
  const auto at_most = [&most](int64_t samples) {
    most = most ? std::min(*most, samples) : samples;
  };
  if (frontend.clip_s > 0)
    at_most(std::llround(frontend.clip_s * static_cast<double>(frontend.rate_hz)));
  if (frontend.frames > 0) at_most(samples_of(frontend.frames));
  if (const std::optional<int64_t> frames = open.model->most_frames()) at_most(samples_of(*frames));
  return most;
}

}  // namespace xp::load
