// From what comes over HTTP to what the service is asked. The first byte says how the rest is meant:
//   c  OPERATION RS PATH PARAMETERS, / between RS QUERY RS HEADERS, a line each RS BODY
//   h  a whole request, as a client sends it
//   i  lines to import
//   p  a text: as a path, a time, a cursor, a query
// RS is the byte 0x1e.
#include "fuzz_input.hpp"
#include "value_checks.hpp"

#include "gateway/page_cursor.hpp"
#include "gateway/problem.hpp"
#include "gateway/request_head.hpp"
#include "gateway/rfc3339.hpp"
#include "gateway/router.hpp"
#include "gateway/url.hpp"
#include "messages/text_checks.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <chrono>
#include <map>

namespace colloquy::fuzz {
namespace {

using namespace gateway;
namespace http = boost::beast::http;

constexpr std::size_t bytes_max = 1 << 16;

// Small, so that what is over them fits into an input.
constexpr size_limits small{2048, 1024};

const router& routes() {
  static const router all;
  return all;
}

const operation& operation_named(std::string_view name) {
  for (const auto& each : operations())
    if (each.name == name)
      return each;
  return operations()[name.empty() ? 0 : static_cast<std::uint8_t>(name.front()) % operations().size()];
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(at), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

void read_and_check(const operation& of, const std::vector<std::string>& parameters, std::string_view query,
                    const call_headers& headers, std::string_view body) {
  check_reading(of, read_call(of, parameters, query, headers, body, small), body, small);
  if (of.takes == body_kind::ndjson)
    check_import(read_import(body, small, timestamp{std::chrono::hours{24 * 365 * 57}}), body, small);
}

void run_call(input_parts& from) {
  const auto& of = operation_named(from.part());
  std::vector<std::string> parameters;
  for (const auto part : split(from.part(), '/'))
    parameters.emplace_back(part);
  parameters.resize(of.path_fields.size()); // the router gives as many as there are
  const auto query = from.part();
  const auto lines = split(from.part(), '\n');
  const auto line = [&](std::size_t i) {
    return i < lines.size() && !lines[i].empty() ? std::optional(lines[i]) : std::nullopt;
  };
  read_and_check(of, parameters, query, {line(0), line(1), line(2), line(3)}, from.rest());
}

/// Whatever leads somewhere is written in one way only: each part as the table has it, or a parameter.
void check_route(const route_match& match, std::string_view path) {
  if (match.found == nullptr)
    return;
  const auto ours = split(match.found->path.substr(1), '/'), theirs = split(path.substr(1), '/');
  hold(ours.size() == theirs.size() && !path.ends_with('/'), "a path has as many parts as its call's", path);
  std::size_t parameter = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    std::string decoded;
    hold(!theirs[i].empty(), "no part of a path is empty", path);
    if (!ours[i].starts_with('{')) {
      hold(ours[i] == theirs[i], "what is no parameter is written as the call's", path);
      continue;
    }
    hold(theirs[i] != "." && theirs[i] != "..", "a dot leads nowhere", path);
    hold(percent_decode(theirs[i], decoded) && parameter < match.parameters.size() &&
             decoded == match.parameters[parameter],
         "a parameter is what stands there", path);
    ++parameter;
  }
  hold(parameter == match.parameters.size() && parameter == match.found->path_fields.size(),
       "there are as many parameters as the call has", path);
}

void run_request(std::string_view bytes) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(8 * 1024);
  parser.body_limit(bytes_max);
  parser.eager(true);
  boost::system::error_code problem;
  const auto used = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), problem);
  hold(used <= bytes.size(), "no more is read than there is", bytes);
  static const config::settings settings;
  if (problem && problem != http::error::need_more) {
    if (const auto why = why_broken(problem, settings))
      check_problem(make_problem(*why, "id"), bytes);
    return;
  }
  if (!parser.is_header_done())
    return;
  http_request request;
  if (const auto why = read_head(parser.get(), request))
    return check_problem(make_problem(*why, request.id), bytes);
  hold(request.path.starts_with('/'), "a path begins with a slash", bytes);
  hold(is_storable_text(request.id) && !request.id.empty() && request.id.size() <= 128, "an id is one", bytes);
  const auto match = routes().match(request.method, request.path);
  check_route(match, request.path);
  if (match.found != nullptr)
    read_and_check(*match.found, match.parameters, request.query, request.headers, parser.get().body());
}

void run_text(std::string_view text) {
  for (const auto method : {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "get", ""})
    check_route(routes().match(method, text), text);
  std::string decoded;
  hold(percent_decode(percent_encode(text), decoded) && decoded == text, "what is encoded is decoded the same", text);
  if (percent_decode(text, decoded))
    hold(decoded.size() <= text.size(), "decoding adds nothing", text);
  if (const auto pairs = parse_query(text)) {
    std::string again;
    for (const auto& [name, value] : *pairs)
      again += (again.empty() ? "" : "&") + percent_encode(name) + "=" + percent_encode(value);
    hold(parse_query(again) == pairs, "a query that is written again says the same", text);
  }
  if (const auto at = parse_rfc3339(text)) {
    hold(to_rfc3339(*at).size() == std::string_view("2026-01-31T12:00:00.000000Z").size(),
         "a time has four-digit years", text);
    hold(parse_rfc3339(to_rfc3339(*at)) == at, "a time is written as it is read", text);
  }
  for (const char kind : {'e', 'm', 't'})
    if (const auto at = from_cursor(kind, text))
      hold(to_cursor(kind, *at) == text, "a cursor is written in one way only", text);
}

} // namespace
} // namespace colloquy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace colloquy::fuzz;
  if (size > bytes_max)
    return 0;
  input_parts from(data, size);
  switch (from.byte()) {
  case 'c':
    run_call(from);
    break;
  case 'h':
    run_request(from.rest());
    break;
  case 'i':
    check_import(colloquy::gateway::read_import(from.rest(), small, colloquy::timestamp{std::chrono::hours{500'000}}),
                 from.rest(), small);
    break;
  default:
    run_text(from.rest());
    break;
  }
  return 0;
}
