// Which of the server's own functions leave nothing behind in a session, and which words before a parenthesis are no
// functions at all. What is on neither list may be anything.
#pragma once

#include <string_view>

namespace colloquy::db {

/// In lower case. Not: what sets (set_config, setseed), sequences, locks, large objects, what runs SQL from a text, and
/// what acts on other sessions.
bool leaves_nothing_behind(std::string_view function);

/// Whether the server has a function of one argument of this name that changes its session, or may run anything: in
/// lower case, as it may be called without a parenthesis.
bool changes_as_attribute(std::string_view function);

/// Keywords, and types that take a length.
bool is_no_function(std::string_view word);

} // namespace colloquy::db
