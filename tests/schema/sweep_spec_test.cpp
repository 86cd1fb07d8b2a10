#include "core/recipe/sweep_spec.h"

#include <gtest/gtest.h>

#include "core/schema/load.h"

namespace xp::schema {
namespace {

using recipe::parse_sweep_spec;
using recipe::SweepSpec;

const recipe::FieldSpec& key(const char* name) { return *language().find_key(name); }

/// The values as TOML, joined by blanks.
std::string values_of(const char* name, const char* spec) {
  std::string out;
  for (const recipe::Value& value : parse_sweep_spec(spec, key(name)).values) {
    out += (out.empty() ? "" : " ") + recipe::to_toml(value);
  }
  return out;
}

TEST(SweepSpecs, Values) {
  struct Case {
    const char* name;
    const char* key;
    const char* spec;
    const char* want;
  };
  const Case cases[] = {
      {"both ends", "tome.r", "0:64:16", "0 16 32 48 64"},
      {"end that is not hit", "tome.r", "0:10:4", "0 4 8"},
      {"downwards", "tome.r", "8:0:-4", "8 4 0"},
      {"one value", "tome.r", "5:5:1", "5"},
      {"list keeps order", "tome.r", "3,1", "3 1"},
      {"lists in a list", "tome.r", "[1,2],[3]", "[1, 2] [3]"},
      {"floats", "kd.lambda", "0.1,0.25, 1", "0.1 0.25 1.0"},
      {"float range", "kd.lambda", "0:1:0.1", "0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0"},
      {"integers for a float", "kd.temperature", "1:3:1", "1.0 2.0 3.0"},
      {"lin", "kd.lambda", "lin:0:1:5", "0.0 0.25 0.5 0.75 1.0"},
      {"log", "optimiser.lr", "log:1e-5:1e-3:3", "1e-5 1e-4 0.001"},
      {"lin of integers", "tome.r", "lin:0:32:3", "0 16 32"},
      {"names", "optimiser.kind", "adam,sgd", "\"adam\" \"sgd\""},
      {"choice", "model.arch", "choice:ast-nano|mn10", "\"ast-nano\" \"mn10\""},
      {"bools", "kd.enabled", "true,false", "true false"},
      {"strings with colons", "dataset.train", "a:b,c", "\"a:b\" \"c\""},
      {"quoted", "dataset.train", "\"a,b\",c", "\"a,b\" \"c\""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(values_of(c.key, c.spec), c.want);
  }
}

TEST(SweepSpecs, Ranges) {
  const SweepSpec uniform = parse_sweep_spec("uniform:0:1", key("kd.lambda"));
  EXPECT_EQ(uniform.kind, SweepSpec::Kind::kUniform);
  EXPECT_EQ(uniform.high, 1.0);
  EXPECT_EQ(parse_sweep_spec("loguniform:1e-5:1e-2", key("optimiser.lr")).kind,
            SweepSpec::Kind::kLogUniform);
  EXPECT_EQ(parse_sweep_spec("int:1:8", key("tome.r")).kind, SweepSpec::Kind::kInt);
}

TEST(SweepSpecs, Faults) {
  struct Case {
    const char* key;
    const char* spec;
    const char* want;
  };
  const Case cases[] = {
      {"tome.r", "", "an empty spec; write a:b:step, a list x,y,z or choice:x|y"},
      {"tome.r", "0:64:-8", "a step of -8 does not lead from 0 to 64"},
      {"tome.r", "0:64:0", "a step of 0 does not lead from 0 to 64"},
      {"tome.r", "0:64", "expected a:b:step"},
      {"tome.r", "0:9000000:1", "9e+06 values: between 1 and 100000 are possible"},
      {"tome.r", "-8:8:8",
       "tome.r: expected an integer in [0, 100000], or an array of them, received an integer -8"},
      {"tome.r", "0:1:0.5",
       "tome.r: expected an integer in [0, 100000], or an array of them, received a float 0.0"},
      {"tome.r", "lin:0:1:3", "0.5 is no integer, which tome.r is"},
      {"tome.r", "lin:8e26:0:66", "8e+26 is no integer, which tome.r is"},
      {"tome.r", "int:0:9223372036854775807",
       "tome.r: expected an integer in [0, 100000], or an array of them, received an integer "
       "9223372036854775807"},
      {"tome.r", "uniform:0:8",
       "tome.r is an integer in [0, 100000], or an array of them; draw it with int:lo:hi or "
       "choice:a|b"},
      {"kd.lambda", "0:2:0.5", "kd.lambda: expected a float in [0, 1], received a float 1.5"},
      {"kd.lambda", "a,b", "kd.lambda: expected a float in [0, 1], received 'a'"},
      {"kd.lambda", "0.1,,0.2", "an empty value"},
      {"optimiser.lr", "loguniform:0:1", "loguniform: both ends must be above 0"},
      {"optimiser.lr", "uniform:1:1", "the range from 1 to 1 is empty"},
      {"optimiser.kind", "adam,adma",
       "optimiser.kind: expected one of adamw, adam, sgd, received a string \"adma\"; did you mean "
       "'adam'?"},
      {"dataset.root", "a,b", "dataset.root cannot be swept"},
      {"kd.lambda", "0:1:1e-300", "1e+300 values: between 1 and 100000 are possible"},
      {"experiment.seed", "0:9223372036854775807:1",
       "9.22337e+18 values: between 1 and 100000 are possible"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.spec);
    try {
      parse_sweep_spec(c.spec, key(c.key));
      ADD_FAILURE() << "no fault";
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), c.want);
    }
  }
}

TEST(SweepSpecs, WideSpansDoNotOverflow) {
  EXPECT_EQ(parse_sweep_spec("0:9000000000000000000:3000000000000000000", key("experiment.seed"))
                .values.size(),
            4u);
}

}  // namespace
}  // namespace xp::schema
