#include "config/assignments.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;
using colloquy::test::temp_folder;

namespace {

assignment only(std::string_view text, dialect kind = dialect::env_file) {
  const auto all = parse_assignments(text, kind);
  REQUIRE(all.size() == 1);
  return all.front();
}

std::string value_of(std::string_view text, dialect kind = dialect::env_file) {
  const auto found = only(text, kind);
  CHECK(found.fault.empty());
  return as_written(found.value);
}

} // namespace

TEST_CASE("an unquoted value ends at the line or at a comment, blanks cut off", "[assignments]") {
  CHECK(value_of("A=b") == "b");
  CHECK(value_of("  A =  b c  ") == "b c");
  CHECK(value_of("A=b # words") == "b");
  CHECK(value_of("A=b\t# words") == "b");
  CHECK(value_of("A=b#c") == "b#c");
  CHECK(value_of("A=#c") == "#c");
  CHECK(value_of("A= # words").empty());
  CHECK(value_of("A=").empty());
  CHECK(value_of("A=b\\n=c") == "b\\n=c");
  CHECK(value_of("A=it's \"so\"") == "it's \"so\"");
}

TEST_CASE("single quotes keep everything and double quotes take escapes", "[assignments]") {
  CHECK(value_of("A='b # \\n \"c\"' # words") == "b # \\n \"c\"");
  CHECK(value_of(R"(A="b # \n\t\r\\\"\$\x" # words)") == "b # \n\t\r\\\"$\\x");
  CHECK(value_of("A=\"\"").empty());
}

TEST_CASE("only what is neither in single quotes nor escaped expands", "[assignments]") {
  CHECK(only("A=${B}").value.front().expands);
  CHECK_FALSE(only("A='${B}'").value.front().expands);
  const auto escaped = only(R"(A="\${B}")").value;
  CHECK(as_written(escaped) == "${B}");
  for (const auto& each : escaped)
    CHECK((!each.expands || each.text.find("${") == std::string::npos));
}

TEST_CASE("a .env may export, span lines in double quotes, and have Windows line ends and a byte order mark",
          "[assignments]") {
  const auto all = parse_assignments(
      "\xEF\xBB\xBF# words\r\nexport A=b\r\n\r\nexport A\r\nKEY=\"x\r\ny\"\r\nC='d'\r\nE=f\r", dialect::env_file);
  REQUIRE(all.size() == 4);
  CHECK(all[0].name == "A");
  CHECK(all[0].line == 2);
  CHECK(as_written(all[0].value) == "b");
  CHECK(as_written(all[1].value) == "x\ny");
  CHECK(all[1].line == 5);
  CHECK(all[2].line == 7);
  CHECK(as_written(all[3].value) == "f");
}

TEST_CASE("our own file neither exports nor spans lines", "[assignments]") {
  CHECK_FALSE(only("export a = b", dialect::own_file).fault.empty());
  const auto all = parse_assignments("a = \"x\ny\"\nb = c", dialect::own_file);
  REQUIRE(all.size() == 3);
  CHECK_THAT(all[0].fault, ContainsSubstring("not closed"));
  CHECK_FALSE(all[1].fault.empty());
  CHECK(as_written(all[2].value) == "c");
}

TEST_CASE("a line that cannot be read is kept with its fault, and the next one is read", "[assignments]") {
  const auto [text, name, fault] = GENERATE(table<const char*, const char*, const char*>({
      {"A='b", "A", "not closed"},
      {"A=\"b", "A", "not closed"},
      {"A=\"b\\", "A", "not closed"},
      {"A='b'c", "A", "after the closing quote"},
      {"A", "A", "NAME = value"},
      {"A b", "A", "NAME = value"},
      {"A: b", "A", "NAME = value"},
      {"=b", "", "NAME = value"},
      {"a b = c", "", "NAME = value"},
      {"postgres://u:p@h?x=y", "", "NAME = value"},
      {"[part]", "", "NAME = value"},
  }));
  CAPTURE(text);
  const auto all = parse_assignments(std::string(text) + "\nZ=z", dialect::env_file);
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == name);
  CHECK(all[0].value.empty());
  CHECK_THAT(all[0].fault, ContainsSubstring(fault));
  CHECK(all[1].name == "Z");
  CHECK(all[1].line == 2);
}

TEST_CASE("a settings file is read whole up to its limit", "[assignments]") {
  const temp_folder folder;
  const auto fits = read_settings_file(folder.write("fits", std::string(settings_file_size_max, 'a')));
  REQUIRE(fits.has_value());
  CHECK(fits->size() == settings_file_size_max);
  const auto over = read_settings_file(folder.write("over", std::string(settings_file_size_max + 1, 'a')));
  REQUIRE_FALSE(over.has_value());
  CHECK_THAT(over.failure().message, ContainsSubstring("1MiB"));
}

TEST_CASE("a file that is missing, a folder, or no text is refused", "[assignments]") {
  const temp_folder folder;
  CHECK_FALSE(read_settings_file(folder.path() / "missing").has_value());
  CHECK_FALSE(read_settings_file(folder.path()).has_value());
  const auto with_nul = read_settings_file(folder.write("nul", std::string("A=b\0c", 5)));
  REQUIRE_FALSE(with_nul.has_value());
  CHECK_THAT(with_nul.failure().message, ContainsSubstring("NUL"));
}
