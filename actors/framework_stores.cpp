#include "actors/framework_stores.hpp"

#include "actors/framework_stores_checks.hpp"
#include "actors/framework_stores_records.hpp"
#include "actors/session_checks.hpp"
#include "messages/document_fields.hpp"

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// What frameworks call the shape of these documents.
constexpr const char* customers_version = "0.1.0";
constexpr const char* guest_name = "Guest";

// Who has lost a race tries again: many may change one document at once.
constexpr int tries_max = 10;

const error ended{error_code::internal, "what looks after customers ended; look whether it was done, and ask again",
                  100ms};
const error busy{error_code::overloaded, "too many requests about customers and variables are under way", 100ms};
const db::db_failure no_answer{db::failure_kind::wait, "57014", "no answer within the time allowed"};

/// A key belongs to a kind of request.
std::optional<idempotency> key_of(std::string_view kind, std::optional<idempotency> repeat) {
  if (repeat)
    repeat->scope = scope_of(kind, *repeat);
  return repeat;
}

template <class Request>
std::optional<error> check(const Request& request, std::size_t document_bytes_max) {
  if constexpr (requires { check_request(request, document_bytes_max); })
    return check_request(request, document_bytes_max);
  else
    return check_request(request);
}

/// What is given to `then`, made of a thing.
template <class Value, class Convert>
std::function<void(result<tagged_thing>)> as(std::function<void(result<Value>)> then, Convert convert) {
  return
      [then, convert](result<tagged_thing> thing) { thing ? then(convert(*thing)) : then(std::move(thing.failure())); };
}

std::function<void(result<tagged_thing>)> as_customer(std::function<void(result<customer_record>)> then) {
  return as(std::move(then), to_customer);
}

std::function<void(result<tagged_thing>)> as_variable(std::function<void(result<context_variable_record>)> then) {
  return as(std::move(then), to_variable);
}

} // namespace

framework_stores::framework_stores(caf::actor_config& config, supervisor_actor supervisor,
                                   framework_stores_options options)
  : framework_stores_actor::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options))
  , customers_({"customer", options_.collections.customers, options_.collections.customer_tags, "customer_id",
                customers_version},
               options_.tables, door())
  , variables_({"context variable", options_.collections.variables, options_.collections.variable_tags, "variable_id",
                variables_version},
               options_.tables, door()) {}

framework_stores::behavior_type framework_stores::make_behavior() {
  return {
      [this](create_customer& wanted) {
        return serve(wanted, [this](const create_customer& asked, callback<customer_record> then) {
          const auto id = asked.id.value_or(uuid_to_string(new_uuid_v7()));
          about_customer(asked.tenant, id, then, [this, asked, id](callback<customer_record> next) {
            customers_.create(asked.tenant, {id, document_of(asked, id), asked.tags, key_of("customer", asked.repeat)},
                              as_customer(next));
          });
        });
      },
      [this](get_customer& wanted) {
        return serve(wanted, [this](const get_customer& asked, callback<customer_record> then) {
          about_customer(asked.tenant, asked.id, then, [this, asked](callback<customer_record> next) {
            customers_.get(asked.tenant, asked.id, as_customer(next));
          });
        });
      },
      [this](update_customer& wanted) {
        return serve(wanted, [this](const update_customer& asked, callback<customer_record> then) {
          document_writer set;
          if (asked.name)
            set.text("name", *asked.name);
          if (asked.extra)
            set.json("extra", *asked.extra);
          about_customer(asked.tenant, asked.id, then,
                         [this, asked, text = set.finish()](callback<customer_record> next) {
                           customers_.update(asked.tenant, asked.id, text, as_customer(next));
                         });
        });
      },
      [this](delete_customer& wanted) {
        return serve(wanted, [this](const delete_customer& asked, callback<customer_deleted> then) {
          customers_.erase(asked.tenant, asked.id, {}, [then](result<std::int64_t> gone) {
            gone ? then(customer_deleted{}) : then(std::move(gone.failure()));
          });
        });
      },
      [this](list_customers& wanted) {
        return serve(wanted, [this](const list_customers& asked, callback<customer_page> then) {
          about_guest(asked, [this, asked, then](result<void> there) {
            if (!there)
              return then(std::move(there.failure()));
            customers_.list(asked.tenant, asked.tag, asked.limit, asked.cursor, [then](result<tagged_page> page) {
              if (!page)
                return then(std::move(page.failure()));
              customer_page made;
              for (const auto& each : page->things)
                made.customers.push_back(to_customer(each));
              made.next_cursor = page->next_cursor;
              then(std::move(made));
            });
          });
        });
      },
      [this](tag_customer& wanted) {
        return serve(wanted, [this](const tag_customer& asked, callback<customer_record> then) {
          about_customer(asked.tenant, asked.id, then, [this, asked](callback<customer_record> next) {
            customers_.tag(asked.tenant, asked.id, asked.tag, as_customer(next));
          });
        });
      },
      [this](untag_customer& wanted) {
        return serve(wanted, [this](const untag_customer& asked, callback<customer_record> then) {
          about_customer(asked.tenant, asked.id, then, [this, asked](callback<customer_record> next) {
            customers_.untag(asked.tenant, asked.id, asked.tag, as_customer(next));
          });
        });
      },
      [this](create_context_variable& wanted) {
        return serve(wanted, [this](const create_context_variable& asked, callback<context_variable_record> then) {
          const auto id = asked.id.value_or(uuid_to_string(new_uuid_v7()));
          variables_.create(asked.tenant,
                            {id, document_of(asked, id), asked.tags, key_of("context variable", asked.repeat)},
                            as_variable(then));
        });
      },
      [this](get_context_variable& wanted) {
        return serve(wanted, [this](const get_context_variable& asked, callback<context_variable_record> then) {
          variables_.get(asked.tenant, asked.id, as_variable(then));
        });
      },
      [this](update_context_variable& wanted) {
        return serve(wanted, [this](const update_context_variable& asked, callback<context_variable_record> then) {
          document_writer set;
          if (asked.name)
            set.text("name", *asked.name);
          if (asked.description)
            set.text_or_null("description", *asked.description);
          if (asked.tool_id)
            set.text_or_null("tool_id", *asked.tool_id);
          if (asked.freshness_rules)
            set.text_or_null("freshness_rules", *asked.freshness_rules);
          variables_.update(asked.tenant, asked.id, set.finish(), as_variable(then));
        });
      },
      [this](delete_context_variable& wanted) {
        return serve(wanted, [this](const delete_context_variable& asked, callback<context_variable_deleted> then) {
          const tagged_documents::belongings values{{options_.collections.values, is_text("variable_id", asked.id)}};
          variables_.erase(asked.tenant, asked.id, values, [then](result<std::int64_t> gone) {
            gone ? then(context_variable_deleted{}) : then(std::move(gone.failure()));
          });
        });
      },
      [this](list_context_variables& wanted) {
        return serve(wanted, [this](const list_context_variables& asked, callback<context_variable_page> then) {
          variables_.list(asked.tenant, asked.tag, asked.limit, asked.cursor, [then](result<tagged_page> page) {
            if (!page)
              return then(std::move(page.failure()));
            context_variable_page made;
            for (const auto& each : page->things)
              made.variables.push_back(to_variable(each));
            made.next_cursor = page->next_cursor;
            then(std::move(made));
          });
        });
      },
      [this](tag_context_variable& wanted) {
        return serve(wanted, [this](const tag_context_variable& asked, callback<context_variable_record> then) {
          variables_.tag(asked.tenant, asked.id, asked.tag, as_variable(then));
        });
      },
      [this](untag_context_variable& wanted) {
        return serve(wanted, [this](const untag_context_variable& asked, callback<context_variable_record> then) {
          variables_.untag(asked.tenant, asked.id, asked.tag, as_variable(then));
        });
      },
      [this](put_context_value& wanted) {
        return serve(wanted, [this](const auto& asked, auto then) { put(asked, then); });
      },
      [this](get_context_value& wanted) {
        return serve(wanted, [this](const auto& asked, auto then) { get(asked, then); });
      },
      [this](delete_context_value& wanted) {
        return serve(wanted, [this](const auto& asked, auto then) { remove(asked, then); });
      },
      [this](list_context_values& wanted) {
        return serve(wanted, [this](const auto& asked, auto then) { list(asked, then); });
      },
      [this](look_up_context_value& wanted) {
        return serve(wanted, [this](const auto& asked, auto then) { look_up(asked, then); });
      }};
}

void framework_stores::on_exit() {
  for (auto& [number, say] : std::exchange(under_way_, {}))
    say();
  supervisor_ = nullptr;
}

template <class Request, class Work>
promise_of<Request> framework_stores::serve(Request& request, Work work) {
  using answer_type = result<typename Request::reply>;
  auto answer = make_response_promise<answer_type>();
  if (under_way_.size() >= options_.under_way_max) {
    reply(answer, answer_type(busy));
  } else if (auto problem = check(request, options_.document_bytes_max)) {
    reply(answer, answer_type(*std::move(problem)));
  } else {
    const auto number = ++last_number_;
    under_way_.emplace(number, [answer] { reply(answer, answer_type(ended)); });
    work(std::as_const(request), callback<typename Request::reply>([this, number, answer](answer_type how) {
           if (under_way_.erase(number) > 0)
             reply(answer, std::move(how));
         }));
  }
  return answer;
}

documents_door framework_stores::door() {
  return {[this](const tenant_id& tenant, db::unit query, bool idempotent, auto then) {
            run(tenant, std::move(query), idempotent, std::move(then));
          },
          [this](const tenant_id& tenant, std::int64_t bytes) {
            options_.meter->add(tenant, {0, bytes});
          },
          [this] { return to_rfc3339(options_.now()); }, options_.document_bytes_max};
}

void framework_stores::run(const tenant_id& tenant, db::unit query, bool idempotent,
                           std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(query)};
  unit.tenant = tenant.text();
  unit.purpose = "framework_stores";
  unit.deadline = clock().now() + options_.request_timeout;
  unit.idempotent = idempotent;
  run(std::move(unit), 1, std::move(then));
}

void framework_stores::run(run_unit unit, int tries, std::function<void(const db::unit_outcome&)> then) {
  request(supervisor_, *unit.deadline - clock().now() + pool_answer_margin, unit)
      .then(
          [this, unit, tries, then](const db::unit_outcome& outcome) {
            if (tries < tries_max && db::lost_race(outcome))
              run(unit, tries + 1, then);
            else
              then(outcome);
          },
          [then](const caf::error&) {
            then({{}, no_answer});
          });
}

// --- customers -------------------------------------------------------------------------------------------------------

std::string framework_stores::document_of(const create_customer& wanted, const std::string& id) const {
  return document_writer()
      .text("id", id)
      .text("version", customers_version)
      .text("creation_utc", to_rfc3339(options_.now()))
      .text("name", wanted.name)
      .json("extra", wanted.extra)
      .finish();
}

void framework_stores::with_guest(const tenant_id& tenant, std::function<void(result<void>)> work) {
  if (with_guest_.contains(tenant))
    return work({});
  create_customer guest;
  guest.tenant = tenant;
  guest.name = guest_name;
  customers_.create(tenant, {guest_customer, document_of(guest, guest_customer)},
                    [this, tenant, work](result<tagged_thing> made) {
                      if (!made && made.failure().code != error_code::conflict)
                        return work(std::move(made.failure()));
                      if (with_guest_.size() >= options_.tenants_known_max)
                        with_guest_.clear();
                      with_guest_.insert(tenant);
                      work({});
                    });
}

/// Only a list of all has the guest, on its first page. It is looked for then: who is known to have had one may have it
/// no more.
void framework_stores::about_guest(const list_customers& wanted, std::function<void(result<void>)> work) {
  if (wanted.tag || !wanted.cursor.empty())
    return work({});
  about_customer<tagged_thing>(
      wanted.tenant, guest_customer,
      [work](result<tagged_thing> there) { there ? work({}) : work(std::move(there.failure())); },
      [this, tenant = wanted.tenant](callback<tagged_thing> next) { customers_.get(tenant, guest_customer, next); });
}

/// With the guest made first if it is about that one; again, if somebody has taken it away meanwhile.
template <class Value, class Work>
void framework_stores::about_customer(const tenant_id& tenant, const std::string& id, callback<Value> then, Work work) {
  if (id != guest_customer)
    return work(std::move(then));
  with_guest(tenant, [this, tenant, then, work](result<void> there) {
    if (!there)
      return then(std::move(there.failure()));
    work(callback<Value>([this, tenant, then, work](result<Value> how) {
      if (how || how.failure().code != error_code::not_found || with_guest_.erase(tenant) == 0)
        return then(std::move(how));
      with_guest(tenant, [then, work](result<void> again) { again ? work(then) : then(std::move(again.failure())); });
    }));
  });
}

} // namespace colloquy::actors
