#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
#include "data/csv.h"
#include "data/decode.h"
#include "data/export.h"
#include "data/sampler.h"
#include "data/splits.h"

namespace xp::data {
namespace fs = std::filesystem;
namespace {

std::string label_csv(const std::vector<ClassInfo>& classes) {
  std::string text = "index,mid,display_name\n";
  for (size_t k = 0; k < classes.size(); ++k) {
    std::string name;
    for (const char c : classes[k].name) name += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += fmt::format("{},{},\"{}\"\n", k, csv_field(classes[k].id), name);
  }
  return text;
}

/// Files of clips: their own, or WAVs made of them.
class SoundFiles {
 public:
  SoundFiles(const DecodeOptions& options, fs::path folder)
      : decoder_(options), rate_hz_(options.rate_hz), folder_(std::move(folder)) {}

  /// A clip that several splits have is written once.
  const std::string& of(const Clip& clip) {
    const auto [at, fresh] = files_.try_emplace(&clip);
    if (!fresh) return at->second;
    const auto* file = std::get_if<FileSource>(&clip.source);
    const bool own = file != nullptr && file->start_s == 0 && file->length_s == 0;
    at->second = fs::absolute(own ? fs::path(file->file) : write(clip)).string();
    return at->second;
  }

  int64_t written() const { return static_cast<int64_t>(names_.size()); }

 private:
  fs::path write(const Clip& clip) {
    const Wave wave = decoder_.read(clip.source);
    if (!wave.problem.empty())
      throw Error(fmt::format("clip '{}': {}", clip.id, wave.problem), Exit::kData);
    make_folders(folder_);
    fs::path out = folder_ / (free_name(clip.id) + ".wav");
    write_wav(out, wave.samples, rate_hz_);
    return out;
  }

  /// Joined sets and splits may have clips of one id, and "a/b" becomes what "a_b" is.
  std::string free_name(std::string id) {
    for (char& c : id) c = c == '/' ? '_' : c;
    std::string name = id;
    for (int i = 2; !names_.insert(name).second; ++i) name = fmt::format("{}-{}", id, i);
    return name;
  }

  Decoder decoder_;
  int64_t rate_hz_;
  fs::path folder_;
  std::map<const Clip*, std::string> files_;
  std::set<std::string> names_;
};

/// "mid1,mid2".
std::string label_list(const Clip& clip, const std::vector<ClassInfo>& classes) {
  std::string text;
  for (const Label& label : clip.labels) {
    const std::string& id = classes[static_cast<size_t>(label.index)].id;
    if (id.find(',') != std::string::npos) {
      throw Error(fmt::format("class '{}': AST's lists have commas between classes, so that none "
                              "may be in a name",
                              id),
                  Exit::kData);
    }
    text += (text.empty() ? "" : ",") + id;
  }
  return text;
}

/// Takes out the clips without labels; returns how many they were.
int64_t drop_unlabelled(std::vector<const Clip*>& clips) {
  return static_cast<int64_t>(
      std::erase_if(clips, [](const Clip* clip) { return clip->labels.empty(); }));
}

/// AST's weights of the clips, in their order (egs/audioset/gen_weight_file.py).
std::string weight_csv(const std::vector<const Clip*>& clips, int64_t classes) {
  std::vector<uint64_t> start = {0};
  std::vector<int32_t> index;
  std::vector<uint32_t> rows;
  for (const Clip* clip : clips) {
    for (const Label& label : clip->labels) index.push_back(label.index);
    rows.push_back(static_cast<uint32_t>(rows.size()));
    start.push_back(index.size());
  }
  const std::vector<float> value(index.size(), 1.0F);
  std::string text;
  for (const double w : sample_weights({start, index, value, classes}, rows, 0.01, false))
    text += fmt::format("{}\n", w);
  return text;
}

/// The first field, without the quotes and blanks that may be around it.
std::string id_of_line(std::string_view line) {
  line = trimmed(line);
  if (line.starts_with('"')) {
    line.remove_prefix(1);
    return std::string(line.substr(0, line.find('"')));
  }
  return std::string(trimmed(line.substr(0, line.find(','))));
}

}  // namespace

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\n\r") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

AstFiles write_ast_files(const JoinedListing& joined, const schema::DatasetOptions& options,
                         int64_t rate_hz, const fs::path& folder) {
  AstFiles made;
  make_folders(folder);
  DecodeOptions decode;
  decode.rate_hz = rate_hz;
  decode.quality = options.resample;
  SoundFiles sounds(decode, folder / "audio");
  const auto put = [&](const std::string& name, std::string_view text) {
    write_file_atomic(folder / name, text);
    made.files.push_back(name);
  };
  for (const char* role : {"train", "val", "test"}) {
    std::vector<const Clip*> clips = clips_of_split(joined, options, role);
    made.unlabelled += drop_unlabelled(clips);
    if (clips.empty()) continue;
    nlohmann::ordered_json data = nlohmann::ordered_json::array();
    for (const Clip* clip : clips) {
      data.push_back({{"wav", sounds.of(*clip)}, {"labels", label_list(*clip, joined.classes)}});
      ++made.clips;
    }
    const nlohmann::ordered_json whole = {{"data", data}};
    put(fmt::format("{}.json", role),
        whole.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    if (std::string_view(role) == "train")
      put("train_weight.csv", weight_csv(clips, static_cast<int64_t>(joined.classes.size())));
  }
  put("class_labels_indices.csv", label_csv(joined.classes));
  made.decoded = sounds.written();
  return made;
}

int64_t write_filtered_segments(const fs::path& list, const std::set<std::string>& absent,
                                const fs::path& out) {
  const std::string text = read_file(list);
  std::string kept = text.substr(0, text.size() - utf8_text(list.string(), text).size());
  int64_t dropped = 0;
  for (size_t at = kept.size(); at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string line = text.substr(at, end - at);
    if (absent.count(id_of_line(line)) != 0) {
      ++dropped;
    } else {
      kept += line;
    }
    at = end;
  }
  make_folders(fs::absolute(out).parent_path());
  write_file_atomic(out, kept);
  return dropped;
}

}  // namespace xp::data
