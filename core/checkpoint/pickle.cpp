#include "core/checkpoint/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/checkpoint/formats.h"

namespace xp::checkpoint {
namespace {

struct StorageClass {
  std::string_view name;
  Dtype dtype;
};

constexpr std::array<StorageClass, 13> kStorageClasses{{{"FloatStorage", Dtype::kF32},
                                                        {"DoubleStorage", Dtype::kF64},
                                                        {"HalfStorage", Dtype::kF16},
                                                        {"BFloat16Storage", Dtype::kBf16},
                                                        {"LongStorage", Dtype::kI64},
                                                        {"IntStorage", Dtype::kI32},
                                                        {"ShortStorage", Dtype::kI16},
                                                        {"CharStorage", Dtype::kI8},
                                                        {"ByteStorage", Dtype::kU8},
                                                        {"UntypedStorage", Dtype::kU8},
                                                        {"BoolStorage", Dtype::kBool},
                                                        {"ComplexFloatStorage", Dtype::kC64},
                                                        {"ComplexDoubleStorage", Dtype::kC128}}};

constexpr std::array<StorageClass, 12> kTorchDtypes{{{"float32", Dtype::kF32},
                                                     {"float64", Dtype::kF64},
                                                     {"float16", Dtype::kF16},
                                                     {"bfloat16", Dtype::kBf16},
                                                     {"int64", Dtype::kI64},
                                                     {"int32", Dtype::kI32},
                                                     {"int16", Dtype::kI16},
                                                     {"int8", Dtype::kI8},
                                                     {"uint8", Dtype::kU8},
                                                     {"bool", Dtype::kBool},
                                                     {"complex64", Dtype::kC64},
                                                     {"complex128", Dtype::kC128}}};

/// Modules whose functions act on the system. Nothing is called here in any case; a checkpoint that
/// names one of them is an attack on other readers, and its owner should hear of it.
constexpr std::array<std::string_view, 26> kHostileModules{
    "os",         "posix",    "nt",      "subprocess",      "sys",      "shutil",  "runpy",
    "importlib",  "pickle",   "_pickle", "cPickle",         "socket",   "pty",     "ctypes",
    "webbrowser", "code",     "codeop",  "commands",        "platform", "asyncio", "marshal",
    "timeit",     "cProfile", "pdb",     "multiprocessing", "signal"};
constexpr std::array<std::string_view, 8> kHostileBuiltins{
    "eval", "exec", "execfile", "compile", "open", "__import__", "input", "breakpoint"};

template <class Names>
bool among(std::string_view word, const Names& names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

bool is_hostile(std::string_view module, std::string_view name) {
  if (module == "builtins" || module == "__builtin__") return among(name, kHostileBuiltins);
  return among(module.substr(0, module.find('.')), kHostileModules);
}

std::optional<Dtype> storage_dtype(std::string_view module, std::string_view name) {
  if (module != "torch" && module != "torch.cuda" && module != "torch.storage") return std::nullopt;
  for (const StorageClass& c : kStorageClasses) {
    if (c.name == name) return c.dtype;
  }
  return std::nullopt;
}

class Machine {
 public:
  Machine(const std::filesystem::path& file, std::span<const std::byte> bytes, const Limits& limits)
      : file_(file),
        text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        limits_(limits) {
    for (const Kind kind : {Kind::kNone, Kind::kBool, Kind::kBool}) make(kind);
    at(kTrue).integer = 1;
  }

  Pickle run() {
    while (true) {
      const auto op = byte();
      if (op == '.') break;
      if (!scalar(op) && !container(op) && !memo(op) && !construct(op)) {
        bad("opcode " + std::to_string(op) + " is outside of what describes tensors");
      }
    }
    out_.root = pop();
    out_.size = position_;
    return std::move(out_);
  }

 private:
  using Handle = uint32_t;
  static constexpr Handle kNone = 0;
  static constexpr Handle kFalse = 1;
  static constexpr Handle kTrue = 2;

  [[noreturn]] void bad(const std::string& what) const {
    refuse(file_, "not a readable checkpoint: " + what);
  }

  // --- bytes
  std::string_view take(uint64_t count) {
    if (count > text_.size() - position_) bad("the pickle is cut short");
    const auto piece = text_.substr(position_, count);
    position_ += count;
    return piece;
  }
  unsigned char byte() { return static_cast<unsigned char>(take(1)[0]); }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const auto end = text_.find('\n', position_);
    if (end == text_.npos) bad("the pickle is cut short");
    const auto piece = text_.substr(position_, end - position_);
    position_ = end + 1;
    return piece;
  }

  // --- values
  void count(uint64_t more) {
    counted_ += more;
    if (counted_ > static_cast<uint64_t>(limits_.values))
      bad("it describes more values than the limit allows");
  }
  Value& at(Handle handle) { return out_.values[handle]; }
  Handle make(Kind kind) {
    count(1);
    out_.values.emplace_back().kind = kind;
    return static_cast<Handle>(out_.values.size() - 1);
  }
  void push(Handle handle) { stack_.push_back(handle); }
  void push_int(int64_t value) {
    const Handle h = make(Kind::kInt);
    at(h).integer = value;
    push(h);
  }
  void push_text(std::string_view value) {
    const Handle h = make(Kind::kText);
    at(h).text = value;
    push(h);
  }
  void push_long(std::string_view digits) {
    if (digits.size() > 8) return push_text(digits);
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size(); ++i)
      value |= uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
    const bool negative =
        !digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80U) != 0;
    if (negative && digits.size() < 8) value |= ~uint64_t{0} << (8 * digits.size());
    push_int(std::bit_cast<int64_t>(value));
  }
  Handle top() const {
    if (stack_.empty()) bad("the stack is empty");
    return stack_.back();
  }
  Handle pop() {
    const Handle h = top();
    stack_.pop_back();
    if (!marks_.empty() && stack_.size() < marks_.back()) bad("a mark is lost");
    return h;
  }
  std::vector<Handle> cut() {
    if (marks_.empty()) bad("a mark is missing");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Handle> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Handle> pop_many(size_t n) {
    std::vector<Handle> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    return items;
  }
  void push_list(std::vector<Handle> items) {
    const Handle h = make(Kind::kList);
    at(h).items = std::move(items);
    push(h);
  }

  int64_t integer(Handle h) {
    if (at(h).kind != Kind::kInt && at(h).kind != Kind::kBool) bad("a number is missing");
    return at(h).integer;
  }
  std::string_view text(Handle h) {
    if (at(h).kind != Kind::kText) bad("a text is missing");
    return at(h).text;
  }
  const std::vector<Handle>& list(Handle h) {
    if (at(h).kind != Kind::kList) bad("a list is missing");
    return at(h).items;
  }
  std::vector<int64_t> integers(Handle h) {
    const auto& items = list(h);
    if (static_cast<int64_t>(items.size()) > limits_.rank) bad("a tensor has too many dimensions");
    std::vector<int64_t> out;
    for (const Handle item : items) out.push_back(integer(item));
    return out;
  }

  // --- opcodes, by what they do; each says whether `op` was its own
  bool scalar(unsigned char op) {
    switch (op) {
      case 0x80:
        byte();
        return true;  // PROTO
      case 0x95:
        take(8);
        return true;  // FRAME
      case 'N':
        push(kNone);
        return true;  // NONE
      case 0x88:
        push(kTrue);
        return true;  // NEWTRUE
      case 0x89:
        push(kFalse);
        return true;  // NEWFALSE
      case 'K':
        push_int(byte());
        return true;  // BININT1
      case 'M':
        push_int(number<uint16_t>());
        return true;  // BININT2
      case 'J':
        push_int(number<int32_t>());
        return true;  // BININT
      case 0x8a:
        push_long(take(byte()));
        return true;  // LONG1
      case 0x8b:
        push_long(take(number<uint32_t>()));
        return true;  // LONG4
      case 'G': {     // BINFLOAT, big-endian
        uint64_t bits = 0;
        for (const char c : take(8)) bits = bits << 8U | static_cast<unsigned char>(c);
        const Handle h = make(Kind::kFloat);
        at(h).real = std::bit_cast<double>(bits);
        push(h);
        return true;
      }
      case 'X':
      case 'B':
      case 'T':
        push_text(take(number<uint32_t>()));
        return true;  // BINUNICODE, BINBYTES, BINSTRING
      case 0x8c:
      case 'C':
      case 'U':
        push_text(take(byte()));
        return true;  // SHORT_BIN...
      case 0x8d:
      case 0x8e:
      case 0x96:
        push_text(take(number<uint64_t>()));
        return true;  // BINUNICODE8, BINBYTES8, BYTEARRAY8
      default:
        return false;
    }
  }

  bool container(unsigned char op) {
    switch (op) {
      case '(':
        marks_.push_back(stack_.size());
        return true;  // MARK
      case '0':
        pop();
        return true;  // POP
      case '1':
        cut();
        return true;  // POP_MARK
      case '2':
        push(top());
        return true;  // DUP
      case '}':
        push(make(Kind::kDict));
        return true;  // EMPTY_DICT
      case ']':
      case ')':
      case 0x8f:
        push(make(Kind::kList));
        return true;  // EMPTY_LIST, EMPTY_TUPLE, EMPTY_SET
      case 't':
      case 'l':
      case 0x91:
        push_list(cut());
        return true;  // TUPLE, LIST, FROZENSET
      case 0x85:
      case 0x86:
      case 0x87:
        push_list(pop_many(op - 0x84U));
        return true;  // TUPLE1..3
      case 'a':
        extend(pop_many(1), Kind::kList);
        return true;  // APPEND
      case 'e':
      case 0x90:
        extend(cut(), Kind::kList);
        return true;  // APPENDS, ADDITEMS
      case 's':
        extend(pop_many(2), Kind::kDict);
        return true;  // SETITEM
      case 'u':
        extend(cut(), Kind::kDict);
        return true;  // SETITEMS
      default:
        return false;
    }
  }

  void extend(const std::vector<Handle>& more, Kind kind) {
    Value& target = at(top());
    if (kind == Kind::kDict && more.size() % 2 != 0) bad("a key without a value");
    if (target.kind == Kind::kObject) return;  // a subclass of list or dict: opaque
    if (target.kind != kind) bad("items for something that holds none");
    target.items.insert(target.items.end(), more.begin(), more.end());
  }

  bool memo(unsigned char op) {
    switch (op) {
      case 'q':
        memo_[byte()] = top();
        return true;  // BINPUT
      case 'r':
        memo_[number<uint32_t>()] = top();
        return true;  // LONG_BINPUT
      case 0x94: {    // MEMOIZE
        const auto next = static_cast<uint32_t>(memo_.size());
        memo_[next] = top();
        return true;
      }
      case 'h':
        recall(byte());
        return true;  // BINGET
      case 'j':
        recall(number<uint32_t>());
        return true;  // LONG_BINGET
      default:
        return false;
    }
  }
  void recall(uint32_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) bad("a reference to nothing");
    push(found->second);
  }

  bool construct(unsigned char op) {
    switch (op) {
      case 'c': {  // GLOBAL
        const auto module = line();
        push_global(module, line());
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const auto name = text(pop());
        push_global(text(pop()), name);
        return true;
      }
      case 'R':
      case 0x81: {  // REDUCE, NEWOBJ
        const Handle arguments = pop();
        const Handle what = pop();
        push(build(what, arguments, 0));
        return true;
      }
      case 0x92: {  // NEWOBJ_EX
        const auto parts = pop_many(3);
        push(build(parts[0], parts[1], 0));
        return true;
      }
      case 'b':
        pop();
        top();
        return true;  // BUILD: the state of an opaque object, or an OrderedDict's attributes
      case 'Q':
        push(storage(pop()));
        return true;  // BINPERSID
      default:
        return false;
    }
  }

  void push_global(std::string_view module, std::string_view name) {
    if (is_hostile(module, name)) {
      refuse(file_, "refused: this file names " + std::string(module) + "." + std::string(name) +
                        ", which no checkpoint needs; it was made to run code. Nothing was run");
    }
    const Handle h = make(Kind::kGlobal);
    at(h).text = module;
    at(h).name = name;
    push(h);
  }

  Handle build(Handle what, Handle arguments, int depth) {
    if (at(what).kind != Kind::kGlobal) bad("a call of something that is not a name");
    const std::string_view module = at(what).text;
    const std::string_view name = at(what).name;
    const std::vector<Handle> args = list(arguments);
    count(args.size());
    const auto argument = [&](size_t i) {
      if (i >= args.size()) bad(std::string(name) + " lacks an argument");
      return args[i];
    };
    if (module == "collections" && name == "OrderedDict") return ordered_dict(args);
    if (module == "collections" && name == "defaultdict") return make(Kind::kDict);
    if (module == "torch._utils") {
      if (name == "_rebuild_tensor_v2" || name == "_rebuild_tensor" ||
          name == "_rebuild_tensor_v3") {
        const bool untyped = name == "_rebuild_tensor_v3";
        return tensor(argument(0), integer(argument(1)), argument(2), argument(3),
                      untyped ? argument(6) : kNone);
      }
      if (name == "_rebuild_parameter" || name == "_rebuild_parameter_with_state")
        return argument(0);
    }
    if (module == "torch._tensor" && name == "_rebuild_from_type_v2") {
      if (depth > 4) bad("a tensor wrapped too often");
      return build(argument(0), argument(2), depth + 1);
    }
    const bool is_builtin = module == "builtins" || module == "__builtin__";
    const bool is_list = (module == "torch" && name == "Size") ||
                         (is_builtin && (name == "set" || name == "frozenset"));
    if (is_list && args.size() == 1 && at(args[0]).kind == Kind::kList) return args[0];
    const Handle h = make(Kind::kObject);
    at(h).text = module;
    at(h).name = name;
    return h;
  }

  Handle ordered_dict(const std::vector<Handle>& args) {
    std::vector<Handle> items;
    if (!args.empty()) {
      for (const Handle pair : list(args[0])) {
        const auto& both = list(pair);
        if (both.size() != 2) bad("a key without a value");
        count(2);
        items.insert(items.end(), both.begin(), both.end());
      }
    }
    const Handle h = make(Kind::kDict);
    at(h).items = std::move(items);
    return h;
  }

  Handle storage(Handle id) {
    // ("storage", class, key, location, count[, view]); view: None or (key, begin, count).
    const std::vector<Handle> parts = list(id);
    if (parts.size() < 5 || text(parts[0]) != "storage")
      bad("a persistent id that is not a storage");
    const Value& type = at(parts[1]);
    const auto dtype =
        type.kind == Kind::kGlobal ? storage_dtype(type.text, type.name) : std::nullopt;
    if (!dtype) bad("a storage of unknown type");
    StorageSpec s{text(parts[2]), *dtype, 0, integer(parts[4]), 0};
    s.block_count = s.count;
    if (parts.size() > 5 && at(parts[5]).kind == Kind::kList) {
      const std::vector<Handle> view = list(parts[5]);
      if (view.size() != 3) bad("a storage view of unknown form");
      s.begin = integer(view[1]);
      s.count = integer(view[2]);
    }
    if (s.begin < 0 || s.count < 0 || s.block_count < 0 || s.begin > s.block_count ||
        s.count > s.block_count - s.begin) {
      bad("a storage with impossible bounds");
    }
    out_.storages.push_back(s);
    const Handle h = make(Kind::kStorage);
    at(h).integer = static_cast<int64_t>(out_.storages.size() - 1);
    return h;
  }

  Handle tensor(Handle from, int64_t offset, Handle shape, Handle strides, Handle dtype) {
    if (at(from).kind != Kind::kStorage) bad("a tensor without a storage");
    if (static_cast<int64_t>(out_.tensors.size()) >= limits_.tensors)
      bad("it holds more tensors than the limit allows");
    TensorSpec t;
    t.storage = static_cast<uint32_t>(at(from).integer);
    t.dtype = out_.storages[t.storage].dtype;
    t.offset = offset;
    t.shape = integers(shape);
    t.strides = integers(strides);
    if (t.shape.size() != t.strides.size() || offset < 0) bad("a tensor with impossible bounds");
    if (dtype != kNone) {
      const auto* row =
          std::find_if(kTorchDtypes.begin(), kTorchDtypes.end(),
                       [&](const StorageClass& c) { return c.name == at(dtype).name; });
      if (at(dtype).kind != Kind::kGlobal || row == kTorchDtypes.end())
        bad("a tensor of unknown type");
      t.dtype = row->dtype;
    }
    out_.tensors.push_back(std::move(t));
    const Handle h = make(Kind::kTensor);
    at(h).integer = static_cast<int64_t>(out_.tensors.size() - 1);
    return h;
  }

  const std::filesystem::path& file_;
  std::string_view text_;
  const Limits& limits_;
  size_t position_ = 0;
  uint64_t counted_ = 0;
  Pickle out_;
  std::vector<Handle> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Handle> memo_;
};

}  // namespace

Pickle read_pickle(const std::filesystem::path& file, std::span<const std::byte> bytes,
                   const Limits& limits) {
  return Machine(file, bytes, limits).run();
}

}  // namespace xp::checkpoint
