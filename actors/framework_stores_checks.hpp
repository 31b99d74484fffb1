// What is refused of a request about customers or context variables before the database is asked.
#pragma once

#include "messages/context_variable_requests.hpp"
#include "messages/customer_requests.hpp"

#include <cstddef>
#include <optional>

namespace colloquy::actors {

std::optional<error> check_request(const create_customer& request, std::size_t document_bytes_max);
std::optional<error> check_request(const get_customer& request);
std::optional<error> check_request(const update_customer& request, std::size_t document_bytes_max);
std::optional<error> check_request(const delete_customer& request);
std::optional<error> check_request(const list_customers& request);
std::optional<error> check_request(const tag_customer& request);
std::optional<error> check_request(const untag_customer& request);
std::optional<error> check_request(const create_context_variable& request);
std::optional<error> check_request(const get_context_variable& request);
std::optional<error> check_request(const update_context_variable& request);
std::optional<error> check_request(const delete_context_variable& request);
std::optional<error> check_request(const list_context_variables& request);
std::optional<error> check_request(const tag_context_variable& request);
std::optional<error> check_request(const untag_context_variable& request);
std::optional<error> check_request(const put_context_value& request, std::size_t document_bytes_max);
std::optional<error> check_request(const get_context_value& request);
std::optional<error> check_request(const delete_context_value& request);
std::optional<error> check_request(const list_context_values& request);
std::optional<error> check_request(const look_up_context_value& request);

} // namespace colloquy::actors
