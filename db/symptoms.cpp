#include "db/symptoms.hpp"

#include "db/symptoms_admission.hpp"
#include "db/symptoms_service.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace colloquy::db {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// What stands behind the words; nothing where they are not found.
std::optional<std::string_view> behind(std::string_view message, std::string_view words) noexcept {
  const auto found = std::search(message.begin(), message.end(), words.begin(), words.end(),
                                 [](char a, char b) { return lower(a) == lower(b); });
  if (found == message.end() && !words.empty())
    return std::nullopt;
  return message.substr(static_cast<std::size_t>(found - message.begin()) + words.size());
}

/// Takes what stands before `separator` off the front.
std::string_view take_part(std::string_view& rest, char separator) noexcept {
  const auto part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  return part;
}

/// The parts between the stars, one after the other.
bool contains(std::string_view message, std::string_view pattern) noexcept {
  std::optional<std::string_view> rest = message;
  while (rest && !pattern.empty())
    rest = behind(*rest, take_part(pattern, '*'));
  return rest.has_value();
}

bool contains_one_of(std::string_view message, std::string_view alternatives) noexcept {
  while (!alternatives.empty())
    if (contains(message, take_part(alternatives, '|')))
      return true;
  return false;
}

/// Errors that carry a statement's own words, or values: a pooler's text in them is nobody's symptom.
bool repeats_the_statement(std::string_view sqlstate) noexcept {
  static constexpr std::string_view classes[] = {"22", "23", "42", "44", "54", "P0", "CQ"};
  return std::find(std::begin(classes), std::end(classes), sqlstate.substr(0, 2)) != std::end(classes);
}

/// Those under which poolers hand on what a server has said to them; they tell nothing.
bool is_a_poolers(std::string_view sqlstate) noexcept {
  return sqlstate == "08P01" || sqlstate == "XX000";
}

bool fits(const symptom& known, std::string_view sqlstate, std::string_view message) noexcept {
  if (known.text.empty())
    return !sqlstate.empty() && sqlstate.starts_with(known.sqlstate);
  if (known.sqlstate.empty() && repeats_the_statement(sqlstate))
    return false;
  if (!sqlstate.empty() && !is_a_poolers(sqlstate) && !sqlstate.starts_with(known.sqlstate))
    return false;
  return contains_one_of(message, known.text);
}

template <std::size_t... N>
constexpr auto joined(const symptom (&... tables)[N]) {
  std::array<symptom, (N + ...)> all{};
  auto out = all.begin();
  ((out = std::copy(std::begin(tables), std::end(tables), out)), ...);
  return all;
}

constexpr auto all_symptoms = joined(tables::server_while_connecting, tables::supavisor, tables::pgbouncer,
                                     tables::transport, tables::network, tables::statements, tables::sqlstates);

} // namespace

std::span<const symptom> symptoms() noexcept {
  return all_symptoms;
}

const symptom* find_symptom(std::string_view sqlstate, std::string_view message) noexcept {
  const auto found = std::find_if(all_symptoms.begin(), all_symptoms.end(),
                                  [&](const symptom& known) { return fits(known, sqlstate, message); });
  return found == all_symptoms.end() ? nullptr : &*found;
}

retry_action action_for(failure_kind kind) noexcept {
  switch (kind) {
  case failure_kind::retry:
    return retry_action::retry_now;
  case failure_kind::wait:
    return retry_action::retry_later;
  case failure_kind::connection_lost:
    return retry_action::outcome_unknown;
  case failure_kind::data:
  case failure_kind::fence:
  case failure_kind::fault:
    break;
  }
  return retry_action::never;
}

std::string_view to_string(retry_action action) noexcept {
  switch (action) {
  case retry_action::retry_now:
    return "retry now";
  case retry_action::retry_later:
    return "retry later";
  case retry_action::never:
    return "never";
  case retry_action::outcome_unknown:
    break;
  }
  return "outcome unknown";
}

std::string_view to_string(connect_trouble trouble) noexcept {
  switch (trouble) {
  case connect_trouble::none:
    return "none";
  case connect_trouble::credentials:
    return "credentials";
  case connect_trouble::too_many_connections:
    return "too many connections";
  case connect_trouble::network:
    return "network";
  case connect_trouble::starting_up:
    return "starting up";
  case connect_trouble::transaction_mode:
    return "transaction mode";
  case connect_trouble::certificate:
    return "certificate";
  case connect_trouble::other:
    break;
  }
  return "other";
}

db_failure make_failure(std::string sqlstate, std::string message, bool while_connecting) {
  const auto* known = find_symptom(sqlstate, message);
  auto kind = known ? known->kind : sqlstate.empty() ? failure_kind::connection_lost : classify_sqlstate(sqlstate);
  if (while_connecting && kind == failure_kind::connection_lost)
    kind = failure_kind::wait;
  return {kind, std::move(sqlstate), std::move(message), known};
}

std::string describe(const db_failure& failure) {
  if (!failure.known)
    return failure.message;
  return failure.message + " — " + std::string(failure.known->advice);
}

} // namespace colloquy::db
