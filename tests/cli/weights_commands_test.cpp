// exp fetch and exp models, with a curl of our own.
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/files.h"
#include "core/schema/weights.h"
#include "core/schema/weights_sources.h"
#include "tests/testing/shell.h"
#include "tests/testing/temp_dir.h"

namespace xp::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Shell;

/// A folder for weights and a `curl` in front of the PATH that runs `script` with OUT the file to
/// write.
class Fetching : public ::testing::Test {
 protected:
  void curl(const std::string& script) {
    fs::create_directories(dir_ / "bin");
    std::ofstream(dir_ / "bin/curl")
        << "#!/bin/sh\nfor a in \"$@\"; do [ \"$last\" = --output ] && OUT=$a; last=$a; done\n"
        << script << "\n";
    fs::permissions(dir_ / "bin/curl", fs::perms::owner_all);
  }
  Shell exp(const std::string& arguments) const {
    return testing::shell(
        fmt::format("cd '{0}' && NO_COLOR=1 EXP_WEIGHTS='{0}/w' PATH='{0}/bin':$PATH {1}/exp {2}",
                    dir_.path().string(), XP_BIN_DIR, arguments));
  }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }

  testing::TempDir dir_;
};

// As the files of torch.save begin.
constexpr const char* kBegin = "PK\x03\x04";
constexpr const char* kBeginPrinted = "PK\\003\\004";

TEST_F(Fetching, WritesTheFileAndItsDigest) {
  curl(fmt::format("printf '{}weights of %s' \"$last\" > \"$OUT\"", kBeginPrinted));
  const Shell first = exp("-q fetch mn10_as");
  EXPECT_EQ(first.code, 0) << first.text;
  const std::string content =
      std::string(kBegin) +
      "weights of "
      "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn10_as_mAP_471.pt";
  EXPECT_EQ(read_file(path("w/mn10_as.pt")), content);
  EXPECT_EQ(read_file(path("w/mn10_as.pt.sha256")), sha256(content) + "  mn10_as.pt\n");
  const std::string line =
      fmt::format("{}  sha256 {}.. (the release states none: noted as it came)\n",
                  path("w/mn10_as.pt"), sha256(content).substr(0, 12));
  EXPECT_EQ(first.text, "fetched  " + line);
  // The second time nothing is downloaded.
  curl("exit 7");
  EXPECT_EQ(exp("-q fetch mn10_as --check").text, "there    " + line);
}

// The server's word for the version of a file, as curl keeps it with --etag-save.
constexpr const char* kSavesEtag =
    "for a in \"$@\"; do [ \"$was\" = --etag-save ] && printf '\"v1\"\\n' > \"$a\"; was=$a; done\n";

TEST_F(Fetching, GoesOnWithWhatIsThere) {
  curl(std::string(kSavesEtag) +
       fmt::format("printf '{}first' > \"$OUT\"; exit 18", kBeginPrinted));
  const Shell first = exp("-q fetch mn10_as");
  EXPECT_EQ(first.code, 1);
  EXPECT_NE(first.text.find("curl ended with code 18"), std::string::npos) << first.text;
  curl(
      "case \"$*\" in *'--continue-at - --header If-Range: \"v1\" '*) printf ' second' >> "
      "\"$OUT\";; esac");
  const Shell second = exp("-q fetch mn10_as");
  EXPECT_EQ(second.code, 0) << second.text;
  EXPECT_EQ(read_file(path("w/mn10_as.pt")), std::string(kBegin) + "first second");
  for (const char* left : {".part", ".part.etag", ".part.answer"})
    EXPECT_FALSE(fs::exists(path("w/mn10_as.pt") + left)) << left;
}

// Of another file, or of one that nobody knows: nothing is put behind it.
TEST_F(Fetching, LeftoversOfAnotherFileAreNotGoneOnWith) {
  const std::string whole = fmt::format(
      "case \"$*\" in *continue-at*) exit 9;; esac; printf '{}whole' > \"$OUT\"", kBeginPrinted);
  fs::create_directories(dir_ / "w");
  std::ofstream(path("w/mn10_as.pt.part")) << "other";
  curl(whole);
  const Shell unknown = exp("-q fetch mn10_as");
  EXPECT_EQ(unknown.code, 0) << unknown.text;
  EXPECT_EQ(read_file(path("w/mn10_as.pt")), std::string(kBegin) + "whole");
  std::ofstream(path("w/dymn10_as.pt.part")) << "other";
  std::ofstream(path("w/dymn10_as.pt.part.etag")) << "https://elsewhere/x.pt\n\"v1\"\n";
  EXPECT_EQ(exp("-q fetch dymn10_as").code, 0);
  EXPECT_EQ(read_file(path("w/dymn10_as.pt")), std::string(kBegin) + "whole");
  // The same address has another file by now: its server gives no range of the old one.
  curl(std::string(kSavesEtag) + "printf old > \"$OUT\"; exit 18");
  EXPECT_EQ(exp("-q fetch mn04_as").code, 1);
  curl(fmt::format("case \"$*\" in *continue-at*) exit 33;; esac; printf '{}new' > \"$OUT\"",
                   kBeginPrinted));
  const Shell changed = exp("-q fetch mn04_as");
  EXPECT_EQ(changed.code, 0) << changed.text;
  EXPECT_EQ(read_file(path("w/mn04_as.pt")), std::string(kBegin) + "new");
}

TEST_F(Fetching, AWebPageIsNoWeights) {
  curl("printf '<!DOCTYPE html><html>not found</html>' > \"$OUT\"");
  const Shell page = exp("-q fetch mn10_as");
  EXPECT_EQ(page.code, 3);
  EXPECT_NE(page.text.find("this is a web page, not weights"), std::string::npos) << page.text;
  EXPECT_FALSE(fs::exists(path("w/mn10_as.pt")));
  // One that lies there already, with a digest that somebody noted.
  fs::create_directories(dir_ / "w");
  std::ofstream(path("w/mn10_as.pt")) << "<html></html>";
  std::ofstream(path("w/mn10_as.pt.sha256")) << sha256("<html></html>") << "  mn10_as.pt\n";
  EXPECT_EQ(exp("-q fetch mn10_as --check").code, 3);
  curl("case \"$*\" in *'--max-filesize 4294967296 '*) exit 63;; esac");
  const Shell large = exp("-q fetch dymn10_as");
  EXPECT_NE(large.text.find("larger than 4 GB"), std::string::npos) << large.text;
}

TEST_F(Fetching, OfflineNamesAddressAndPlace) {
  curl("exit 6");
  const Shell result = exp("-q fetch dymn10_as");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(
      result.text,
      fmt::format("error: cannot fetch dymn10_as: the address cannot be reached from here\n"
                  "  download  "
                  "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/dymn10_as.pt\n"
                  "  to        {}\n",
                  path("w/dymn10_as.pt")));
}

TEST_F(Fetching, AFileThatIsNotTheReleasedOneIsRefused) {
  curl(fmt::format("printf '{}other' > \"$OUT\"", kBeginPrinted));
  const Shell result = exp("-q fetch deit_base_distilled_384");
  EXPECT_EQ(result.code, 3);
  EXPECT_NE(result.text.find(fmt::format(
                "its SHA-256 is {}.., the release says d0272ac0..; remove it and fetch it again",
                sha256(std::string(kBegin) + "other").substr(0, 8))),
            std::string::npos)
      << result.text;
  EXPECT_FALSE(fs::exists(path("w/deit_base_distilled_384.pth")));
}

TEST_F(Fetching, AChangedFileIsNoticed) {
  curl(fmt::format("printf '{}weights' > \"$OUT\"", kBeginPrinted));
  ASSERT_EQ(exp("-q fetch mn10_as").code, 0);
  std::ofstream(path("w/mn10_as.pt")) << kBegin << "others";
  const Shell result = exp("fetch mn10_as --check");
  EXPECT_EQ(result.code, 3);
  EXPECT_NE(result.text.find("when it was fetched; remove it and fetch it again"),
            std::string::npos)
      << result.text;
}

TEST_F(Fetching, AMisspeltNameIsGuessed) {
  const Shell result = exp("fetch mn10_sa");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.text,
            "error: there are no published weights 'mn10_sa'; did you mean 'mn10_as'?\n");
}

TEST_F(Fetching, ModelsListsArchitecturesAndWeights) {
  const json archs = json::parse(exp("--json models ast-base384").text);
  ASSERT_EQ(archs.size(), 1U);
  EXPECT_EQ(archs[0].at("tokens"), 1214);
  const json weights = json::parse(exp("--json models --weights").text);
  EXPECT_EQ(weights.size(), schema::published_weights().size());
  std::set<std::string> files;
  for (const json& row : weights) {
    EXPECT_TRUE(files.insert(row.at("file")).second) << row.at("file");
    EXPECT_FALSE(row.at("licence").get<std::string>().empty());
  }
}

TEST_F(Fetching, ModelsSaysThatNothingMatches) {
  const Shell archs = exp("models nosuch");
  EXPECT_EQ(archs.code, 2);
  EXPECT_EQ(archs.text,
            "error: the name of no architecture contains 'nosuch'; without it all are listed\n");
  EXPECT_EQ(exp("models --weights mn10_sa").text,
            "error: the name of no published weights contains 'mn10_sa'; did you mean "
            "'mn10_as'?\n");
}

TEST(WeightsTables, EveryNameHasOneAddress) {
  ASSERT_EQ(schema::weights_sources().size(), schema::published_weights().size());
  for (size_t i = 0; i < schema::weights_sources().size(); ++i) {
    const auto& source = schema::weights_sources()[i];
    EXPECT_EQ(source.name, schema::published_weights()[i].name);
    EXPECT_EQ(source.url.substr(0, 8), "https://");
  }
  EXPECT_EQ(schema::find_weights_source("deit_base_distilled_384")->digest_start(), "d0272ac0");
  EXPECT_EQ(schema::find_weights_source("mn10_as")->digest_start(), "");
}

}  // namespace
}  // namespace xp::cli
