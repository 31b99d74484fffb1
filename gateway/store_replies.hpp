// What handlers of customers and of context variables share. For those alone.
#pragma once

#include "gateway/edge.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "messages/limits.hpp"

#include <string>
#include <vector>

namespace colloquy::gateway {

/// In the name of the tenant, about the one that the path names, if it names one.
template <class Request>
Request store_request(const call& of) {
  Request wanted;
  wanted.tenant = of.who.tenant;
  if constexpr (requires { wanted.variable; })
    wanted.variable = of.said.path.text_or("id", "");
  else if constexpr (requires { wanted.id.size(); })
    wanted.id = of.said.path.text_or("id", "");
  return wanted;
}

template <class Request>
Request store_page_request(const call& of) {
  auto wanted = store_request<Request>(of);
  if constexpr (requires { wanted.tag; })
    wanted.tag = of.said.query.text("tag");
  wanted.limit = static_cast<std::size_t>(of.said.query.integer_or("limit", limits::page_default));
  wanted.cursor = of.said.query.text_or("cursor", "");
  return wanted;
}

inline std::vector<std::string> tags_said(const call& of) {
  return of.said.body.maybe<std::vector<std::string>>("tags").value_or(std::vector<std::string>());
}

inline void write_tags(json_writer& to, const std::vector<std::string>& tags) {
  to.open_array();
  for (const auto& tag : tags)
    to.value(tag);
  to.close_array();
}

template <class Reply, class Write>
http_reply store_reply(const call& of, unsigned status, const result<Reply>& answer, Write write_it) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  return json_reply(status, *answer, write_it);
}

template <class Record>
http_reply tags_reply(const call& of, const result<Record>& answer) {
  return store_reply(of, 200, answer, [](json_writer& to, const Record& each) {
    to.open_object().key("items");
    write_tags(to, each.tags);
    to.key("next_cursor").null();
    to.close_object();
  });
}

} // namespace colloquy::gateway
