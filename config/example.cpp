#include "config/example.hpp"

#include "config/settings.hpp"

#include <string_view>

namespace colloquy::config {

namespace {

constexpr std::size_t width = 100;

constexpr std::string_view heading =
    R"(# The settings of Colloquy, each with its default. Take out the first # of a line to change it, and give the file
# to the program with --config FILE.
#
# A setting may be given in four places. The first that has it wins: flags, the environment, a .env file in the
# working directory, this file. Within the environment and the .env file, names win in the order given here.
#
# A value may be quoted: "..." takes the escapes \n \r \t \\ \" \$, '...' nothing. A comment after a value begins
# with a blank and #, so quote a value that has these in it. ${NAME} stands for a name of the environment or of the
# .env file, but not inside '...'.
)";

/// "# " and the text, broken at blanks.
void add_comment(std::string& to, std::string_view text) {
  std::string line = "#";
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    if (line.size() + 1 + word.size() > width) {
      to += line + "\n";
      line = "#";
    }
    line += " " + std::string(word);
    text.remove_prefix(word.size() == text.size() ? word.size() : word.size() + 1);
  }
  to += line + "\n";
}

std::string names_of(const setting_descriptor& setting) {
  std::string list;
  for (const auto& each : setting.environment) {
    list += (list.empty() ? "" : ", ") + each.name;
    if (each.written == spelling::bare_milliseconds)
      list += " (a number of milliseconds)";
    if (each.written == spelling::bare_seconds)
      list += " (a number of seconds)";
  }
  return list;
}

} // namespace

std::string annotated_example() {
  std::string text(heading);
  for (const auto& each : descriptors()) {
    text += "\n";
    add_comment(text, each.meaning);
    add_comment(text, "Allowed: " + expected(each) + ".");
    add_comment(text, "Environment: " + names_of(each) + ".");
    text += "#" + std::string(each.name) + " =" + (each.default_text.empty() ? "" : " " + each.default_text) + "\n";
  }
  return text;
}

} // namespace colloquy::config
