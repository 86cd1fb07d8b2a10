#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

// The parser's own headers cost seconds in every source that includes them: arguments.cpp alone
// does.
namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace xp::cli {

/// A declared option or flag. Its functions say more about it and return it again; what they ask
/// for is told by --help and checked by CommandLine::parse.
class Option {
 public:
  Option& required();
  /// A number from `least` to `most`.
  Option& range(int least, int most);
  Option& positive();
  Option& not_negative();
  /// One of these words.
  Option& one_of(const std::vector<std::string>& words);
  Option& existing_file();
  /// So many values, no more and no fewer.
  Option& expected(int values);
  /// A value is split at its commas: --tome 0,8,16.
  Option& comma_separated();
  /// May be repeated; all values count.
  Option& take_all();
  /// Not together with `other`.
  Option& excludes(const Option& other);
  /// --help shows the value that the variable has now.
  Option& show_default();
  /// --help is silent about it.
  Option& hidden();

 private:
  friend class Arguments;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

/// What a program or one of its commands takes: a view into a CommandLine, which has to outlive it.
/// Whatever is declared is bound to a variable, whose type says which values fit;
/// CommandLine::parse sets it, and leaves it alone where the command line is silent.
class Arguments {
 public:
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// `names`: "--name", "-n,--name", or "name" for what is known by its position. A list that
  /// is an option takes one value each time it is there, one known by its position all that come.
  Option option(const std::string& names, std::string& target, const std::string& help);
  Option option(const std::string& names, std::filesystem::path& target, const std::string& help);
  Option option(const std::string& names, int& target, const std::string& help);
  Option option(const std::string& names, int64_t& target, const std::string& help);
  Option option(const std::string& names, size_t& target, const std::string& help);
  Option option(const std::string& names, double& target, const std::string& help);
  Option option(const std::string& names, std::vector<std::string>& target,
                const std::string& help);
  Option option(const std::string& names, std::vector<int64_t>& target, const std::string& help);

  Option flag(const std::string& names, bool& target, const std::string& help);
  /// `count` becomes how often the flag is there.
  Option flag(const std::string& names, int& count, const std::string& help);

  /// What --help ends with. Sub-commands that are declared later have it too, unless they set their
  /// own.
  void footer(const std::string& text);

  /// A sub-command; `chosen` becomes `name` where the command line has it.
  Arguments subcommand(const std::string& name, const std::string& help, std::string& chosen);
  /// Exactly one sub-command has to be there.
  void require_subcommand();

 private:
  friend class CommandLine;
  explicit Arguments(CLI::App& app) : app_(app) {}

  CLI::App& app_;
};

/// A program's command line: --help, --version, what its arguments declare, and at most one
/// sub-command, behind whose name the program's own options may stand as well.
class CommandLine {
 public:
  /// `version`: what --version prints.
  CommandLine(const std::string& program, const std::string& description,
              const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Arguments arguments();

  /// Sets the bound variables from the words after the program's name. False where --help or
  /// --version is among them: it has been printed, nothing else is to be done. Throws Error for
  /// words that do not fit what is declared.
  bool parse(const std::vector<std::string>& words);

  /// What --help prints.
  std::string help() const;

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace xp::cli
