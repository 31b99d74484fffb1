#include "config/assignments.hpp"
#include "config/example.hpp"
#include "config/load.hpp"
#include "tests/config/temp_folder.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/places.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace colloquy::config;
using colloquy::test::ContainsSubstring;
using colloquy::test::temp_folder;

namespace {

const std::filesystem::path source_dir = colloquy::test::source_dir();

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.is_open());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The file with every "#name = value" made a setting; "# words" stay comments.
std::string with_settings_active(const std::string& text) {
  std::istringstream lines(text);
  std::string active;
  for (std::string line; std::getline(lines, line);)
    active += (line.size() > 1 && line[0] == '#' && line[1] != ' ' ? line.substr(1) : line) + "\n";
  return active;
}

} // namespace

TEST_CASE("the annotated settings file is what the table of settings makes", "[example]") {
  const auto path = source_dir / "config" / "colloquy.example.conf";
  if (std::getenv("COLLOQUY_WRITE_EXAMPLE") != nullptr)
    std::ofstream(path, std::ios::binary) << annotated_example();
  INFO("write it anew: COLLOQUY_WRITE_EXAMPLE=1 config_test \"[example]\"");
  CHECK(read_whole(path) == annotated_example());
}

TEST_CASE("the annotated settings file has every setting with its default, range and meaning", "[example]") {
  auto text = annotated_example();
  for (auto at = text.find("\n# "); at != std::string::npos; at = text.find("\n# ", at))
    text.replace(at, 3, " "); // joins wrapped comments
  for (const auto& each : descriptors()) {
    CAPTURE(each.name);
    CHECK_THAT(text, ContainsSubstring(std::string(each.meaning)));
    CHECK_THAT(text, ContainsSubstring("Allowed: " + expected(each) + "."));
    for (const auto& name : each.environment)
      CHECK_THAT(text, ContainsSubstring(name.name));
    CHECK_THAT(text, ContainsSubstring("\n#" + std::string(each.name) + " ="));
  }
}

TEST_CASE("the annotated settings file taken as it is, or with all lines active, gives the defaults", "[example]") {
  const temp_folder folder;
  sources from;
  from.environment = {{"HOME", "/home/someone"}};
  const auto defaults = load(from).values;
  const auto text = annotated_example();
  for (const auto& each : {text, with_settings_active(text)}) {
    from.file = folder.write("x.conf", each);
    const auto found = load(from);
    for (const auto& mistake : found.mistakes)
      FAIL_CHECK(format(mistake));
    for (const auto& setting : descriptors()) {
      CAPTURE(setting.name);
      CHECK(setting.write(found.values) == setting.write(defaults));
    }
  }
  const auto assigned = parse_assignments(with_settings_active(text), dialect::own_file);
  CHECK(parse_assignments(text, dialect::own_file).empty());
  CHECK(assigned.size() == descriptors().size());
}

TEST_CASE("every name of the .env example is known and its values are allowed", "[example]") {
  const auto text = read_whole(source_dir / ".env.example");
  const auto active = with_settings_active(text);
  const auto names = parse_assignments(active, dialect::env_file);
  CHECK(names.size() >= 8);
  for (const auto& each : names) {
    CAPTURE(each.name, each.line);
    CHECK(each.fault.empty());
    CHECK(is_environment_name(each.name));
  }
  const temp_folder folder;
  sources from;
  from.environment = {{"HOME", "/home/someone"}};
  from.env_file = folder.write(".env", active);
  for (const auto& mistake : load(from).mistakes)
    FAIL_CHECK(format(mistake));
  CHECK(parse_assignments(text, dialect::env_file).empty());
}
