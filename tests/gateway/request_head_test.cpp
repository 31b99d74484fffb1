#include "gateway/request_head.hpp"
#include "tests/support/catch.hpp"

#include <boost/beast/http/fields.hpp>

#include <string>

using namespace colloquy;
using namespace colloquy::gateway;
using test::ContainsSubstring;
namespace http = boost::beast::http;

namespace {

struct head {
  explicit head(std::string target = "/v1/sessions") {
    fields.method(http::verb::get);
    fields.target(target);
    fields.version(11);
    fields.insert("Host", "localhost");
  }
  head& with(const std::string& name, const std::string& value) {
    fields.insert(name, value);
    return *this;
  }
  /// "" if it is taken.
  std::string why_not() {
    const auto why = read_head(fields, request);
    return why ? why->message : "";
  }

  http::request_header<> fields;
  http_request request;
};

} // namespace

TEST_CASE("path and query are parted, and an absolute target is as good as a path") {
  head plain("/v1/sessions?limit=1?x");
  CHECK(plain.why_not().empty());
  CHECK(plain.request.path == "/v1/sessions");
  CHECK(plain.request.query == "limit=1?x");
  head absolute("http://other.example/v1/sessions?a");
  CHECK(absolute.why_not().empty());
  CHECK(absolute.request.path == "/v1/sessions");
  head bare("http://other.example");
  CHECK(bare.why_not().empty());
  CHECK(bare.request.path == "/");
}

TEST_CASE("what is no path is refused, in text that can be shown") {
  for (const std::string target : {"*", "localhost:80", "v1", "/a#b", "/a b", "/\xff", "ftp://a/b"})
    CHECK_THAT(head(target).why_not(), ContainsSubstring("is not a path"));
  CHECK(head("/\xff").why_not().find('\xff') == std::string::npos);
  CHECK_THAT(head("/" + std::string(9000, 'a')).why_not(), ContainsSubstring("8192"));
}

TEST_CASE("a header that is there twice is refused, where one of them would have to be chosen") {
  for (const std::string name : {"Host", "Authorization", "Content-Type", "Idempotency-Key", "If-Match",
                                 "Last-Event-ID", "Origin", "Access-Control-Request-Method", "Transfer-Encoding"}) {
    CAPTURE(name);
    head twice;
    twice.with(name, "chunked").with(name, "chunked");
    CHECK_FALSE(twice.why_not().empty());
  }
  CHECK(head().with("Accept", "a").with("Accept", "b").why_not().empty());
}

TEST_CASE("a request of HTTP/1.1 has a host") {
  head none;
  none.fields.erase("Host");
  CHECK_FALSE(none.why_not().empty());
  none.fields.version(10);
  CHECK(none.why_not().empty());
}

TEST_CASE("the only encoding of a body is chunked") {
  CHECK(head().with("Transfer-Encoding", "chunked").why_not().empty());
  CHECK(head().with("Transfer-Encoding", "Chunked").why_not().empty());
  for (const std::string other : {"gzip", "identity", "xchunked", "gzip, chunked", "chunked, chunked", ""})
    CHECK_THAT(head().with("Transfer-Encoding", other).why_not(), ContainsSubstring("chunked, once"));
  head old;
  old.fields.version(10);
  CHECK_FALSE(old.with("Transfer-Encoding", "chunked").why_not().empty());
}

TEST_CASE("a request's id is the caller's, if no log can be broken with it") {
  head good;
  CHECK(good.with("X-Request-Id", "a-1:b").why_not().empty());
  CHECK(good.request.id == "a-1:b");
  for (const std::string wrong : {"", "a b", "a\"b", "a\\b", "\xff", "a\tb"}) {
    head bad;
    CHECK(bad.with("X-Request-Id", wrong).why_not().empty());
    CHECK(bad.request.id.size() == 36);
  }
  head long_one;
  CHECK(long_one.with("X-Request-Id", std::string(129, 'a')).why_not().empty());
  CHECK(long_one.request.id.size() == 36);
}
