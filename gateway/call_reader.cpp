#include "gateway/call_reader.hpp"

#include "gateway/url.hpp"
#include "messages/content.hpp"
#include "messages/json_scan.hpp"
#include "messages/limits.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <charconv>

namespace colloquy::gateway {
namespace {

// Messages and metadata may be nested so deep, and stand so deep in a body themselves.
constexpr int body_depth_max = limits::json_depth_max + 3;
// Of documents and filters: what is too deep is told by who reads it, with its place.
constexpr int documents_depth_max = limits::document_depth_max * 10;

// What a delta of the service's own may be told from a caller's by.
constexpr std::string_view delta_names[] = {"turn_id", "is_text_so_far", "is_cut"};

class call_read {
public:
  call_read(const operation& of, const call_headers& headers, const size_limits& limits)
    : of_(of)
    , headers_(headers)
    , reader_(limits) {}

  call_reading run(const std::vector<std::string>& parameters, std::string_view query, std::string_view body) {
    read_path(parameters);
    read_query(query);
    read_headers();
    read_body(body);
    out_.mistakes = reader_.mistakes();
    out_.mistake_count = reader_.count();
    out_.is_too_large = reader_.is_too_large();
    return std::move(out_);
  }

private:
  void read_path(const std::vector<std::string>& parameters) {
    for (std::size_t i = 0; i < of_.path_fields.size() && i < parameters.size(); ++i)
      reader_.read_parameter(mistake::place::path, of_.path_fields[i], parameters[i], out_.said.path);
  }

  void read_query(std::string_view query) {
    const auto pairs = parse_query(query);
    if (!pairs) {
      reader_.add({mistake::place::query, "", "the query has a % that is not followed by two hexadecimal digits"});
      return;
    }
    std::vector<std::string_view> seen;
    for (const auto& pair : *pairs) {
      const auto& name = pair.first;
      const auto rule = std::find_if(of_.query_fields.begin(), of_.query_fields.end(),
                                     [&](const field_rule& each) { return each.name == name; });
      if (!is_storable_text(name))
        reader_.add({mistake::place::query, "", "a parameter's name must be valid UTF-8 without NUL"});
      else if (rule == of_.query_fields.end())
        reader_.add({mistake::place::query, name, "there is no such parameter; " + suggestion(name, of_.query_fields)});
      else if (std::find(seen.begin(), seen.end(), rule->name) != seen.end())
        reader_.add({mistake::place::query, name, "is there twice"});
      else
        reader_.read_parameter(mistake::place::query, *rule, pair.second, out_.said.query);
      if (rule != of_.query_fields.end())
        seen.push_back(rule->name);
    }
    for (const auto& rule : of_.query_fields)
      if (rule.is_required && std::find(seen.begin(), seen.end(), rule.name) == seen.end())
        reader_.add({mistake::place::query, std::string(rule.name), "is missing; it must be " + allowed_by(rule)});
  }

  void complain(std::string_view header, std::string detail) {
    reader_.add({mistake::place::header, std::string(header), std::move(detail)});
  }

  void read_headers() {
    if (headers_.idempotency_key)
      read_idempotency_key(*headers_.idempotency_key);
    if (headers_.if_match && of_.traits.has_version)
      read_version(*headers_.if_match);
    if (headers_.last_event_id && of_.traits.may_stream) {
      out_.said.last_event_id = read_number(*headers_.last_event_id);
      if (!out_.said.last_event_id || *out_.said.last_event_id < -1)
        complain("Last-Event-ID", "is " + quoted(*headers_.last_event_id) + "; it must be an event's offset");
    }
  }

  void read_idempotency_key(std::string_view key) {
    // A proxy may send it everywhere; where nothing is made it means nothing. A key of ours cannot be shown twice.
    if (!of_.traits.is_repeatable) {
      if (of_.method == "POST" && of_.success == 201)
        complain("Idempotency-Key", "is not taken here: what is made here is shown only once");
      return;
    }
    const bool is_good = is_storable_text(key) && !key.empty() && count_characters(key) <= limits::name_chars_max;
    if (is_good)
      out_.said.idempotency_key.emplace(key);
    else
      complain("Idempotency-Key",
               "must be valid UTF-8 of 1 to " + std::to_string(limits::name_chars_max) + " characters");
  }

  void read_version(std::string_view text) {
    auto inside = text;
    if (inside.size() > 2 && inside.front() == '"' && inside.back() == '"')
      inside = inside.substr(1, inside.size() - 2);
    if (text == "*")
      return; // whatever its version
    out_.said.version = read_number(inside);
    if (!out_.said.version || *out_.said.version < 1)
      complain("If-Match", "is " + quoted(text) + "; it must be the session's version, as 3");
  }

  static std::optional<std::int64_t> read_number(std::string_view text) {
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
      return std::nullopt;
    return number;
  }

  void read_body(std::string_view body) {
    if (of_.takes == body_kind::none) {
      if (!body.empty())
        reader_.add({mistake::place::body, "", "this call takes no body"});
      return;
    }
    if (of_.takes == body_kind::ndjson) {
      out_.said.raw_body = body;
      return;
    }
    if (of_.takes == body_kind::rpc) {
      if (has_json_type())
        out_.said.raw_body = body;
      return;
    }
    if (body.empty() && of_.takes == body_kind::maybe)
      return;
    if (!has_json_type())
      return;
    if (of_.takes == body_kind::messages && !holds_many(body)) {
      if (auto message = reader_.read_message("", trimmed(body)))
        out_.said.messages.push_back(std::move(*message));
      return;
    }
    const auto depth_max = of_.traits.has_documents ? documents_depth_max : body_depth_max;
    if (auto checked = check_json(body, depth_max); !checked) {
      reader_.add({mistake::place::body, "", "the body is not what it must be: " + checked.failure().message});
      return;
    }
    body = trimmed(body);
    out_.said.raw_body = body;
    if (of_.takes == body_kind::documents && !holds_documents(body)) {
      if (reader_.read_document("", body))
        out_.said.documents.push_back(body);
      return;
    }
    if (of_.takes == body_kind::open_shape)
      reader_.read_open_object("", body, *of_.body, delta_names, out_.said.body);
    else
      reader_.read_object("", body, of_.body != nullptr ? *of_.body : nothing, out_.said.body);
    if (of_.takes == body_kind::messages)
      out_.said.messages = out_.said.body.messages("messages");
    if (of_.takes == body_kind::documents)
      out_.said.documents =
          out_.said.body.maybe<std::vector<std::string_view>>("documents").value_or(std::vector<std::string_view>());
  }

  bool has_json_type() {
    // Also because a page of any origin may send what has another type, or none, from whatever browser it is open in.
    const auto type = headers_.content_type.value_or("not there");
    const auto name = type.substr(0, type.find(';'));
    if (name.starts_with("application/json") || name.starts_with("application/merge-patch+json"))
      return true;
    complain("Content-Type", "is " + quoted(type) + "; it must be application/json");
    return false;
  }

  /// Whether a body is meant as {"messages": [...]}; what is neither is told as a message.
  static bool holds_many(std::string_view body) {
    const auto members = split_object(body);
    return members &&
           std::any_of(members->begin(), members->end(), [](const raw_member& each) { return each.key == "messages"; });
  }

  /// Whether a body is meant as {"documents": [...]}: a document may have such a field, too, but it has an id.
  static bool holds_documents(std::string_view body) {
    const auto members = split_object(body);
    const auto has = [&](const auto& test) { return members && std::any_of(members->begin(), members->end(), test); };
    return has([](const raw_member& each) { return each.key == "documents" && each.value.starts_with('['); }) &&
           !has([](const raw_member& each) { return each.key == "id"; });
  }

  static std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto from = std::min(text.find_first_not_of(blanks), text.size());
    return text.substr(from, text.find_last_not_of(blanks) - from + 1);
  }

  static constexpr shape_rule nothing{"Nothing", "No fields.", {}};

  const operation& of_;
  const call_headers& headers_;
  field_reader reader_;
  call_reading out_;
};

} // namespace

call_reading read_call(const operation& of, const std::vector<std::string>& parameters, std::string_view query,
                       const call_headers& headers, std::string_view body, const size_limits& limits) {
  return call_read(of, headers, limits).run(parameters, query, body);
}

} // namespace colloquy::gateway
