// What the table of settings is built from: one maker for each kind of setting. The default and the range are written
// down once, as values; their texts are made from them, so that text and check cannot disagree.
#pragma once

#include "config/settings.hpp"

#include <algorithm>

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
                                         text_rule rule, std::string_view meaning, names older = {});
setting_descriptor level_setting(std::string_view name, config::log_level settings::*member, std::string_view meaning,
                                 names older = {});
/// "true" or "false"; other programs' words for them are read too.
setting_descriptor bool_setting(std::string_view name, bool settings::*member, std::string_view meaning,
                                names older = {});

/// A member that is one of a list of words, by its place in the list; nothing is the empty text.
struct word_member {
  std::vector<std::string_view> words;
  bool may_be_empty = false;
  std::function<void(settings&, std::optional<std::size_t>)> set;
  std::function<std::optional<std::size_t>(const settings&)> get;
};

setting_descriptor word_setting(std::string_view name, word_member member, std::string_view meaning, names older = {});

/// The values as to_string() writes them.
template <class Enum>
std::vector<std::string_view> words_of(const std::vector<Enum>& all) {
  std::vector<std::string_view> words;
  for (const auto each : all)
    words.push_back(to_string(each));
  return words;
}

template <class Enum>
std::size_t place_of(const std::vector<Enum>& all, Enum value) {
  return static_cast<std::size_t>(std::find(all.begin(), all.end(), value) - all.begin());
}

template <class Enum>
setting_descriptor choice_setting(std::string_view name, Enum settings::*member, std::vector<Enum> all,
                                  std::string_view meaning, names older = {}) {
  return word_setting(name,
                      {words_of(all), false,
                       [=](settings& into, std::optional<std::size_t> place) { into.*member = all[*place]; },
                       [=](const settings& from) { return place_of(all, from.*member); }},
                      meaning, std::move(older));
}

/// Empty text is an absent value.
template <class Enum>
setting_descriptor optional_choice_setting(std::string_view name, std::optional<Enum> settings::*member,
                                           std::vector<Enum> all, std::string_view meaning, names older = {}) {
  return word_setting(name,
                      {words_of(all), true,
                       [=](settings& into, std::optional<std::size_t> place) {
                         into.*member = place ? std::optional<Enum>(all[*place]) : std::nullopt;
                       },
                       [=](const settings& from) {
                         return from.*member ? std::optional(place_of(all, *(from.*member))) : std::nullopt;
                       }},
                      meaning, std::move(older));
}

/// The phrase for a kind: "a whole number".
std::string kind_phrase(setting_kind kind);

} // namespace colloquy::config
