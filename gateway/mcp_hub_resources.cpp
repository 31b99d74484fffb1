// Resources, and those who want to hear when they change.
#include "gateway/edge.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_http_sessions.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/stream_place.hpp"
#include "messages/json_scan.hpp"

#include <boost/asio/redirect_error.hpp>

#include <algorithm>

namespace colloquy::gateway::mcp {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr std::string_view subscription_key = "io.modelcontextprotocol/subscriptionId";
/// How often one who listens is looked after: whether its key is still good.
constexpr auto look_interval = 5s;

void write_resource(json_writer& to, const resource& each, std::string_view uri_name) {
  to.open_object().member("name", each.name);
  if (!each.title.empty())
    to.member("title", each.title);
  to.member(uri_name, each.uri);
  if (!each.description.empty())
    to.member("description", each.description);
  if (!each.mime_type.empty())
    to.member("mimeType", each.mime_type);
  to.close_object();
}

answer no_resource(const request& of, const std::string& uri) {
  std::string data;
  json_writer(data).open_object().member("uri", uri).close_object();
  return refuse(of.spoken == era::modern ? fault_code::invalid_params : fault_code::resource_not_found,
                "there is no resource " + colloquy::quoted(uri), std::move(data));
}

std::string updated_params(const std::string& uri, std::string_view subscription) {
  std::string out;
  json_writer to(out);
  to.open_object();
  if (!subscription.empty())
    to.key("_meta").open_object().raw_member(subscription_key, subscription).close_object();
  to.member("uri", uri).close_object();
  return out;
}

std::string list_changed(std::string_view list) {
  return "notifications/" + std::string(list) + "/list_changed";
}

} // namespace

/// One that follows a session. It takes what comes at once, so that nothing waits for it.
class hub::session_watch {
public:
  session_watch(hub& at, session_key session, std::function<void()> news)
    : at_(at)
    , session_(std::move(session))
    , news_(std::move(news)) {}
  session_watch(const session_watch&) = delete;
  session_watch& operator=(const session_watch&) = delete;
  ~session_watch() {
    if (!entered_)
      return;
    at_.watches_.erase(place_);
    at_.service_.asks().tell(at_.service_.handles().directory, unsubscribe_events{session_, subscription_});
  }

  void enter(subscription_id subscription, std::unique_ptr<stream_place> place) {
    subscription_ = subscription;
    counted_ = std::move(place);
    place_ = at_.watches_.emplace(subscription, this);
    entered_ = true;
  }
  const session_key& session() const noexcept { return session_; }

  void take(const events_arrived& arrived) {
    at_.service_.asks().tell(at_.service_.handles().directory,
                             events_taken{session_, subscription_, arrived.through, deltas_});
    if (!arrived.events->empty())
      news_();
  }
  void take(const delta_arrived&) {
    at_.service_.asks().tell(at_.service_.handles().directory, events_taken{session_, subscription_, -1, ++deltas_});
  }
  void end() { news_(); } // whoever reads now is told why

private:
  hub& at_;
  session_key session_;
  std::function<void()> news_;
  subscription_id subscription_ = 0;
  std::unique_ptr<stream_place> counted_;
  std::unordered_multimap<subscription_id, session_watch*>::iterator place_{};
  std::uint64_t deltas_ = 0;
  bool entered_ = false;
};

task<result<std::shared_ptr<void>>> hub::watch_session(request& of, const session_id& id, std::function<void()> news) {
  session_key session{of.who.tenant, id};
  if (!of.tenant)
    co_return error{error_code::database_unavailable, "the service is starting"};
  if (auto problem = stream_place::why_full(service_, *of.tenant))
    co_return *problem;
  get_session look{session, of.who.as_user};
  auto seen = co_await service_.ask(std::move(look));
  if (!seen)
    co_return seen.failure();
  auto made = std::make_shared<session_watch>(*this, session, std::move(news));
  subscribe_events wanted{session, service_.asks().subscriber(), seen->durable_offset, of.who.as_user};
  auto opened = co_await service_.ask(std::move(wanted));
  if (!opened)
    co_return opened.failure();
  made->enter(opened->subscription, std::make_unique<stream_place>(service_, of.tenant));
  co_return std::shared_ptr<void>(std::move(made));
}

void hub::take(const caf::message& news) {
  const auto pass = [&](const auto& arrived, auto action) {
    const auto [from, to] = watches_.equal_range(arrived.subscription);
    for (auto each = from; each != to; ++each)
      if (each->second->session() == arrived.session)
        return action(*each->second);
  };
  if (news.match_elements<events_arrived>()) {
    const auto& arrived = news.get_as<events_arrived>(0);
    pass(arrived, [&](session_watch& to) { to.take(arrived); });
  } else if (news.match_elements<delta_arrived>()) {
    const auto& arrived = news.get_as<delta_arrived>(0);
    pass(arrived, [&](session_watch& to) { to.take(arrived); });
  } else if (news.match_elements<subscription_ended>()) {
    pass(news.get_as<subscription_ended>(0), [](session_watch& to) { to.end(); });
  }
}

task<answer> hub::list_resources(request& of) {
  std::string cursor;
  if (const auto said = of.said.raw("cursor"); !said.empty() && said != "null") {
    const auto text = string_of(said);
    if (!text || text->empty())
      co_return refuse(fault_code::invalid_params, "the cursor is not one that a page of this list ended with");
    cursor = *text;
  }
  std::string out;
  json_writer to(out);
  to.key("resources").open_array();
  for (const auto& source : offers_->sources) {
    if (cursor.empty())
      for (const auto& each : source.fixed)
        write_resource(to, each, "uri");
  }
  std::string next;
  bool has_list = false;
  for (const auto& source : offers_->sources) {
    if (!source.list)
      continue;
    has_list = true;
    auto page = co_await source.list(of, cursor);
    if (!page && (page.failure().code == error_code::invalid_request || !cursor.empty()))
      co_return refuse(fault_code::invalid_params, page.failure().message);
    if (!page)
      co_return refuse(fault_code::internal, page.failure().message);
    for (const auto& each : page->resources)
      write_resource(to, each, "uri");
    next = std::move(page->next_cursor);
    break; // one such list, whose cursor is the page's
  }
  if (!cursor.empty() && !has_list)
    co_return refuse(fault_code::invalid_params, "the cursor is not one that a page of this list ended with");
  to.close_array();
  if (!next.empty())
    to.member("nextCursor", next);
  co_return answer{std::move(out)};
}

task<answer> hub::list_templates(request& of) {
  if (const auto cursor = of.said.raw("cursor"); !cursor.empty() && cursor != "null")
    co_return refuse(fault_code::invalid_params, "the cursor is not one that a page of this list ended with");
  std::string out;
  json_writer to(out);
  to.key("resourceTemplates").open_array();
  for (const auto& source : offers_->sources)
    for (const auto& each : source.templates)
      write_resource(to, each, "uriTemplate");
  to.close_array();
  co_return answer{std::move(out)};
}

task<answer> hub::read_resource(request& of) {
  const auto uri = of.said.text("uri");
  if (!uri)
    co_return refuse(fault_code::invalid_params, "uri must be a string");
  for (const auto& source : offers_->sources) {
    auto read = co_await source.read(of, *uri);
    if (read)
      co_return std::move(*read);
  }
  co_return no_resource(of, *uri);
}

task<result<std::shared_ptr<void>>> hub::watch(request& of, const std::string& uri, std::function<void()> news) {
  for (const auto& source : offers_->sources) {
    if (!source.watch)
      continue;
    auto made = co_await source.watch(of, uri, news);
    if (made || made.failure().code != error_code::not_found)
      co_return made;
  }
  co_return error{error_code::not_found, "there is no resource " + colloquy::quoted(uri) + " that can be watched"};
}

task<answer> hub::subscribe(request& of) {
  const auto uri = of.said.text("uri");
  if (!uri || !of.from)
    co_return refuse(fault_code::invalid_params, "uri must be a string");
  auto& watched = of.from->watched;
  if (watched.size() >= peer::watches_max && !watched.contains(*uri))
    co_return refuse(fault_code::invalid_params,
                     "at most " + std::to_string(peer::watches_max) + " resources may be subscribed to");
  const std::weak_ptr<peer> to = of.from;
  // Named, and not made inside the awaited expression, where GCC 12 destroys what it has captured twice.
  std::function<void()> news = [to, uri = *uri] {
    if (const auto whose = to.lock(); whose && whose->push)
      whose->push(write_call("notifications/resources/updated", updated_params(uri, {})));
  };
  auto made = co_await watch(of, *uri, std::move(news));
  if (!made && made.failure().code == error_code::not_found)
    co_return no_resource(of, *uri);
  if (!made)
    co_return refuse(fault_code::internal, made.failure().message);
  of.from->watched.insert_or_assign(*uri, std::move(*made));
  co_return answer{};
}

task<answer> hub::unsubscribe(request& of) {
  const auto uri = of.said.text("uri");
  if (!uri || !of.from)
    co_return refuse(fault_code::invalid_params, "uri must be a string");
  of.from->watched.erase(*uri);
  co_return answer{};
}

struct hub::listener {
  request* of;
  loop_timer* wake;
  std::vector<std::string> lists{};
  bool is_over = false;
};

task<answer> hub::listen(request& of) {
  const auto wanted = of.said.object("notifications");
  loop_timer wake(service_.context());
  listener here{&of, &wake};
  std::string honored;
  json_writer to(honored);
  to.open_object();
  for (const auto list : {"tools", "prompts", "resources"})
    if (const auto name = std::string(list) + "ListChanged"; wanted.is_true(name) && offers_->lists_change) {
      here.lists.emplace_back(list);
      to.member(name, true);
    }
  const auto acknowledged = [&] {
    std::string params;
    json_writer(params)
        .open_object()
        .key("_meta")
        .open_object()
        .raw_member(subscription_key, of.id)
        .close_object()
        .raw_member("notifications", honored)
        .close_object();
    of.out.send(write_call("notifications/subscriptions/acknowledged", params));
  };
  std::vector<std::string> uris;
  if (const auto all = split_array(wanted.raw("resourceSubscriptions")))
    for (const auto each : *all)
      if (auto uri = string_of(each); uri && uris.size() < peer::watches_max)
        uris.push_back(std::move(*uri));
  bool is_acknowledged = false;
  std::vector<std::shared_ptr<void>> watches;
  std::vector<std::string> early; // what changed before it was acknowledged
  if (!uris.empty()) {
    to.key("resourceSubscriptions").open_array();
    for (const auto& uri : uris) {
      std::function<void()> news = [&, uri] {
        auto text = write_call("notifications/resources/updated", updated_params(uri, of.id));
        if (is_acknowledged)
          of.out.send(std::move(text));
        else
          early.push_back(std::move(text));
      };
      auto made = co_await watch(of, uri, std::move(news));
      if (!made)
        continue; // not among those that are acknowledged
      watches.push_back(std::move(*made));
      to.value(uri);
    }
    to.close_array();
  }
  to.close_object();
  acknowledged();
  is_acknowledged = true;
  for (auto& text : early)
    of.out.send(std::move(text));
  const auto place = listeners_.insert(listeners_.end(), &here);
  of.when_cancelled = [&] { wake.cancel(); };
  while (!of.is_cancelled && !here.is_over && !is_draining_) {
    if (of.who.valid_until && *of.who.valid_until <= system_time())
      break;
    wake.expires_after(look_interval);
    boost::system::error_code ignored;
    co_await wake.async_wait(asio::redirect_error(use_task, ignored));
  }
  of.when_cancelled = nullptr;
  listeners_.erase(place);
  answer done;
  done.meta = "\"" + std::string(subscription_key) + "\":" + of.id;
  co_return done;
}

void hub::announce(std::string_view list) {
  for (auto* each : listeners_)
    if (std::find(each->lists.begin(), each->lists.end(), list) != each->lists.end()) {
      std::string params;
      json_writer(params)
          .open_object()
          .key("_meta")
          .open_object()
          .raw_member(subscription_key, each->of->id)
          .close_object()
          .close_object();
      each->of->out.send(write_call(list_changed(list), params));
    }
  for (auto* each : peers_)
    if (!each->version.empty() && each->push)
      each->push(write_call(list_changed(list), {}));
}

void hub::drop_peer(peer& whose) {
  peers_.erase(&whose);
}

void hub::close_of_key(const key_id& key) {
  for (auto* each : listeners_)
    if (each->of->who.kind == principal_kind::key && each->of->who.key == key) {
      each->is_over = true;
      each->wake->cancel();
    }
  sessions_->close_of_key(key);
}

void hub::begin_draining() {
  is_draining_ = true;
  for (auto* each : listeners_) {
    each->is_over = true;
    each->wake->cancel();
  }
  const auto all = running_;
  for (auto* each : all)
    each->cancel();
  sessions_->begin_draining();
}

} // namespace colloquy::gateway::mcp
