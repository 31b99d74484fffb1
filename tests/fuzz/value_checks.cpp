#include "value_checks.hpp"

#include "fuzz_input.hpp"

#include "gateway/field_reader.hpp"
#include "gateway/problem.hpp"
#include "gateway/rfc3339.hpp"
#include "messages/content.hpp"
#include "messages/text_checks.hpp"

#include <string>

namespace colloquy::fuzz {
namespace {

using namespace gateway;

constexpr std::int64_t name_chars_max = limits::name_chars_max;

/// Where values came from, and what they may be.
struct source {
  std::string_view body;
  const size_limits& limits;
};

bool is_piece(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

bool has_range(const field_rule& rule, std::int64_t value) {
  return value >= rule.least && value <= rule.most;
}

bool is_word(const field_rule& rule, std::string_view text) {
  return std::find(rule.words.begin(), rule.words.end(), text) != rule.words.end();
}

void check_text(std::string_view text, std::int64_t least, std::int64_t most, std::string_view of) {
  const auto characters = static_cast<std::int64_t>(count_characters(text));
  hold(is_storable_text(text), "a text can be stored", of);
  hold(characters >= least && characters <= most, "a text has a length that is allowed", of);
}

void check_time(timestamp at, std::string_view of) {
  hold(parse_rfc3339(to_rfc3339(at)) == at, "a time is written as it is read", of);
}

void check_json_value(std::string_view json, const source& from) {
  hold(is_piece(json, from.body), "JSON is kept as the piece of the body that it was", from.body);
  hold(check_json(json).has_value(), "JSON that is kept is JSON, and not too deep", json);
}

void check_message(const event_input& message, const source& from) {
  hold(message.kind == event_kind::message, "a message is one", from.body);
  hold(from.body.find(message.data) != std::string_view::npos, "a message is kept as it came", from.body);
  hold(message.data.size() <= from.limits.message_bytes_max, "a message is not too large", from.body);
  const auto again = parse_message(message.data);
  hold(again.has_value(), "a message that is kept can be read", message.data);
  hold(again->role == message.role && again->tokens == message.tokens && again->tool_call_id == message.tool_call_id &&
           again->tool_call_ids == message.tool_call_ids,
       "a message says what it said", message.data);
}

void check_fields(std::span<const field_rule> rules, const values& said, const source& from);

void check_list(const field_rule& rule, const values& said, const source& from) {
  if (const auto* json = said.get<std::string_view>(rule.name))
    return check_json_value(*json, from);
  if (const auto* words = said.get<std::vector<std::string>>(rule.name)) {
    hold(has_range(rule, static_cast<std::int64_t>(words->size())), "there are as many words as allowed", from.body);
    for (const auto& word : *words)
      hold(is_word(rule, word) && std::count(words->begin(), words->end(), word) == 1, "words are known, and once",
           from.body);
    return;
  }
  const auto* messages = said.get<std::vector<event_input>>(rule.name);
  hold(messages != nullptr && rule.kind == field_kind::message_list, "a list is read as one", rule.name);
  hold(has_range(rule, static_cast<std::int64_t>(messages->size())), "there are as many as allowed", from.body);
  for (const auto& message : *messages)
    check_message(message, from);
}

void check_document_text(std::string_view json, const source& from) {
  hold(is_piece(json, from.body), "a document is kept as the piece of the body that it was", from.body);
  hold(check_document(json, from.limits.document_bytes_max).has_value(), "a document that is kept is one", json);
}

void check_pairs(const field_rule& rule, const text_pairs& pairs) {
  hold(static_cast<std::int64_t>(pairs.size()) <= rule.most, "there are as many fields as allowed", rule.name);
  for (const auto& [name, value] : pairs) {
    hold(is_storable_text(name), "a field's name can be stored", rule.name);
    hold(rule.kind == field_kind::text_map ? is_storable_text(value)
                                           : check_json(value, limits::document_depth_max - 1).has_value(),
         "a field's value is what it must be", rule.name);
  }
}

void check_sort(const field_rule& rule, const document_sort& sort) {
  const auto* fields = std::get_if<std::vector<field_order>>(&sort);
  hold(fields == nullptr || rule.kind == field_kind::first_order, "fields are ordered by where they may be", rule.name);
  hold(fields == nullptr || (!fields->empty() && fields->size() <= limits::sort_fields_max),
       "there are as many fields as allowed", rule.name);
}

void check_start(const field_rule& rule, const document_start& start) {
  if (const auto* cursor = std::get_if<std::string>(&start))
    check_text(*cursor, 1, rule.most, rule.name);
  if (const auto* place = std::get_if<document_position>(&start))
    check_text(place->id, 1, name_chars_max, rule.name);
}

/// Of documents and stores. False: it is of something else.
bool check_document_field(const field_rule& rule, const values& said, const source& from) {
  if (rule.kind == field_kind::shape_list) {
    const auto* all = said.get<std::vector<std::shared_ptr<const values>>>(rule.name);
    hold(all != nullptr && has_range(rule, static_cast<std::int64_t>(all->size())), "a list is read as one", rule.name);
    for (const auto& each : *all)
      check_fields(rule.shape->fields, *each, from);
  } else if (const auto* pairs = said.get<text_pairs>(rule.name)) {
    check_pairs(rule, *pairs);
  } else if (const auto* sort = said.get<document_sort>(rule.name)) {
    check_sort(rule, *sort);
  } else if (const auto* start = said.get<document_start>(rule.name)) {
    check_start(rule, *start);
  } else if (const auto* documents = said.get<std::vector<std::string_view>>(rule.name)) {
    hold(has_range(rule, static_cast<std::int64_t>(documents->size())), "there are as many as allowed", from.body);
    for (const auto each : *documents)
      check_document_text(each, from);
  } else if (rule.kind == field_kind::document_change) {
    const auto json = said.raw_or(rule.name, "");
    hold(check_document_changes(json, from.limits.document_bytes_max).has_value(), "a change is one", json);
  } else if (rule.kind == field_kind::text_list) {
    const auto* texts = said.get<std::vector<std::string>>(rule.name);
    hold(texts != nullptr && has_range(rule, static_cast<std::int64_t>(texts->size())), "a list is read as one",
         rule.name);
  } else {
    return rule.kind == field_kind::filter && said.get<document_filter>(rule.name) != nullptr;
  }
  return true;
}

void check_field(const field_rule& rule, const values& said, const source& from) {
  if (check_document_field(rule, said, from))
    return;
  switch (rule.kind) {
  case field_kind::text:
    hold(said.text(rule.name).has_value(), "a text is read as one", rule.name);
    return check_text(*said.text(rule.name), rule.least, rule.most, rule.name);
  case field_kind::word:
    return hold(said.text(rule.name) && is_word(rule, *said.text(rule.name)), "a word is a known one", rule.name);
  case field_kind::integer:
    return hold(said.integer(rule.name) && has_range(rule, *said.integer(rule.name)), "a number is in its range",
                rule.name);
  case field_kind::boolean:
    return hold(said.get<bool>(rule.name) != nullptr, "a truth is read as one", rule.name);
  case field_kind::time:
    hold(said.get<timestamp>(rule.name) != nullptr, "a time is read as one", rule.name);
    return check_time(*said.get<timestamp>(rule.name), from.body);
  case field_kind::uuid:
    return hold(said.get<uuid_bytes>(rule.name) != nullptr, "an id is read as one", rule.name);
  case field_kind::json_object:
    hold(said.raw_or(rule.name, "").starts_with('{'), "an object is one", rule.name);
    hold(said.raw_or(rule.name, "").size() <= from.limits.metadata_bytes_max, "metadata is not too large", rule.name);
    return check_json_value(said.raw_or(rule.name, ""), from);
  case field_kind::content:
  case field_kind::any:
    return check_json_value(said.raw_or(rule.name, ""), from);
  case field_kind::shape:
    hold(said.shape(rule.name) != nullptr, "an object is read as its shape", rule.name);
    return check_fields(rule.shape->fields, *said.shape(rule.name), from);
  default:
    return check_list(rule, said, from);
  }
}

void check_fields(std::span<const field_rule> rules, const values& said, const source& from) {
  for (const auto& rule : rules) {
    if (!said.has(rule.name))
      hold(!rule.is_required, "what must be there is there", rule.name);
    else if (said.is_null(rule.name))
      hold(rule.may_be_null, "what is null may be null", rule.name);
    else
      check_field(rule, said, from);
  }
}

void check_mistakes(const std::vector<mistake>& mistakes, std::size_t count, std::string_view of) {
  hold(!mistakes.empty() && mistakes.size() <= mistakes_max && count >= mistakes.size(), "a refusal has mistakes", of);
  for (const auto& each : mistakes) {
    hold(!each.detail.empty(), "a mistake is told", of);
    hold(is_storable_text(each.detail) && is_storable_text(each.where), "a mistake is told in text", of);
    hold(each.in != mistake::place::body || each.where.empty() || each.where.front() == '/', "a pointer is one", of);
  }
}

void check_piece(const session_to_import::piece& piece, const source& from) {
  const auto count = piece.events.size();
  hold(count > 0 && count <= limits::events_per_append_max, "a piece can be appended", from.body);
  hold(piece.log.created_at.size() == count && piece.log.turns.size() == count && piece.log.authors.size() == count,
       "each event has its time, turn and author", from.body);
  for (const auto& each : piece.events) {
    hold(from.body.find(each.data) != std::string_view::npos, "an event is kept as it came", from.body);
    hold(check_json(each.data).has_value(), "an event's data is JSON, and not too deep", each.data);
    hold(each.data.size() <= from.limits.message_bytes_max, "an event is not too large", from.body);
    check_text(each.source, 0, name_chars_max, "source");
    check_text(each.trace_id, 0, name_chars_max, "trace_id");
  }
  for (const auto at : piece.log.created_at)
    check_time(at, from.body);
  for (const auto& author : piece.log.authors)
    check_text(author, 0, name_chars_max, "author");
  for (const auto& turn : piece.log.ended_turns) {
    hold(turn.ended_at && turn.status != turn_status::queued && turn.status != turn_status::running,
         "a turn that is imported has ended", from.body);
    hold(turn.number >= 0 && (!turn.usage || (turn.usage->input_tokens >= 0 && turn.usage->output_tokens >= 0)),
         "what a turn counts is not below 0", from.body);
  }
}

} // namespace

void check_reading(const operation& of, const call_reading& reading, std::string_view body, const size_limits& limits) {
  if (!reading.is_good()) {
    check_mistakes(reading.mistakes, reading.mistake_count, body);
    return check_problem(make_problem(reading, "id"), body);
  }
  hold(reading.mistakes.empty() && !reading.is_too_large, "what is taken has no mistakes", body);
  const source from{body, limits};
  const auto& said = reading.said;
  check_fields(of.path_fields, said.path, from);
  check_fields(of.query_fields, said.query, from);
  if (of.body != nullptr && (of.takes == body_kind::shape || !said.raw_body.empty()) &&
      (of.takes != body_kind::messages || said.body.has("messages")) &&
      (of.takes != body_kind::documents || said.body.has("documents")))
    check_fields(of.body->fields, said.body, from);
  if (of.takes == body_kind::messages)
    hold(!said.messages.empty() && said.messages.size() <= limits::events_per_append_max, "messages are there", body);
  for (const auto& message : said.messages)
    check_message(message, from);
  for (const auto each : said.documents)
    check_document_text(each, from);
  if (of.takes == body_kind::open_shape)
    hold(check_json(said.raw_body, limits::json_depth_max + 3).has_value(), "what is passed on is JSON", body);
  if (said.idempotency_key)
    check_text(*said.idempotency_key, 1, name_chars_max, "Idempotency-Key");
  hold(said.version.value_or(1) >= 1 && said.last_event_id.value_or(0) >= -1, "headers' numbers are in range", body);
}

void check_import(const import_reading& reading, std::string_view body, const size_limits& limits) {
  if (reading.mistake_count > 0) {
    hold(reading.sessions.empty(), "with a mistake nothing is imported", body);
    return check_mistakes(reading.mistakes, reading.mistake_count, body);
  }
  const source from{body, limits};
  for (const auto& session : reading.sessions) {
    check_text(session.wanted.user_id, 1, name_chars_max, "user_id");
    check_text(session.wanted.agent_id.value_or("a"), 1, name_chars_max, "agent_id");
    check_text(session.wanted.external_id.value_or("a"), 1, name_chars_max, "external_id");
    check_text(session.wanted.title.value_or(""), 0, limits::title_chars_max, "title");
    hold(check_json(session.wanted.metadata).has_value(), "metadata is JSON, and not too deep", body);
    std::size_t events = 0, turns = 0;
    for (const auto& piece : session.pieces) {
      check_piece(piece, from);
      events += piece.events.size();
      turns += piece.log.ended_turns.size();
    }
    hold(events == session.events && turns == session.turns, "what is counted is there", body);
    for (const auto& each : session.participants)
      check_text(each.user_id, 1, name_chars_max, "participant");
  }
}

void check_problem(const http_reply& reply, std::string_view of) {
  hold(reply.status >= 400 && reply.status < 600, "a problem is one", of);
  hold(check_json(reply.body).has_value(), "a problem is JSON", reply.body);
}

} // namespace colloquy::fuzz
