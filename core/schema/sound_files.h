#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/schema/dataset.h"

/// What the name of a file says of it. The one table of endings: what data sets list, what counts
/// in the key of their shards, what `exp predict` takes of a folder.
namespace xp::schema {

enum class FileKind {
  kSound,         ///< a format that the decoder reads
  kForeignSound,  ///< sound, or film with sound, of a format that it does not read: .m4a, .wma
  kOther
};

/// By the ending alone, in any case.
FileKind kind_of_file(std::string_view file);

/// The ending as it is written in messages: ".m4a" of "a/B.M4A", "no ending" of "README".
std::string ending_of(std::string_view file);

/// The endings of sound, without their dot, the commonest first.
std::span<const std::string_view> sound_endings();

/// Files by ending as a line for people: "12 .m4a, 3 .txt", the most frequent first; "" for none.
std::string endings_text(const std::map<std::string, int64_t>& count);

/// Whether a file below the root of a set may change what is listed or decoded of it: sounds
/// (foreign ones too, since a class of nothing else is an error) and the set's own lists. README,
/// recipes and reports that lie beside them do not. `file` is relative to the root, or only a name.
bool counts_in(DatasetName set, std::string_view file);

}  // namespace xp::schema
