#include "cli/process_title.hpp"

#include "config/settings.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace colloquy::cli {
namespace {

/// "--admin-key" or "--connection-string", with or without a value behind '='.
bool names_secret(std::string_view argument) {
  if (!argument.starts_with("--"))
    return false;
  std::string name(argument.substr(2, argument.find('=') - 2));
  std::replace(name.begin(), name.end(), '-', '_');
  const auto* setting = config::find_setting(name);
  return name == "connection_string" || (setting != nullptr && setting->secret != config::secrecy::none);
}

bool may_hold_password(std::string_view argument) {
  return argument.find("://") != std::string_view::npos || argument.find("password=") != std::string_view::npos;
}

void overwrite(char* from) {
  std::memset(from, 'x', std::strlen(from));
}

} // namespace

std::vector<std::string> take_arguments(int argc, char** argv) {
  std::vector<std::string> all(argv, argv + argc);
  for (int i = 1; i < argc; ++i) {
    const auto& each = all[static_cast<std::size_t>(i)];
    const auto& before = all[static_cast<std::size_t>(i) - 1];
    const auto equals = each.find('=');
    if (each.starts_with("--") && equals != std::string::npos) {
      if (names_secret(each) || may_hold_password(each))
        overwrite(argv[i] + equals + 1);
    } else if (may_hold_password(each) || (names_secret(before) && before.find('=') == std::string::npos)) {
      overwrite(argv[i]);
    }
  }
  return all;
}

} // namespace colloquy::cli
