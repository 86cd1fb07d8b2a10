#include "core/checkpoint/archive.h"

#include <cstring>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/files.h"
#include "tests/testing/temp_dir.h"

namespace xp::checkpoint {
namespace {

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <class T>
std::vector<T> values_of(const Entry& e) {
  std::vector<T> out(e.bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), e.bytes.data(), e.bytes.size());
  return out;
}

Archive sample() {
  Archive a;
  a.add("flags", Dtype::kBool, {3}, bytes_of(std::vector<uint8_t>{1, 0, 1}));
  a.add("net.weight", Dtype::kF32, {2, 3}, bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}));
  a.add("step", Dtype::kI64, {}, bytes_of(std::vector<int64_t>{int64_t{1} << 40}));
  a.add("none", Dtype::kF64, {0, 4}, {});
  a.add("half", Dtype::kBf16, {2}, bytes_of(std::vector<uint16_t>{0x3f80, 0xc000}));
  a.set_metadata("epoch", "3");
  a.set_metadata("note", "a \"quoted\" word");
  return a;
}

void expect_same_tensors(const Archive& got, const Archive& want) {
  ASSERT_EQ(got.entries().size(), want.entries().size());
  for (const Entry& e : want.entries()) {
    SCOPED_TRACE(e.name);
    const Entry* found = got.find(e.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->dtype, e.dtype);
    EXPECT_EQ(found->shape, e.shape);
    EXPECT_EQ(values_of<uint8_t>(*found), values_of<uint8_t>(e));
  }
}

std::string error_of(const std::filesystem::path& file, const Limits& limits = {}) {
  try {
    (void)Archive::open(file, limits);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Exit::kData);
    EXPECT_EQ(e.place().file, file.string());
    return e.message();
  }
  return "";
}

TEST(Archive, SafetensorsRoundTrip) {
  const testing::TempDir dir;
  sample().write_safetensors(dir / "a.safetensors");
  const Archive got = Archive::open(dir / "a.safetensors");
  EXPECT_EQ(got.format(), "safetensors");
  expect_same_tensors(got, sample());
  EXPECT_EQ(got.metadata(), sample().metadata());
  std::vector<std::string> order;
  for (const Entry& e : got.entries()) {
    order.push_back(e.name);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(e.bytes.data()) % element_size(e.dtype), 0U) << e.name;
  }
  EXPECT_EQ(order, (std::vector<std::string>{"step", "none", "net.weight", "half", "flags"}));
}

TEST(Archive, TorchRoundTripKeepsOrder) {
  const testing::TempDir dir;
  sample().write_torch(dir / "a.pth");
  const Archive got = Archive::open(dir / "a.pth");
  EXPECT_EQ(got.format(), "torch zip");
  expect_same_tensors(got, sample());
  for (size_t i = 0; i < got.entries().size(); ++i)
    EXPECT_EQ(got.entries()[i].name, sample().entries()[i].name);
  for (const Entry& e : got.entries()) {
    if (e.bytes.empty()) continue;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(e.bytes.data()) % 64, 0U) << e.name;
  }
}

TEST(Archive, TorchWrapperCarriesMetadata) {
  const testing::TempDir dir;
  Archive a = sample();
  a.set_metadata("config.embedding.stride", "[10,10]");
  a.set_metadata("config.embedding.rate", "0.5");
  a.set_metadata("config.on", "true");
  a.set_metadata("large", "12345678901");
  a.set_metadata("nothing", "null");
  a.write_torch(dir / "a.pth", "model");
  const Archive got = Archive::open(dir / "a.pth");
  EXPECT_EQ(got.metadata(), a.metadata());
  ASSERT_NE(got.find("model.net.weight"), nullptr);
  EXPECT_EQ(values_of<float>(*got.find("model.net.weight")),
            (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(Archive, EqualContentMakesEqualFiles) {
  const testing::TempDir dir;
  sample().write_torch(dir / "a.pth");
  sample().write_torch(dir / "b.pth");
  EXPECT_EQ(read_file(dir / "a.pth"), read_file(dir / "b.pth"));
}

TEST(Archive, RefusesWhatIsNoCheckpoint) {
  const testing::TempDir dir;
  const struct {
    const char* name;
    std::string content;
    const char* message;
  } cases[] = {
      {"empty", "", "the file is empty"},
      {"text", "hello, this is a text and nothing else",
       "neither a .pt/.pth file of torch.save nor a .safetensors file"},
      {"page", "<!DOCTYPE html><html>sign in</html>",
       "this is a web page, not a checkpoint; the download was redirected to a page"},
      {"cut zip", std::string("PK\x03\x04") + std::string(60, 'x'),
       "the zip container has no directory; the file is damaged or the download was cut short"},
      {"cut safetensors", std::string("\x40\0\0\0\0\0\0\0{\"a\"", 12),
       "the file is cut short: its header alone is longer"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    write_file_atomic(dir / "file", c.content);
    EXPECT_EQ(error_of(dir / "file"), c.message);
  }
  EXPECT_EQ(error_of(dir / "absent"), "cannot be read: No such file or directory");
  EXPECT_EQ(error_of(dir.path()),
            "a folder without a checkpoint: neither model.safetensors, pytorch_model.bin nor an "
            "index of shards is in it");
}

TEST(Archive, EveryFlippedBitOfATensorIsFound) {
  const testing::TempDir dir;
  sample().write_torch(dir / "a.pth");
  const std::string sound = read_file(dir / "a.pth");
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto bytes = bytes_of(values);
  const size_t at =
      sound.find(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  ASSERT_NE(at, sound.npos);
  for (size_t bit = 0; bit < 8 * bytes.size(); bit += 5) {
    std::string damaged = sound;
    damaged[at + bit / 8] = static_cast<char>(damaged[at + bit / 8] ^ (1 << bit % 8));
    write_file_atomic(dir / "b.pth", damaged);
    const std::string error = error_of(dir / "b.pth");
    EXPECT_TRUE(error.find("/data/") != error.npos &&
                error.find(" is damaged: its bytes are not those of its checksum (CRC-32)") !=
                    error.npos)
        << error;
  }
}

std::string safetensors(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + data;
}

TEST(Archive, RefusesDamagedSafetensors) {
  const testing::TempDir dir;
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":)";
  const struct {
    const char* name;
    std::string header;
    std::string data;
    const char* message;
  } cases[] = {
      {"not JSON", "{\"a\":}", "", "the safetensors header is not valid JSON"},
      {"too deep", "{\"a\":{\"b\":[[[[[1]]]]]}}", "", "the safetensors header is not valid JSON"},
      {"hole", "{" + a + "[4,8]}}", "12345678", "tensor 'a': a hole or an overlap in front of it"},
      {"trailing", "{" + a + "[0,4]}}", "12345678", "bytes behind the last tensor"},
      {"cut", "{" + a + "[0,4]}}", "12", "the file is cut short in tensor 'a'"},
      {"wrong size", "{" + a + "[0,8]}}", "12345678",
       "tensor 'a': data_offsets do not fit the shape"},
      {"backwards", "{" + a + "[4,0]}}", "1234", "tensor 'a': data_offsets do not fit the shape"},
      {"negative", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234",
       "tensor 'a': the shape is not a list of sizes"},
      {"overflow", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
       "", "tensor 'a': data_offsets do not fit the shape"},
      {"dtype", R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", "1",
       "tensor 'a': dtype \"F8_E4M3\" is not supported"},
      {"no dtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", "1",
       "tensor 'a': dtype, shape or data_offsets is missing"},
      {"metadata", R"({"__metadata__":{"a":1}})", "",
       "__metadata__ holds something that is not a string"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    write_file_atomic(dir / "file", safetensors(c.header, c.data));
    EXPECT_EQ(error_of(dir / "file"), c.message);
  }
}

TEST(Archive, TruncationIsRefused) {
  const testing::TempDir dir;
  sample().write_torch(dir / "a.pth");
  sample().write_safetensors(dir / "a.safetensors");
  for (const char* name : {"a.pth", "a.safetensors"}) {
    const std::string whole = read_file(dir / name);
    for (size_t size = 0; size < whole.size(); size += 13) {
      std::ofstream(dir / "cut", std::ios::binary) << whole.substr(0, size);
      EXPECT_NE(error_of(dir / "cut"), "") << name << " cut at " << size;
    }
  }
}

TEST(Archive, NamesAreUnique) {
  Archive a = sample();
  try {
    a.add("step", Dtype::kU8, {1}, bytes_of(std::vector<uint8_t>{1}));
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "two tensors are named 'step'");
  }
  EXPECT_THROW(a.add("short", Dtype::kF32, {2}, bytes_of(std::vector<uint8_t>{1})), Error);
}

TEST(Archive, ValuesOutliveTheFileAndTheArchive) {
  const testing::TempDir dir;
  sample().write_safetensors(dir / "a.safetensors");
  Entry kept;
  {
    const Archive a = Archive::open(dir / "a.safetensors");
    kept = *a.find("net.weight");
  }
  std::filesystem::remove(dir / "a.safetensors");
  EXPECT_EQ(values_of<float>(kept)[5], 6);
}

}  // namespace
}  // namespace xp::checkpoint
