// What is written: JSON, problems, heads of replies, metrics, the OpenAPI document.
#include "gateway/compress.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/metric_text.hpp"
#include "gateway/openapi.hpp"
#include "gateway/operations.hpp"
#include "gateway/problem.hpp"
#include "gateway/reply_head.hpp"
#include "messages/content.hpp"
#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>
#include <zlib.h>

#include <cmath>
#include <limits>

using namespace colloquy;
using namespace colloquy::gateway;
using nlohmann::json;
using test::ContainsSubstring;

namespace {

std::string unzipped(const std::string& packed) {
  std::string out(1 << 20, '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  CHECK(ended == Z_STREAM_END);
  return out;
}

http_request request_with(std::string_view origin) {
  http_request request;
  request.id = "r-1";
  request.origin = origin;
  return request;
}

std::string header_of(const http_reply& reply, std::string_view name) {
  for (const auto& [each, value] : reply.headers)
    if (each == name)
      return value;
  return "";
}

} // namespace

TEST_CASE("what the writer writes is JSON that reads back the same") {
  std::string text;
  std::string all;
  for (char c = 1; c < 127; ++c)
    all += c;
  json_writer to(text);
  to.open_object().member("text", all + "\u00e9\U0001f600").member("number", -5).member("big", INT64_MAX);
  to.member("truth", true).member("maybe", std::optional<int>()).member_or_null("empty", "").key("list").open_array();
  to.value(1).value("two").open_object().close_object().null().close_array();
  to.raw_member("raw", "{\"a\": 1}")
      .members_of("{ \"x\":1, \"y\":2 }")
      .members_of("{ }")
      .member("last", 0.5)
      .close_object();
  REQUIRE(check_json(text));
  const auto read = json::parse(text);
  CHECK(read["text"] == all + "\u00e9\U0001f600");
  CHECK(read["big"] == INT64_MAX);
  CHECK(read["empty"].is_null());
  CHECK(read["list"] == json::parse(R"([1,"two",{},null])"));
  CHECK(read["y"] == 2);
  CHECK(read["last"] == 0.5);
}

TEST_CASE("a number that JSON cannot say is null") {
  for (const double number : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    std::string text;
    json_writer(text).value(number);
    CHECK(text == "null");
  }
}

TEST_CASE("a problem says what the caller did, and nothing of what the database or the code said") {
  const auto quota = make_problem({error_code::quota_exceeded, "over", std::chrono::milliseconds{1200}}, "r-1");
  CHECK(quota.status == 429);
  CHECK(header_of(quota, "Retry-After") == "2");
  CHECK(json::parse(quota.body)["code"] == "quota_exceeded");
  CHECK(json::parse(quota.body)["request_id"] == "r-1");
  for (const auto code : {error_code::internal, error_code::database_unavailable}) {
    const auto hidden = make_problem({code, "password=hunter2"}, "r-1");
    CHECK(hidden.body.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("every mistake is in the problem, with its pointer, parameter or header") {
  call_reading wrong;
  wrong.mistakes = {{mistake::place::body, "/a", "is \"b\""},
                    {mistake::place::query, "limit", "is 0"},
                    {mistake::place::header, "If-Match", "is x"}};
  wrong.mistake_count = 7;
  const auto told = json::parse(make_problem(wrong, "r").body);
  CHECK(told["status"] == 400);
  CHECK(told["errors"][0] == json::parse(R"({"pointer":"/a","detail":"is \"b\""})"));
  CHECK(told["errors"][1]["parameter"] == "limit");
  CHECK(told["errors"][2]["header"] == "If-Match");
  CHECK_THAT(told["detail"].get<std::string>(), ContainsSubstring("and 6 more"));
  wrong.is_too_large = true;
  CHECK(json::parse(make_problem(wrong, "r").body)["status"] == 413);
}

TEST_CASE("no value breaks out of its header") {
  auto request = request_with("o");
  http_reply reply;
  reply.headers.emplace_back("Location", "/a\r\nSet-Cookie: b");
  const auto head = reply_head(request, reply, {.body_bytes = 5});
  CHECK(head.find("\nSet-Cookie") == std::string::npos);
  CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK_THAT(head, ContainsSubstring("Content-Length: 5\r\n"));
  CHECK_THAT(head, ContainsSubstring("X-Request-Id: r-1\r\n"));
  CHECK_THAT(head, ContainsSubstring("Cache-Control: no-store\r\n"));
}

TEST_CASE("a head says how the body ends: its length, its chunks, or the connection") {
  const auto request = request_with("o");
  http_reply reply;
  CHECK_THAT(reply_head(request, reply, {.is_stream = true}), ContainsSubstring("Transfer-Encoding: chunked"));
  const auto old = reply_head(request, reply, {.closes = true, .is_old = true, .is_stream = true});
  CHECK(old.find("Transfer-Encoding") == std::string::npos);
  CHECK_THAT(old, ContainsSubstring("Connection: close"));
  reply.status = 204;
  CHECK(reply_head(request, reply, {}).find("Content-Length") == std::string::npos);
}

TEST_CASE("only an origin that is set may read a reply, and never half of one") {
  const std::optional<std::string> set = "https://a.example,https://b.example";
  CHECK(allowed_origin(set, request_with("https://b.example")) == "https://b.example");
  for (const auto* other : {"https://a.exampl", "https://a.example.org", "http://a.example", "null", "",
                            "https://a.example,https://b.example"})
    CHECK_FALSE(allowed_origin(set, request_with(other)).has_value());
  CHECK(allowed_origin("*", request_with("null")) == "*");
  CHECK_FALSE(allowed_origin(std::nullopt, request_with("https://a.example")).has_value());
  http_reply reply;
  add_cors(reply, set, request_with("https://evil.example"));
  CHECK(header_of(reply, "Vary") == "Origin");
  CHECK(header_of(reply, "Access-Control-Allow-Origin").empty());
}

TEST_CASE("gzip is taken by who says so, and gives back what it was given") {
  for (const auto* yes : {"gzip", "br, gzip;q=0.5", "*", "gzip ; q=1"})
    CHECK(takes_gzip(yes));
  for (const auto* no : {"", "br", "gzip;q=0", "gzip;q=0.000", "xgzip", "identity"})
    CHECK_FALSE(takes_gzip(no));
  const std::string text(50'000, 'a');
  const auto packed = gzip(text);
  REQUIRE(packed);
  CHECK(packed->size() < text.size() / 10);
  CHECK(unzipped(*packed) == text);
  CHECK_FALSE(gzip("a").has_value()); // it would be larger
}

TEST_CASE("metrics are lines with their labels escaped, buckets counted up") {
  metric_text text;
  text.begin("a_total", "counter", "Of a.").sample(std::uint64_t{3}, {{"path", "a\"b\\c\nd"}});
  metric_histogram times;
  times.add(0.001); // a bound belongs to its bucket
  times.add(0.02);
  times.add(99);
  text.begin("t_seconds", "histogram", "Times.").sample(times);
  const auto said = std::move(text).take();
  CHECK_THAT(said, ContainsSubstring("# TYPE a_total counter\na_total{path=\"a\\\"b\\\\c\\nd\"} 3\n"));
  CHECK_THAT(said, ContainsSubstring("t_seconds_bucket{le=\"0.0005\"} 0\nt_seconds_bucket{le=\"0.001\"} 1\n"));
  CHECK_THAT(said, ContainsSubstring("t_seconds_bucket{le=\"30\"} 2\nt_seconds_bucket{le=\"+Inf\"} 3\n"));
  CHECK_THAT(said, ContainsSubstring("t_seconds_count 3\n"));
}

TEST_CASE("the OpenAPI document is JSON, names every operation, and refers to nothing that is not there") {
  const auto& text = openapi_document();
  REQUIRE(check_json(text));
  const auto document = json::parse(text);
  CHECK(document["openapi"].get<std::string>().starts_with("3.1"));
  for (const auto& each : operations()) {
    std::string method(each.method);
    for (auto& c : method)
      c = static_cast<char>(c | 0x20);
    CAPTURE(each.name, each.path);
    REQUIRE(document["paths"].contains(std::string(each.path)));
    const auto& call = document["paths"][std::string(each.path)];
    REQUIRE(call.contains(method));
    CHECK(call[method]["operationId"] == each.name);
    CHECK(call[method]["responses"].contains(std::to_string(each.success)));
  }
  const std::string mark = "\"#/components/schemas/";
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const auto from = at + mark.size();
    CHECK(document["components"]["schemas"].contains(text.substr(from, text.find('"', from) - from)));
  }
}
