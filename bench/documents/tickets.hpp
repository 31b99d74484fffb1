// What is found: tickets, each a number's, made by SQL as the service makes them. A number tells all of a document, so
// that what a request must find is known.
#pragma once

#include "bench/bench_database.hpp"
#include "messages/document_requests.hpp"

#include <cstddef>
#include <string>

namespace colloquy::bench {

/// Documents that share a customer, and those that share an order.
inline constexpr std::size_t documents_per_key = 10;

inline const std::string tickets_collection = "tickets";

tenant_id ticket_tenant(std::size_t number);
/// The tenant that has all its documents in one collection of many.
tenant_id paged_tenant();

/// Which documents: `customer-7` has those whose number leaves 7 when divided by the number of keys, `order-7` those
/// from 70 on.
std::string ticket_key(const char* kind, std::size_t number);

/// Inserts `documents` for each of the tenants from `first` to before `end`, as a superuser: the same triggers run.
void insert_tickets(bench_database& database, std::size_t first, std::size_t end, std::size_t documents);
/// The same for paged_tenant(): documents from `first` to before `end`.
void insert_paged_tickets(bench_database& database, std::size_t first, std::size_t end, std::size_t documents);

/// Where a document stands, and its text, as a request would bring it, of a tenant that has so many.
document_position ticket_place(bench_database& database, std::size_t number);
std::string ticket_document(bench_database& database, std::size_t number, std::size_t documents);
/// Throws unless the rows that SQL has made of the document of that id are those that the service has made of it in
/// another collection of the tenant.
void check_same_rows(bench_database& database, const tenant_id& tenant, const std::string& collection,
                     const std::string& document);

} // namespace colloquy::bench
