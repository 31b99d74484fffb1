// The annotated settings file, made from the table of settings so that it cannot lag behind it.
#pragma once

#include <string>

namespace colloquy::config {

/// The text of config/colloquy.example.conf: every setting with its meaning, range, environment names and, commented
/// out, its default.
std::string annotated_example();

} // namespace colloquy::config
