#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/batches/source.h"
#include "core/load/class_ids.h"

namespace xp::train {

/// Stored logits of a teacher, and which row is which clip's.
struct TeacherBank {
  std::filesystem::path file;
  std::unordered_map<std::string, int64_t> row_of;  ///< by id
  std::vector<float> values;                        ///< [rows, classes]
  int64_t rows = 0;
  int64_t classes = 0;
  load::ClassList class_list;  ///< empty where the file does not say
  std::string description;     ///< "teacher NAME: logits of 120 clips"
};

/// Reads a teach stage's folder or its logits.h5, or NAME.npy with `index`. Throws Error (kData)
/// naming the file, and the row of an id that stands there twice.
TeacherBank read_teacher_bank(const std::filesystem::path& logits,
                              const std::filesystem::path& index);

/// The rows of a split's clips in a bank.
struct TeacherRows {
  std::vector<int64_t> row_of;  ///< row of the split -> row of the bank, -1 = none
  int64_t missing = 0;
  std::string first_missing;          ///< id
  std::vector<std::string> warnings;  ///< what looks wrong and may be right: one line each
};

/// Finds the clips' rows. Throws Error (kData) for other classes than the data set's, rows that the
/// bank does not have, and a logit that is NaN or infinite. Warns where clips share a row, and of
/// values that look like probabilities.
TeacherRows match_teacher_rows(const TeacherBank& bank, const batches::Clips& clips,
                               const std::vector<uint32_t>& rows);

/// How the logits of rows agree with their clips' own labels: ", mAP 0.47, acc 0.81 against the
/// labels" (acc where each clip has one label). A wrong index shows here. Of large splits 20000
/// clips, evenly spaced; "" where nothing can be ranked.
std::string score_teacher_rows(const TeacherBank& bank, const TeacherRows& found,
                               const batches::Clips& clips, const std::vector<uint32_t>& rows);

}  // namespace xp::train
