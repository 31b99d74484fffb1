#include "tests/actors/documents/property.hpp"

#include <caf/scoped_actor.hpp>

#include <algorithm>

namespace colloquy::chance {

using reference::value;

std::map<std::string, std::int64_t> property::counted;

namespace {

constexpr std::size_t documents_at_first = 30;

std::string short_text(const std::string& text) {
  return text.size() > 2000 ? text.substr(0, 2000) + "..." : text;
}

document_order to_order(const reference::order& order) {
  return {order.by == "id" ? document_order::key::id : document_order::key::creation_utc, order.is_descending};
}

bool has_customer(const value& document, const std::string& user) {
  const auto at = document.members.find("customer_id");
  return at != document.members.end() && at->second == value::string(user);
}

} // namespace

property::property(test::test_service& service, std::uint64_t seed)
  : service_(service)
  , chance_(seed)
  , name_("seed " + std::to_string(seed)) {
  insert_documents all;
  all.tenant = test::tenant("acme");
  all.collection = name_;
  while (model_.documents.size() < documents_at_first) {
    const auto id = chance_.id();
    const auto [at, is_new] = model_.documents.emplace(id, chance_.document(id));
    if (is_new)
      all.documents.push_back(reference::to_json(at->second));
  }
  const auto answer = ask(all);
  expect("the first documents are inserted", answer.has_value());
}

void property::run_case() {
  const auto kind = chance_.below(20);
  if (kind < 9)
    find();
  else if (kind < 11)
    find_from_place();
  else if (kind < 14)
    find_one();
  else if (kind < 15)
    insert();
  else if (kind < 18)
    update(false);
  else if (kind < 19)
    update(true);
  else
    erase();
  // Only what is asked for may be taken away or changed, and never another collection's: seen at the end.
}

template <class Request>
Request property::about(const value& filter) {
  const auto text = reference::to_json(filter);
  const auto parsed = parse_filter(text);
  request_ += " where " + text;
  expect("the filter is read", parsed.has_value());
  Request made;
  made.tenant = test::tenant("acme");
  made.collection = name_;
  made.where = *parsed;
  made.as_user = chance_.user();
  if (made.as_user)
    request_ += " as " + *made.as_user;
  return made;
}

template <class Request>
result<typename Request::reply> property::ask(Request request) {
  caf::scoped_actor self{service_.system()};
  result<typename Request::reply> outcome{error{error_code::internal, "no answer"}};
  self->request(service_.service().documents(), test::call_timeout, std::move(request))
      .receive([&](result<typename Request::reply>& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) {
                 outcome = error{error_code::internal, "caf: " + service_.system().render(failed)};
               });
  return outcome;
}

/// All pages, one after the other.
void property::find() {
  request_ = "find";
  const auto filter = chance_.filter(3);
  auto wanted = about<find_documents>(filter);
  const auto order = chance_.order();
  wanted.order = to_order(order);
  wanted.limit = 1 + chance_.below(40);
  request_ += " by " + order.by + (order.is_descending ? " desc" : "") + " limit " + std::to_string(wanted.limit);
  const auto expected = model_.find(filter, order, wanted.as_user);
  std::vector<std::string> got;
  for (bool has_more = true; has_more;) {
    auto page = ask(wanted);
    if (!page)
      throw difference(request_ + ": " + page.failure().message);
    expect("total_count", page->total_count == static_cast<std::int64_t>(expected.size()));
    got.insert(got.end(), page->documents.begin(), page->documents.end());
    has_more = !page->next_cursor.empty();
    expect("a page that is not the last is full", !has_more || page->documents.size() == wanted.limit);
    wanted.cursor = page->next_cursor;
  }
  expect("pages", got, expected);
  count("find", !expected.empty());
}

void property::find_from_place() {
  request_ = "find from a place";
  const auto filter = chance_.filter(1);
  auto wanted = about<find_documents>(filter);
  const auto order = chance_.order();
  wanted.order = to_order(order);
  wanted.limit = limits::page_events_max;
  document_position place;
  if (const auto creation = chance_.creation(); creation.is == reference::kind::string)
    place.creation_utc = creation.text;
  place.id = chance_.one_in(2) ? chance_.of(ids()) : chance_.id();
  wanted.cursor = place;
  request_ += " by " + order.by + (order.is_descending ? " desc" : "") + " after (" +
              place.creation_utc.value_or("none") + ", " + place.id + ")";
  auto expected = model_.find(filter, order, wanted.as_user);
  const auto total = expected.size();
  std::erase_if(expected,
                [&](const value& each) { return !reference::is_after(each, place.creation_utc, place.id, order); });
  const auto page = ask(wanted);
  if (!page)
    throw difference(request_ + ": " + page.failure().message);
  expect("total_count", page->total_count == static_cast<std::int64_t>(total));
  expect("the page", page->documents, expected);
  count("find from a place", !expected.empty());
}

void property::find_one() {
  request_ = "find one";
  const auto filter = chance_.filter(2);
  auto wanted = about<find_document>(filter);
  std::vector<value> expected;
  if (chance_.one_in(2)) {
    const auto order = chance_.order();
    wanted.order = to_order(order);
    expected = model_.find(filter, order, wanted.as_user);
    request_ += " by " + order.by + (order.is_descending ? " desc" : "");
  } else {
    const auto orders = chance_.field_orders();
    std::vector<field_order> by;
    for (const auto& each : orders) {
      by.push_back({each.field, each.is_descending});
      request_ += " by '" + each.field + (each.is_descending ? "' desc" : "'");
    }
    wanted.order = by;
    expected = model_.find(filter, orders, wanted.as_user);
  }
  const auto answer = ask(wanted);
  if (!answer)
    throw difference(request_ + ": " + answer.failure().message);
  std::vector<std::string> got;
  if (answer->document)
    got.push_back(*answer->document);
  if (expected.size() > 1)
    expected.resize(1);
  expect("the document", got, expected);
  count("find one", !expected.empty());
}

void property::insert() {
  insert_documents wanted;
  wanted.tenant = test::tenant("acme");
  wanted.collection = name_;
  wanted.as_user = chance_.user();
  std::map<std::string, value> made;
  for (auto left = 1 + chance_.below(3); left > 0; --left) {
    const auto id = chance_.one_in(4) && !model_.documents.empty() ? chance_.of(ids()) : chance_.id();
    made.insert_or_assign(id, chance_.document(id));
  }
  bool is_taken = false, is_forbidden = false;
  request_ = "insert" + (wanted.as_user ? " as " + *wanted.as_user : "");
  for (const auto& [id, document] : made) {
    wanted.documents.push_back(reference::to_json(document));
    request_ += " " + wanted.documents.back();
    is_taken = is_taken || model_.documents.contains(id);
    is_forbidden = is_forbidden || (wanted.as_user && !has_customer(document, *wanted.as_user));
  }
  const auto answer = ask(wanted);
  if (is_forbidden)
    return expect("it is forbidden", !answer && (answer.failure().code == error_code::forbidden ||
                                                 (is_taken && answer.failure().code == error_code::conflict)));
  if (is_taken)
    return expect("an id is taken", !answer && answer.failure().code == error_code::conflict);
  if (!answer)
    throw difference(request_ + ": " + answer.failure().message);
  model_.documents.merge(made);
  count("insert", true);
}

void property::update(bool is_upsert) {
  request_ = is_upsert ? "upsert" : "update";
  const auto filter = chance_.filter(1);
  auto wanted = about<update_document>(filter);
  auto set = chance_.changes(ids());
  if (is_upsert && chance_.one_in(2))
    set = chance_.document(chance_.id());
  wanted.set = reference::to_json(set);
  wanted.is_upsert = is_upsert;
  request_ += " set " + wanted.set;
  const auto found = model_.find(filter, reference::order{}, wanted.as_user);
  const auto answer = ask(wanted);

  value after = set;
  if (!found.empty()) {
    after = found.front();
    for (const auto& [name, each] : set.members)
      after.members.insert_or_assign(name, each);
  } else if (!is_upsert) {
    expect("nothing matches", answer && answer->matched == 0 && answer->modified == 0 && !answer->document);
    return count("update", false);
  } else if (!set.members.contains("id") || !set.members.contains("version") || !set.members.contains("creation_utc")) {
    return expect("no whole document", !answer && answer.failure().code == error_code::invalid_request);
  }
  const auto& id = after.members.at("id").text;
  const bool is_new_id = found.empty() || found.front().members.at("id").text != id;
  const bool is_taken = is_new_id && model_.documents.contains(id);
  const bool is_forbidden = wanted.as_user && !has_customer(after, *wanted.as_user);
  if (is_taken || is_forbidden)
    return expect("it is refused", !answer && ((is_taken && answer.failure().code == error_code::conflict) ||
                                               (is_forbidden && answer.failure().code == error_code::forbidden)));
  if (!answer)
    throw difference(request_ + ": " + answer.failure().message);
  expect("matched", answer->matched == (found.empty() ? 0 : 1));
  expect("the document after", {answer->document.value_or("null")}, {after});
  if (!found.empty()) {
    // Spelled in another way it may count as changed or not.
    if (found.front() != after || reference::to_json(found.front()) == reference::to_json(after))
      expect("modified", answer->modified == (found.front() == after ? 0 : 1));
    model_.documents.erase(found.front().members.at("id").text);
  }
  model_.documents.insert_or_assign(id, after);
  count(request_.substr(0, 6), true);
}

void property::erase() {
  request_ = "delete";
  const auto filter = chance_.filter(1);
  const auto wanted = about<delete_document>(filter);
  auto expected = model_.find(filter, reference::order{}, wanted.as_user);
  const auto answer = ask(wanted);
  if (!answer)
    throw difference(request_ + ": " + answer.failure().message);
  std::vector<std::string> got;
  if (answer->document)
    got.push_back(*answer->document);
  if (expected.size() > 1)
    expected.resize(1);
  expect("the document as it was", got, expected);
  if (!expected.empty())
    model_.documents.erase(expected.front().members.at("id").text);
  count("delete", !expected.empty());
}

void property::compare_all() {
  request_ = "all documents at the end";
  find_documents wanted;
  wanted.tenant = test::tenant("acme");
  wanted.collection = name_;
  wanted.limit = limits::page_events_max;
  const auto page = ask(wanted);
  if (!page)
    throw difference(request_ + ": " + page.failure().message);
  expect("all of them", page->documents, model_.find(value::object({}), reference::order{}, std::nullopt));
}

std::vector<std::string> property::ids() const {
  std::vector<std::string> all;
  for (const auto& [id, document] : model_.documents)
    all.push_back(id);
  return all;
}

void property::expect(const std::string& what, const std::vector<std::string>& got, const std::vector<value>& wanted) {
  bool is_so = got.size() == wanted.size();
  for (std::size_t i = 0; is_so && i < got.size(); ++i)
    is_so = reference::from_json(got[i]) == wanted[i];
  if (is_so)
    return;
  std::string text = request_ + ": " + what + " differ\n  got:\n";
  for (const auto& each : got)
    text += "    " + short_text(each) + "\n";
  text += "  wanted:\n";
  for (const auto& each : wanted)
    text += "    " + short_text(reference::to_json(each)) + "\n";
  throw difference(text);
}

void property::expect(const std::string& what, bool is_so) {
  if (!is_so)
    throw difference(request_ + ": not so: " + what);
}

void property::count(const std::string& what, bool found) {
  ++counted[what];
  if (found)
    ++counted[what + " that found something"];
}

} // namespace colloquy::chance
