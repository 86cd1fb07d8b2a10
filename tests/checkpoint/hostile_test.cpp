// Files made to harm whoever reads them: to run code, to exhaust memory, time or the stack, to read
// beyond the file. Each is refused with a word on why, or read as data; and random damage to sound
// files does no more.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/rng.h"
#include "core/checkpoint/crc32.h"
#include "core/checkpoint/formats.h"
#include "core/checkpoint/zip.h"
#include "tests/testing/fixtures.h"
#include "tests/testing/temp_dir.h"

namespace xp::checkpoint {
namespace {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& s) { return 'X' + raw(static_cast<uint32_t>(s.size())) + s; }
std::string integer(int64_t n) { return "\x8a\x08" + raw(n); }
std::string global(const std::string& module, const std::string& name) {
  return 'c' + module + '\n' + name + '\n';
}
std::string tuple(const std::string& items) { return '(' + items + 't'; }
std::string repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}
std::string pickle(const std::string& body) { return "\x80\x02" + body + '.'; }
std::string storage(const std::string& key, int64_t count,
                    const std::string& type = "FloatStorage") {
  return tuple(text("storage") + global("torch", type) + text(key) + text("cpu") + integer(count)) +
         'Q';
}
std::string tensor(const std::string& from, int64_t offset, const std::string& shape,
                   const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(from + integer(offset) + tuple(shape) + tuple(strides) + '\x89' + "N") + 'R';
}
std::string one(const std::string& value) { return pickle('}' + text("a") + value + 's'); }

struct Hostile {
  const char* name;
  std::string pickle;   ///< data.pkl of a zip whose storage "0" has 16 bytes
  const char* message;  ///< after "not a readable checkpoint: ", or whole; "" = read as data
};

std::vector<Hostile> corpus() {
  const std::string sound = tensor(storage("0", 4), 0, integer(4), integer(1));
  const std::string run = text("echo harm");
  return {
      {"os.system", one(global("os", "system") + tuple(run) + 'R'),
       "refused: this file names os.system, which no checkpoint needs; it was made to run code. "
       "Nothing was run"},
      {"posix.system by stack", one(text("posix") + text("system") + '\x93' + tuple(run) + 'R'),
       "refused: this file names posix.system, which no checkpoint needs; it was made to run code. "
       "Nothing was run"},
      {"eval", one(global("builtins", "eval") + tuple(run) + 'R'),
       "refused: this file names builtins.eval, which no checkpoint needs; it was made to run "
       "code. Nothing was run"},
      {"submodule", one(global("importlib.util", "x") + tuple(run) + 'R'),
       "refused: this file names importlib.util.x, which no checkpoint needs; it was made to run "
       "code. Nothing was "
       "run"},
      {"unknown class",
       pickle('}' + text("a") + sound + 's' + text("b") + global("my.lab", "Thing") + tuple(run) +
              "R}bs"),
       ""},
      {"call of a value", one("N" + tuple(run) + 'R'), "a call of something that is not a name"},
      {"INST opcode", one("(ios\nsystem\n"), "opcode 105 is outside of what describes tensors"},
      {"EXT opcode", one("\x82\x01"), "opcode 130 is outside of what describes tensors"},
      {"deep lists", one(repeat("]", 200000) + repeat("a", 199999)),
       "it is nested too deeply, or in a circle"},
      {"deep tuples", one("N" + repeat("\x85", 200000)), "it is nested too deeply, or in a circle"},
      {"circle", one(std::string("]q\0h\0a", 6)), "it is nested too deeply, or in a circle"},
      {"laughs",
       one(std::string("]q\0000", 4) +
           repeat("](" + repeat(std::string("h\0", 2), 10) + std::string("eq\0000", 4), 12) +
           std::string("h\0", 2)),
       "it describes more values than the limit allows"},
      {"copied lists",
       pickle('}' + text("a") + "](" + repeat(std::string("K\1K\2\x86"), 3000) + "e" +
              std::string("q\0", 2) + 's' +
              repeat(text("b") + global("collections", "OrderedDict") + std::string("h\0", 2) +
                         "\x85R0" + "0",
                     5000)),
       "it describes more values than the limit allows"},
      {"endless shape",
       one(tensor(storage("0", 4), 0, integer(int64_t{1} << 60) + integer(8),
                  integer(0) + integer(0))),
       "tensor 'a' has an impossible shape"},
      {"expanded bomb", one(tensor(storage("0", 4), 0, integer(int64_t{1} << 40), integer(0))),
       "it unpacks to more bytes than a file of this size may"},
      {"beyond storage", one(tensor(storage("0", 4), 1, integer(4), integer(1))),
       "tensor 'a' reaches beyond its storage"},
      {"stride beyond", one(tensor(storage("0", 4), 0, integer(2), integer(4))),
       "tensor 'a' reaches beyond its storage"},
      {"stride overflow", one(tensor(storage("0", 4), 0, integer(3), integer(INT64_MAX))),
       "tensor 'a' reaches beyond its storage"},
      {"negative stride", one(tensor(storage("0", 4), 3, integer(2), integer(-1))),
       "tensor 'a' reaches beyond its storage"},
      {"negative offset", one(tensor(storage("0", 4), -1, integer(2), integer(1))),
       "a tensor with impossible bounds"},
      {"negative size", one(tensor(storage("0", 4), 0, integer(-2), integer(1))),
       "tensor 'a' has an impossible shape"},
      {"claimed storage", one(tensor(storage("0", int64_t{1} << 50), 0, integer(5), integer(1))),
       "the values of 'a' are cut short"},
      {"overflowing storage", one(tensor(storage("0", INT64_MAX), 0, integer(5), integer(1))),
       "a storage with impossible bounds"},
      {"negative storage", one(tensor(storage("0", -4), 0, integer(0), integer(1))),
       "a storage with impossible bounds"},
      {"absent storage", one(tensor(storage("../../etc/passwd", 4), 0, integer(4), integer(1))),
       "the zip container lacks 'archive/data/../../etc/passwd'"},
      {"unknown storage", one(tensor(storage("0", 4, "QInt8Storage"), 0, integer(4), integer(1))),
       "a storage of unknown type"},
      {"rank", one(tensor(storage("0", 4), 0, repeat(integer(1), 65), repeat(integer(1), 65))),
       "a tensor has too many dimensions"},
      {"rank mismatch", one(tensor(storage("0", 4), 0, integer(4), "")),
       "a tensor with impossible bounds"},
      {"long name", pickle('}' + text(std::string(5000, 'n')) + sound + 's'),
       "a name is longer than 4096 bytes"},
      {"same name", pickle('}' + text("a") + sound + 's' + text("a") + sound + 's'),
       "two tensors are named 'a'"},
      {"empty stack", pickle("R"), "the stack is empty"},
      {"lost mark", pickle("](0u"), "a mark is lost"},
      {"no mark", pickle("]e"), "a mark is missing"},
      {"odd items", pickle("}(Nu"), "a key without a value"},
      {"items of a number", pickle("K\1K\1a"), "items for something that holds none"},
      {"no memo", pickle("h\7"), "a reference to nothing"},
      {"no stop", "\x80\x02]", "the pickle is cut short"},
      {"long text", pickle("X\xff\xff\xff\xff"), "the pickle is cut short"},
      {"no tensors", one("K\1"), "it holds no tensors"},
      {"whole module", pickle(global("models.ast", "AST") + ")R}b"),
       "it holds no tensors but a pickled object of class models.ast.AST; save its state_dict() "
       "instead: "
       "torch.save(model.state_dict(), file)"},
  };
}

void write_zip(const std::filesystem::path& file, const std::string& data_pkl) {
  OutputFile out(file);
  ZipWriter zip(out);
  zip.add("archive/data.pkl", data_pkl);
  zip.add("archive/byteorder", "little");
  zip.add("archive/data/0", std::string(16, '\1'));
  zip.finish();
  out.commit();
}

/// A zip whose members are deflated, each in one block that is kept as it is (RFC 1951, 3.2.4).
std::string deflated_zip(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string zip;
  std::string directory;
  for (const auto& [name, content] : members) {
    const auto size = static_cast<uint16_t>(content.size());
    const std::string packed = '\1' + raw(size) + raw(static_cast<uint16_t>(~size)) + content;
    const std::string head = raw<uint16_t>(20) + raw<uint16_t>(0) + raw<uint16_t>(8) +
                             raw<uint32_t>(0) + raw(crc32_of(std::as_bytes(std::span(content)))) +
                             raw(static_cast<uint32_t>(packed.size())) + raw<uint32_t>(size) +
                             raw(static_cast<uint16_t>(name.size())) + raw<uint16_t>(0);
    directory += "PK\1\2" + raw<uint16_t>(20) + head + std::string(10, '\0') +
                 raw(static_cast<uint32_t>(zip.size())) + name;
    zip += "PK\3\4" + head + name + packed;
  }
  const auto count = static_cast<uint16_t>(members.size());
  return zip + directory + "PK\5\6" + raw<uint32_t>(0) + raw(count) + raw(count) +
         raw(static_cast<uint32_t>(directory.size())) + raw(static_cast<uint32_t>(zip.size())) +
         raw<uint16_t>(0);
}

std::string refusal_of(const std::filesystem::path& file, const Limits& limits) {
  try {
    (void)Archive::open(file, limits);
  } catch (const Error& e) {
    return e.message();
  }
  return "";
}

TEST(HostileFiles, AreRefusedWithAWordOnWhy) {
  const testing::TempDir dir;
  const char* const keep = std::getenv("XP_WRITE_CORPUS");
  Limits limits;
  limits.values = 1'000'000;
  for (const Hostile& c : corpus()) {
    SCOPED_TRACE(c.name);
    write_zip(dir / "file.pt", c.pickle);
    if (keep != nullptr && c.pickle.size() < 20000) {
      std::string name = c.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      std::filesystem::copy_file(dir / "file.pt", std::filesystem::path(keep) / (name + ".pt"),
                                 std::filesystem::copy_options::overwrite_existing);
    }
    std::string got = refusal_of(dir / "file.pt", limits);
    const std::string prefix = "not a readable checkpoint: ";
    if (got.compare(0, prefix.size(), prefix) == 0) got = got.substr(prefix.size());
    EXPECT_EQ(got, c.message);
  }
}

TEST(HostileFiles, UnknownClassesStayNames) {
  const testing::TempDir dir;
  for (const Hostile& c : corpus()) {
    if (std::string(c.name) != "unknown class") continue;
    write_zip(dir / "file.pt", c.pickle);
    const Archive a = Archive::open(dir / "file.pt");
    EXPECT_EQ(a.opaque(), (std::map<std::string, std::string>{{"b", "my.lab.Thing"}}));
    EXPECT_NE(a.find("a"), nullptr);
  }
}

TEST(HostileFiles, DamagedContainers) {
  const testing::TempDir dir;
  write_zip(dir / "sound.pt", one(tensor(storage("0", 4), 0, integer(4), integer(1))));
  ASSERT_EQ(refusal_of(dir / "sound.pt", {}), "");
  const std::string sound = read_file(dir / "sound.pt");
  const struct {
    const char* name;
    std::function<void(std::string&)> damage;
    const char* message;
  } cases[] = {
      {"directory beyond the file",
       [](std::string& s) { s.replace(s.size() - 6, 4, "\xf0\xff\xff\x7f"); },
       "the zip directory is damaged"},
      {"more members than bytes", [](std::string& s) { s.replace(s.size() - 12, 2, "\xff\xff"); },
       "the zip directory is damaged"},
      {"encrypted", [](std::string& s) { s[s.find("PK\1\2") + 8] |= 1; },
       "the zip container is encrypted"},
      {"packed by another method", [](std::string& s) { s[s.find("PK\1\2") + 10] = 12; },
       "'archive/data.pkl' is packed by a method other than deflate"},
      {"said to be deflated", [](std::string& s) { s[s.find("PK\1\2") + 10] = 8; },
       "'archive/data.pkl' in the zip container is damaged"},
      {"another size", [](std::string& s) { s[s.find("PK\1\2") + 24] ^= 1; },
       "'archive/data.pkl' in the zip container is damaged"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::string damaged = sound;
    c.damage(damaged);
    write_file_atomic(dir / "damaged.pt", damaged);
    EXPECT_EQ(refusal_of(dir / "damaged.pt", {}), c.message);
  }
}

// The unpacked text has to live as long as it is compared.
TEST(HostileFiles, DeflatedMembersAreRead) {
  const testing::TempDir dir;
  const std::string described = one(tensor(storage("0", 4), 0, integer(4), integer(1)));
  const std::string values(16, '\1');
  write_file_atomic(dir / "file.pt", deflated_zip({{"archive/data.pkl", described},
                                                   {"archive/byteorder", "little"},
                                                   {"archive/data/0", values}}));
  ASSERT_EQ(refusal_of(dir / "file.pt", {}), "");
  const Archive a = Archive::open(dir / "file.pt");
  ASSERT_NE(a.find("a"), nullptr);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(a.find("a")->bytes.data()), 16), values);
  write_file_atomic(dir / "file.pt", deflated_zip({{"archive/data.pkl", described},
                                                   {"archive/byteorder", "big"},
                                                   {"archive/data/0", values}}));
  EXPECT_EQ(refusal_of(dir / "file.pt", {}).substr(0, 38),
            "it was written on a big-endian machine");
}

TEST(HostileFiles, NamesDoNotReachTheTerminal) {
  const testing::TempDir dir;
  const std::string value = tensor(storage("0", 4), 1, integer(4), integer(1));
  write_zip(dir / "file.pt", pickle('}' + text("\x1b[2J\xff") + value + 's'));
  EXPECT_EQ(refusal_of(dir / "file.pt", {}),
            "not a readable checkpoint: tensor '\\x1b[2J\\xff' reaches beyond its storage");
  EXPECT_EQ(printable("caf\xc3\xa9 \xc2\x9b \xe2\x82"), "caf\xc3\xa9 \\xc2\\x9b \\xe2\\x82");
}

/// Flips, overwrites, cuts and copies pieces of sound and hostile files; each result is read or
/// refused.
void mutate(int rounds) {
  std::vector<std::string> seeds;
  const testing::TempDir dir;
  for (const Hostile& c : corpus()) {
    if (c.pickle.size() > 20000) continue;
    write_zip(dir / "seed.pt", c.pickle);
    seeds.push_back(read_file(dir / "seed.pt"));
  }
  for (const testing::Case& c : testing::cases_of_kind("model/checkpoint_formats")) {
    for (const auto& file : std::filesystem::directory_iterator(c.folder)) {
      const auto type = file.path().extension();
      if (type == ".pth" || type == ".safetensors") seeds.push_back(read_file(file.path()));
    }
  }
  Limits limits;
  limits.values = 100'000;
  limits.spare_bytes = 1 << 20;
  limits.checksums = false;  // else no change would come as far as the readers
  Rng rng(7, "hostile", 0, 0);
  const auto below = [&](size_t n) {
    return static_cast<size_t>(rng.uniform() * static_cast<double>(n));
  };
  int read = 0;
  for (int i = 0; i < rounds; ++i) {
    std::string s = seeds[below(seeds.size())];
    for (size_t k = below(6) + 1; k-- > 0 && !s.empty();) {
      switch (below(4)) {
        case 0:
          s[below(s.size())] = static_cast<char>(below(256));
          break;
        case 1:
          s[below(s.size())] ^= static_cast<char>(1U << below(8));
          break;
        case 2:
          s.resize(s.size() - below(std::min<size_t>(s.size(), 40)));
          break;
        default: {
          const size_t from = below(s.size());
          const std::string piece = s.substr(from, below(24));
          s.insert(below(s.size()), piece);
        }
      }
    }
    auto bytes = std::make_shared<std::vector<std::byte>>(s.size());
    std::memcpy(bytes->data(), s.data(), s.size());
    MappedFile mapped;
    mapped.bytes = *bytes;
    mapped.owner = bytes;
    try {
      (void)read_any("file", mapped, limits);
      ++read;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, rounds);
}

TEST(HostileFilesIntegration, RandomDamage) { mutate(3000); }
TEST(HostileFilesStress, RandomDamage) { mutate(300000); }

}  // namespace
}  // namespace xp::checkpoint
