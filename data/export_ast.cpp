#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/schema/dataset.h"
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

/// The clip's own file, or a WAV made of it.
std::string sound_file(const Clip& clip, Decoder& decoder, int64_t rate_hz, const fs::path& folder,
                       AstFiles& made) {
  const auto* file = std::get_if<FileSource>(&clip.source);
  if (file != nullptr && file->start_s == 0 && file->length_s == 0)
    return fs::absolute(file->file).string();
  const Wave wave = decoder.read(clip.source);
  if (!wave.problem.empty())
    throw Error(fmt::format("clip '{}': {}", clip.id, wave.problem), Exit::kData);
  std::string name = clip.id;
  for (char& c : name) c = c == '/' ? '_' : c;
  const fs::path out = folder / "audio" / (name + ".wav");
  fs::create_directories(out.parent_path());
  write_wav(out, wave.samples, rate_hz);
  ++made.decoded;
  return fs::absolute(out).string();
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
  fs::create_directories(folder);
  DecodeOptions decode;
  decode.rate_hz = rate_hz;
  decode.quality = options.resample;
  Decoder decoder(decode);
  const auto put = [&](const std::string& name, std::string_view text) {
    write_file_atomic(folder / name, text);
    made.files.push_back(name);
  };
  for (const char* role : {"train", "val", "test"}) {
    const std::vector<const Clip*> clips = clips_of_split(joined, options, role);
    if (clips.empty()) continue;
    nlohmann::ordered_json data = nlohmann::ordered_json::array();
    for (const Clip* clip : clips) {
      std::string labels;
      for (const Label& label : clip->labels) {
        if (!labels.empty()) labels += ',';
        labels += joined.classes[static_cast<size_t>(label.index)].id;
      }
      data.push_back(
          {{"wav", sound_file(*clip, decoder, rate_hz, folder, made)}, {"labels", labels}});
      ++made.clips;
    }
    const nlohmann::ordered_json whole = {{"data", data}};
    put(fmt::format("{}.json", role),
        whole.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    if (std::string_view(role) == "train")
      put("train_weight.csv", weight_csv(clips, static_cast<int64_t>(joined.classes.size())));
  }
  put("class_labels_indices.csv", label_csv(joined.classes));
  return made;
}

int64_t write_filtered_segments(const fs::path& list, const std::set<std::string>& absent,
                                const fs::path& out) {
  const std::string text = read_file(list);
  std::string kept;
  int64_t dropped = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string line = text.substr(at, end - at);
    const std::string id = line.substr(0, line.find(','));
    if (absent.count(id) != 0) {
      ++dropped;
    } else {
      kept += line;
    }
    at = end;
  }
  fs::create_directories(fs::absolute(out).parent_path());
  write_file_atomic(out, kept);
  return dropped;
}

}  // namespace xp::data
