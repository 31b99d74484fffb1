// The OpenAPI 3.1 document, made from the table of operations.
#pragma once

#include <string>

namespace colloquy::gateway {

/// Made once, at the first call.
const std::string& openapi_document();

} // namespace colloquy::gateway
