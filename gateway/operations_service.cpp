// Calls about the service itself.
#include "gateway/operation_fields.hpp"

namespace colloquy::gateway {
namespace {

using enum error_code;

constexpr error_code operating[] = {forbidden, invalid_request};
constexpr error_code not_ready[] = {database_unavailable};

constexpr operation pool_call(operation_id id, std::string_view name, std::string_view path, std::string_view summary,
                              std::string_view about) {
  return {.id = id,
          .name = name,
          .method = "POST",
          .path = path,
          .tag = "Service",
          .summary = summary,
          .about = about,
          .needs = access::operate,
          .takes = body_kind::maybe,
          .reply = &shapes::pool,
          .errors = operating,
          .traits = {.is_exempt = true}};
}

operation resize() {
  auto call = pool_call(operation_id::resize_pool, "resizePool", "/v1/pool/resize", "Resize the pool",
                        "Connections over the new size are given back as they become idle.");
  call.takes = body_kind::shape;
  call.body = &shapes::resize_pool;
  return call;
}

const operation all[] = {
    {.id = operation_id::get_pool,
     .name = "getPool",
     .method = "GET",
     .path = "/v1/pool",
     .tag = "Service",
     .summary = "See the pool",
     .about = "With the server's own view of it.",
     .needs = access::operate,
     .reply = &shapes::pool,
     .errors = operating,
     .traits = {.is_exempt = true}},
    pool_call(operation_id::pause_pool, "pausePool", "/v1/pool/pause", "Pause the pool",
              "Who comes waits until its deadline; what runs goes on."),
    pool_call(operation_id::resume_pool, "resumePool", "/v1/pool/resume", "Resume the pool", "After a pause."),
    resize(),
    pool_call(operation_id::rotate_pool, "rotatePool", "/v1/pool/rotate", "Replace every connection",
              "Each new one before its old one goes."),
    {.id = operation_id::get_health,
     .name = "getHealth",
     .method = "GET",
     .path = "/healthz",
     .tag = "Service",
     .summary = "Whether it is alive",
     .about = "",
     .needs = access::open,
     .reply = &shapes::health,
     .traits = {.is_exempt = true}},
    {.id = operation_id::get_readiness,
     .name = "getReadiness",
     .method = "GET",
     .path = "/readyz",
     .tag = "Service",
     .summary = "Whether it takes requests",
     .about = "503 with the reason while it starts, stops, or the database is away.",
     .needs = access::open,
     .reply = &shapes::readiness,
     .errors = not_ready,
     .traits = {.is_exempt = true}},
    {.id = operation_id::get_metrics,
     .name = "getMetrics",
     .method = "GET",
     .path = "/metrics",
     .tag = "Service",
     .summary = "Figures for Prometheus",
     .about = "",
     .needs = access::operate,
     .errors = operating,
     .traits = {.answers_text = true, .is_exempt = true}},
    {.id = operation_id::get_openapi,
     .name = "getOpenapi",
     .method = "GET",
     .path = "/openapi.json",
     .tag = "Service",
     .summary = "This document",
     .about = "",
     .needs = access::open,
     .traits = {.is_exempt = true}},
};

} // namespace

std::span<const operation> service_operations() {
  return all;
}

} // namespace colloquy::gateway
