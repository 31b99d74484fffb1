#include "config/expand.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;

namespace {

struct fixture {
  std::map<std::string, std::string> environment;
  std::vector<assignment> env_file;

  colloquy::result<std::string> expand(const std::string& text) const {
    return expander(environment, env_file).expand({{text, true}});
  }
};

} // namespace

TEST_CASE("a reference expands from the environment, then from the .env", "[expand]") {
  fixture from;
  from.environment = {{"A", "env"}};
  from.env_file = parse_assignments("A=file\nB=old\nB=new", dialect::env_file);
  CHECK(from.expand("<${A}|${B}>").value() == "<env|new>");
}

TEST_CASE("what a reference brings in expands too, but not out of single quotes", "[expand]") {
  fixture from;
  from.environment = {{"A", "a"}};
  from.env_file = parse_assignments("B=<${A}>\nC='<${A}>'\nD=\"\\${A}\"", dialect::env_file);
  CHECK(from.expand("${B}").value() == "<a>");
  CHECK(from.expand("${C}").value() == "<${A}>");
  CHECK(from.expand("${D}").value() == "${A}");
}

TEST_CASE("a dollar sign that begins no reference is itself", "[expand]") {
  CHECK(fixture{}.expand("$A $$ $ {A} $").value() == "$A $$ $ {A} $");
}

TEST_CASE("an undefined reference is refused by its name", "[expand]") {
  const auto failed = fixture{}.expand("x${NOWHERE}");
  REQUIRE_FALSE(failed.has_value());
  CHECK_THAT(failed.failure().message, ContainsSubstring("${NOWHERE}"));
}

TEST_CASE("a reference that is not ${NAME} is refused without being quoted", "[expand]") {
  const auto* text = GENERATE("${", "${secret", "${}", "${A:-secret}", "${1secret}", "${secret x}");
  CAPTURE(text);
  fixture from;
  from.environment = {{"A", "a"}};
  const auto failed = from.expand(text);
  REQUIRE_FALSE(failed.has_value());
  CHECK_THAT(failed.failure().message, !ContainsSubstring("secret"));
}

TEST_CASE("a reference to a line that cannot be read says why", "[expand]") {
  fixture from;
  from.env_file = parse_assignments("A='b", dialect::env_file);
  const auto failed = from.expand("${A}");
  REQUIRE_FALSE(failed.has_value());
  CHECK_THAT(failed.failure().message, ContainsSubstring("not closed"));
}

TEST_CASE("references that lead in a circle are refused", "[expand]") {
  fixture from;
  from.environment = {{"A", "${B}"}, {"B", "${A}"}, {"SELF", "${SELF}"}};
  CHECK_THAT(from.expand("${A}").failure().message, ContainsSubstring("back to itself"));
  CHECK_THAT(from.expand("${SELF}").failure().message, ContainsSubstring("back to itself"));
}

TEST_CASE("the same reference may stand twice side by side", "[expand]") {
  fixture from;
  from.environment = {{"A", "a"}};
  CHECK(from.expand("${A}${A}").value() == "aa");
}

TEST_CASE("expansion is bounded in depth, steps and size", "[expand]") {
  fixture from;
  from.environment = {{"A0", ""}, {"BIG", std::string(40'000, 'x')}};
  for (int level = 1; level <= 20; ++level) {
    const auto below = "${A" + std::to_string(level - 1) + "}";
    from.environment["A" + std::to_string(level)] = below;
    from.environment["W" + std::to_string(level)] = level == 1 ? "" : "${W" + std::to_string(level - 1) + "}";
    if (level > 1)
      from.environment["W" + std::to_string(level)] += "${W" + std::to_string(level - 1) + "}";
  }
  CHECK(from.expand("${A10}").has_value());
  CHECK_FALSE(from.expand("${A20}").has_value()); // deep
  CHECK(from.expand("${W5}").has_value());
  CHECK_FALSE(from.expand("${W14}").has_value()); // wide: 2^13 steps
  CHECK(from.expand("${BIG}").has_value());
  CHECK_FALSE(from.expand("${BIG}${BIG}").has_value());
}
