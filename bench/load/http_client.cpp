#include "bench/load/http_client.hpp"

#include "bench/load/http_listeners.hpp"

#include <boost/asio/steady_timer.hpp>

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <memory>
#include <utility>

namespace colloquy::load {
namespace {

using namespace std::chrono_literals;
using json = nlohmann::ordered_json;

constexpr auto metric_poll = 50ms;
constexpr auto metric_wait_max = 60s;

error error_of(const http_reply& reply) {
  error why{error_code::internal, reply.status == 0 ? reply.body : "HTTP " + std::to_string(reply.status)};
  const auto problem = json::parse(reply.body, nullptr, false);
  if (problem.is_object()) {
    const auto code = problem.value("code", "");
    for (const auto each : {error_code::overloaded, error_code::quota_exceeded, error_code::not_found,
                            error_code::invalid_request, error_code::deadline_exceeded, error_code::unauthenticated})
      if (to_string(each) == code)
        why.code = each;
    why.message += " " + code + ": " + problem.value("detail", problem.value("title", ""));
  }
  if (reply.retry_after_s)
    why.retry_after = std::chrono::seconds(*reply.retry_after_s);
  return why;
}

std::string path_of(const session_key& session, const char* rest) {
  return "/v1/sessions/" + session.id.to_string() + rest;
}

/// The messages as the JSON array that a body has.
std::string array_of(const std::vector<event_input>& events) {
  std::string text = "[";
  for (const auto& each : events)
    text += (text.size() > 1 ? "," : "") + each.data;
  return text + "]";
}

std::string where_of(const document_filter& where) {
  json test;
  if (where.kind == document_filter::what::test)
    test[where.test.field][std::string(to_string(where.test.op))] = where.test.operands.front().text;
  return test.is_null() ? "{}" : test.dump();
}

history_page history_of(const json& items) {
  history_page page;
  for (const auto& each : items) {
    event message;
    message.offset = each.at("offset").get<event_offset>();
    page.messages.push_back(std::move(message));
  }
  return page;
}

} // namespace

http_client::http_client(http_exchanges& exchanges, std::vector<std::string> keys)
  : exchanges_(exchanges) {
  if (keys.empty())
    keys.emplace_back();
  for (auto& each : keys) { // the names are our own: the key says which tenant it is
    tenants_.push_back(tenant_id::parse("key-" + std::to_string(tenants_.size())).value_or(tenant_id()));
    keys_.emplace(tenants_.back().text(), std::move(each));
  }
}

template <class T, class Read>
void http_client::call(http_exchanges::request wanted, answer<T> then, Read read) {
  exchanges_.send(wanted, [then = std::move(then), read = std::move(read)](http_reply& reply) {
    result<T> given = error{};
    if (reply.status < 200 || reply.status > 299) {
      given = error_of(reply);
    } else {
      try {
        given = read(reply.body.empty() ? json() : json::parse(reply.body));
      } catch (const json::exception& why) {
        given = error{error_code::internal, std::string("a reply that cannot be read: ") + why.what()};
      }
    }
    then(given);
  });
}

void http_client::ask(create_session request, answer<session_record> then) {
  json body{{"user_id", request.user_id}};
  call<session_record>({"POST", "/v1/sessions", key_of(request.tenant), body.dump()}, std::move(then),
                       [tenant = request.tenant](const json& made) -> result<session_record> {
                         session_record record;
                         record.key.tenant = tenant;
                         const auto id = session_id::parse(made.at("id").get<std::string>());
                         if (!id)
                           return error{error_code::internal, "a session's id is none"};
                         record.key.id = *id;
                         return record;
                       });
}

void http_client::ask(append_events request, answer<appended> then) {
  auto path = request.turn ? path_of(request.session, "/turns/") + request.turn->to_string() + "/messages"
                           : path_of(request.session, "/messages");
  const bool is_durable = request.wanted == durability::durable;
  path += is_durable ? "?durability=durable" : "?durability=accepted";
  auto body =
      request.events.size() == 1 ? request.events.front().data : R"({"messages":)" + array_of(request.events) + "}";
  call<appended>({"POST", std::move(path), key_of(request.session.tenant), std::move(body)}, std::move(then),
                 [is_durable](const json& given) -> result<appended> {
                   const auto& offsets = given.at("offsets");
                   if (given.at("durability") != (is_durable ? "durable" : "accepted"))
                     return error{error_code::internal, "an append was answered with another durability"};
                   return appended{offsets.at(0).get<event_offset>(), offsets.size(), durability::accepted};
                 });
}

void http_client::ask(read_history request, answer<history_page> then) {
  auto path = path_of(request.session, "/messages?limit=") + std::to_string(request.limit);
  path += request.order == history_order::descending ? "&order=desc" : "&order=asc";
  call<history_page>({"GET", std::move(path), key_of(request.session.tenant)}, std::move(then),
                     [](const json& page) -> result<history_page> { return history_of(page.at("items")); });
}

void http_client::ask(read_events request, answer<event_page> then) {
  auto path = path_of(request.session, "/events?limit=") + std::to_string(request.limit) +
              "&after=" + std::to_string(request.after);
  if (!request.kinds.empty())
    path += "&kinds=message";
  call<event_page>({"GET", std::move(path), key_of(request.session.tenant)}, std::move(then),
                   [](const json& page) -> result<event_page> {
                     event_page found;
                     for (const auto& each : page.at("items")) {
                       event one;
                       one.offset = each.at("offset").get<event_offset>();
                       one.kind = each.at("kind") == "message" ? event_kind::message : event_kind::status;
                       one.data = each.at("data").dump(); // ours has nothing that would be written otherwise
                       found.events.push_back(std::move(one));
                     }
                     return found;
                   });
}

void http_client::ask(start_turn request, answer<granted_turn> then) {
  auto body =
      R"({"lease_s":)" + std::to_string(request.lease.count()) + R"(,"messages":)" + array_of(request.events) + "}";
  call<granted_turn>({"POST", path_of(request.session, "/turns"), key_of(request.session.tenant), std::move(body)},
                     std::move(then), [](const json& given) -> result<granted_turn> {
                       granted_turn granted;
                       granted.turn.id =
                           turn_id::parse(given.at("turn").at("id").get<std::string>()).value_or(turn_id());
                       const auto& history = given.at("history");
                       granted.history = history_of(history.is_array() ? history : history.at("items"));
                       return granted;
                     });
}

void http_client::ask(end_turn request, answer<turn_record> then) {
  auto path = path_of(request.session, "/turns/") + request.turn.to_string() + "/complete";
  const auto usage = request.usage.value_or(token_usage());
  auto body = R"({"usage":{"input_tokens":)" + std::to_string(usage.input_tokens) + R"(,"output_tokens":)" +
              std::to_string(usage.output_tokens) + R"(},"messages":)" + array_of(request.events) + "}";
  call<turn_record>({"POST", std::move(path), key_of(request.session.tenant), std::move(body)}, std::move(then),
                    [](const json&) -> result<turn_record> { return turn_record(); });
}

void http_client::ask(insert_documents request, answer<documents_inserted> then) {
  std::string body = R"({"documents":[)";
  for (const auto& each : request.documents)
    body += (body.ends_with('[') ? "" : ",") + each;
  call<documents_inserted>(
      {"POST", "/v1/collections/" + request.collection + "/documents", key_of(request.tenant), body + "]}"},
      std::move(then), [](const json&) -> result<documents_inserted> { return documents_inserted(); });
}

void http_client::ask(find_document request, answer<found_document> then) {
  call<found_document>({"POST", "/v1/collections/" + request.collection + "/find-one", key_of(request.tenant),
                        R"({"where":)" + where_of(request.where) + "}"},
                       std::move(then), [](const json& given) -> result<found_document> {
                         const auto& document = given.at("document");
                         return document.is_null() ? found_document() : found_document{document.dump()};
                       });
}

void http_client::ask(update_document request, answer<document_updated> then) {
  call<document_updated>({"POST", "/v1/collections/" + request.collection + "/update-one", key_of(request.tenant),
                          R"({"where":)" + where_of(request.where) + R"(,"set":)" + request.set + "}"},
                         std::move(then), [](const json& given) -> result<document_updated> {
                           document_updated done;
                           done.matched = given.at("matched").get<std::int64_t>();
                           return done;
                         });
}

void http_client::lease(const tenant_id& tenant, answer<lease_taken> then) {
  call<std::string>(
      {"POST", "/v1/database-sessions", key_of(tenant), "{}"},
      [this, tenant, then = std::move(then)](result<std::string>& id) {
        if (!id) {
          result<lease_taken> refused = id.failure();
          return then(refused);
        }
        call<lease_taken>({"DELETE", "/v1/database-sessions/" + *id, key_of(tenant)}, then,
                          [](const json&) -> result<lease_taken> { return lease_taken(); });
      },
      [](const json& made) -> result<std::string> { return made.at("id").get<std::string>(); });
}

void http_client::listen(const session_key& session, std::size_t listeners, std::function<void(event_offset)> heard,
                         answer<listeners_ready> then) {
  http_exchanges::request wanted{"GET", path_of(session, "/events"), key_of(session.tenant)};
  listen_over_http(exchanges_, wanted, listeners, std::move(heard), std::move(then));
}

void http_client::put_to_sleep(const std::vector<session_key>&, answer<std::size_t> then) {
  wait_for_metric("colloquy_sessions_resident", 0, steady::now() + metric_wait_max, [then](result<double> left) {
    result<std::size_t> awake = error{};
    if (left && *left > 0)
      awake =
          error{error_code::internal, std::to_string(static_cast<long>(*left)) +
                                          " sessions are awake still: over HTTP only their idle timeout puts them to "
                                          "sleep; start the service with --session-idle-timeout 1s"};
    else
      awake = left ? result<std::size_t>(std::size_t{0}) : result<std::size_t>(left.failure());
    then(awake);
  });
}

void http_client::flush_all(answer<flushed> then) {
  wait_for_metric("colloquy_undurable_bytes", 0, steady::now() + metric_wait_max, [then](result<double> left) {
    result<flushed> done = flushed();
    if (!left)
      done = left.failure();
    else if (*left > 0)
      done = error{error_code::internal, "what was accepted does not become durable"};
    then(done);
  });
}

void http_client::wait_for_metric(std::string name, double at_most, steady::time_point until,
                                  std::function<void(result<double>)> then) {
  exchanges_.send({"GET", "/metrics", key_of(tenants_.front())}, [this, name, at_most, until, then](http_reply& reply) {
    const auto at = ("\n" + reply.body).find("\n" + name + " ");
    if (reply.status != 200 || at == std::string::npos)
      return then(error{error_code::internal, "/metrics of the service does not tell " + name});
    const double value = std::strtod(reply.body.c_str() + at + name.size() + 1, nullptr);
    if (value <= at_most || steady::now() > until)
      return then(value);
    const auto timer = std::make_shared<boost::asio::steady_timer>(exchanges_.loop(), metric_poll);
    timer->async_wait([this, timer, name, at_most, until, then](const boost::system::error_code& ended) {
      if (!ended)
        wait_for_metric(name, at_most, until, then);
    });
  });
}

} // namespace colloquy::load
