// The version of the program and of the library: the one place where it stands. CMakeLists.txt reads it from here.
#pragma once

#include <string_view>

namespace colloquy {

/// Semantic versioning (semver.org). The interface that it speaks of is the installed headers, the HTTP interface and
/// the settings; CHANGELOG.md tells what each version changed. Before 1.0.0 a new minor version may break any of them.
inline constexpr std::string_view version = "0.1.0";

} // namespace colloquy
