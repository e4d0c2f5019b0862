/* What the server looks like from outside: the facts behind its pages. */
#include "server/server_private.h"

#define LOOK_EVERY_US 100000u /* figures that take more than a glance are as old as this at most */

static enum pd_readiness readiness(void *context)
{
	const struct pd_server *server = context;

	if (pd_engine_fence_text(server->engine)[0] != '\0')
		return PD_NOT_READY_FENCED;
	if (server->stopping)
		return PD_NOT_READY_DRAINING;
	if (!server->recovered)
		return PD_NOT_READY_RECOVERING;
	return pd_engine_disk_full(server->engine) ? PD_READY_READS_ONLY : PD_READY;
}

/* The parts of the memory as of now: the engine knows what others hold only as they told it last. */
static void look_at_memory(struct pd_server *server, struct pd_metrics_facts *facts)
{
	pd_engine_note_memory(server->engine, "connections", facts->resp.memory_bytes);
	pd_engine_note_memory(server->engine, "http", facts->http.bytes);
	pd_engine_memory(server->engine, &facts->memory);
}

static void look_at_disk(const struct pd_server *server, struct pd_metrics_facts *facts)
{
	facts->disk_free_bytes = PD_METRIC_UNKNOWN;
	if (!server->options.in_memory &&
	    pd_os_disk_free(server->os, server->options.data_directory, &facts->disk_free_bytes, NULL) != 0)
		facts->disk_free_bytes = PD_METRIC_UNKNOWN;
}

static void look(void *context, struct pd_metrics_facts *facts)
{
	struct pd_server *server = context;
	uint64_t now_us = pd_os_monotonic_ns(server->os) / 1000;
	enum pd_readiness ready = readiness(server);

	pd_resp_front_figures(server->resp, &facts->resp);
	pd_http_front_figures(server->http, &facts->http);
	pd_net_stats(server->net, &facts->net);
	facts->ready = ready <= PD_READY_READS_ONLY;
	facts->recovering = !server->recovered;
	facts->draining = server->stopping;
	facts->fenced = ready == PD_NOT_READY_FENCED;
	facts->disk_full = pd_engine_disk_full(server->engine);
	facts->messages_suppressed = server->messages.suppressed;
	facts->start_us = server->started_real_us;
	facts->connections_max = pd_net_max_connections(server->net);
	if (server->recovered && now_us < server->looked_us + LOOK_EVERY_US)
		return;
	server->looked_us = now_us;
	pd_engine_stats(server->engine, &facts->engine);
	if (!server->recovered)
		facts->engine.recovery = server->recovery;
	facts->state_damaged = facts->engine.state_damage[0] != '\0';
	facts->state_failing = pd_engine_state_failure(&facts->engine)[0] != '\0';
	pd_os_process_look(&facts->process);
	look_at_memory(server, facts);
	look_at_disk(server, facts);
	pd_server_look_at_archive(server, facts);
	pd_server_look_at_backups(server, facts);
}

void pd_server_open_pages(struct pd_server *server)
{
	server->pages = (struct pd_pages_source){ .look = look, .readiness = readiness, .server = server };
}
