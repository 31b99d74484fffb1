// What the table of settings is built from: one maker for each kind of setting. The default and the range are written
// down once, as values; their texts are made from them, so that text and check cannot disagree.
#pragma once

#include "config/settings.hpp"

namespace colloquy::config {

template <class T>
struct range {
  T min;
  T max;
};

/// A sentence for what is allowed, and the check that holds it.
struct text_rule {
  std::string allowed;
  bool (*accepts)(std::string_view);
};

using names = std::vector<environment_name>;

setting_descriptor count_setting(std::string_view name, std::size_t settings::*member, range<std::size_t> allowed,
                                 std::string_view meaning, names older = {});
setting_descriptor size_setting(std::string_view name, std::size_t settings::*member, range<std::size_t> allowed,
                                std::string_view meaning, names older = {});
setting_descriptor duration_setting(std::string_view name, std::chrono::milliseconds settings::*member,
                                    range<std::chrono::milliseconds> allowed, std::string_view meaning,
                                    names older = {});
setting_descriptor text_setting(std::string_view name, std::string settings::*member, text_rule rule,
                                std::string_view meaning, names older = {});
/// Empty text is an absent value.
setting_descriptor optional_text_setting(std::string_view name, std::optional<std::string> settings::*member,
                                         text_rule rule, std::string_view meaning, names older = {});
/// `default_text` is said here because it depends on the environment; the loader applies it.
setting_descriptor path_setting(std::string_view name, std::filesystem::path settings::*member,
                                std::string default_text, text_rule rule, std::string_view meaning);
setting_descriptor optional_path_setting(std::string_view name, std::optional<std::filesystem::path> settings::*member,
                                         text_rule rule, std::string_view meaning);
setting_descriptor level_setting(std::string_view name, config::log_level settings::*member, std::string_view meaning,
                                 names older = {});

/// The phrase for a kind: "a whole number".
std::string kind_phrase(setting_kind kind);

} // namespace colloquy::config
