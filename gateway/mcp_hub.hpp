// The server of the Model Context Protocol without its transports: from a request to its answer, whichever version it
// is spoken in. Transports: mcp_http.cpp, mcp_lines.cpp. Of the edge's one thread.
#pragma once

#include "gateway/mcp_request.hpp"
#include "messages/subscription_interface.hpp"

#include <caf/fwd.hpp>

#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

namespace colloquy::gateway::mcp {

class http_sessions;

class hub {
public:
  hub(edge& service, std::shared_ptr<const registry> offers);
  hub(const hub&) = delete;
  hub& operator=(const hub&) = delete;
  ~hub();

  edge& service() const noexcept { return service_; }
  const registry& offers() const noexcept { return *offers_; }
  http_sessions& sessions() noexcept { return *sessions_; }

  /// From a message to a request: what it says of version and client. Which era it is of is known by who calls.
  static void read_into(request& of, const message& from);
  /// What a request of 2026-07-28 must say about itself.
  std::optional<fault> check_modern(const request& of) const;
  /// No exception leaves it.
  task<answer> serve(request& of);
  /// As the message that is sent.
  std::string write(const request& of, const answer& with) const;
  /// What carries no id.
  void take_notification(peer& from, const message& of);

  /// A list has become another: "tools", "prompts" or "resources".
  void announce(std::string_view list);
  /// Who hears of that without having asked for it, as the older versions have it.
  void add_peer(peer& whose) { peers_.insert(&whose); }
  void drop_peer(peer& whose);

  /// Calls `news` for every durable event behind the end of the session's log.
  task<result<std::shared_ptr<void>>> watch_session(request& of, const session_id& id, std::function<void()> news);
  /// What an actor sent.
  void take(const caf::message& news);
  /// A key was revoked: nobody listens by it any more, and its clients' sessions end with all they have.
  void close_of_key(const key_id& key);
  /// Whoever listens is told that it is over, and what is under way is cancelled.
  void begin_draining();
  bool is_draining() const noexcept { return is_draining_; }
  /// As whom the server shows itself to this client.
  const std::string& name_for(const request& of) const;

  /// While it lives, a request is under way, and refers to all of this.
  class under_way {
  public:
    under_way(hub& at, request& of)
      : at_(at)
      , place_(at.running_.insert(at.running_.end(), &of)) {}
    under_way(const under_way&) = delete;
    under_way& operator=(const under_way&) = delete;
    ~under_way() { at_.running_.erase(place_); }

  private:
    hub& at_;
    std::list<request*>::iterator place_;
  };
  bool is_idle() const noexcept { return running_.empty(); }

private:
  struct listener;
  class session_watch;
  struct method;

  task<answer> dispatch(request& of);
  static const std::vector<method>& methods();

  task<answer> initialize(request& of);
  task<answer> discover(request& of);
  task<answer> ping(request& of);
  task<answer> set_level(request& of);
  task<answer> list_tools(request& of);
  task<answer> call_tool(request& of);
  task<answer> list_resources(request& of);
  task<answer> list_templates(request& of);
  task<answer> read_resource(request& of);
  task<answer> subscribe(request& of);
  task<answer> unsubscribe(request& of);
  task<answer> list_prompts(request& of);
  task<answer> get_prompt(request& of);
  task<answer> complete(request& of);
  task<answer> listen(request& of);

  task<result<std::shared_ptr<void>>> watch(request& of, const std::string& uri, std::function<void()> news);
  std::string capabilities(era spoken) const;
  std::string server_info(const request& of) const;

  edge& service_;
  std::shared_ptr<const registry> offers_;
  std::unique_ptr<http_sessions> sessions_;
  std::set<peer*> peers_;
  std::list<listener*> listeners_;
  std::list<request*> running_;
  std::unordered_multimap<subscription_id, session_watch*> watches_;
  bool is_draining_ = false;
};

/// Whether somebody may use what needs that.
bool may(const principal& who, access needs) noexcept;

} // namespace colloquy::gateway::mcp
