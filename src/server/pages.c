#include "server/pages.h"

#include <stdio.h>

#include "base/timestamp.h"
#include "base/utf8.h"

static int say_ok(struct pd_http_page *page, const char *text)
{
	page->content_type = "text/plain; charset=utf-8";
	return pd_buffer_append_slice(page->body, pd_slice_string(text));
}

/* The process runs and its loop turns: to restart it would help nobody. */
static int answer_livez(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	(void)context;
	(void)request;
	return say_ok(page, "ok\n");
}

static unsigned percent_of(const struct pd_recovery *recovery)
{
	if (recovery->total_bytes == 0 || recovery->bytes >= recovery->total_bytes)
		return recovery->total_bytes == 0 ? 0 : 100;
	return (unsigned)(recovery->bytes * 100 / recovery->total_bytes);
}

static void say_not_ready(struct pd_http_page *page, enum pd_readiness readiness,
			  const struct pd_recovery *recovery)
{
	page->status = 503;
	page->retry_after_s = 1;
	switch (readiness) {
	case PD_NOT_READY_RECOVERING:
		(void)snprintf(page->detail, sizeof page->detail,
			       "recovering: the log is being replayed (%u%%, %llu records so far)",
			       percent_of(recovery), (unsigned long long)recovery->records);
		break;
	case PD_NOT_READY_DRAINING:
		(void)snprintf(page->detail, sizeof page->detail,
			       "draining: the server was told to end, and takes no new clients");
		break;
	case PD_NOT_READY_FENCED:
		page->retry_after_s = 0;
		(void)snprintf(
			page->detail, sizeof page->detail,
			"fenced: a write to the log failed; look after the disk, then restart the server");
		break;
	default:
		(void)snprintf(page->detail, sizeof page->detail,
			       "disk full: reads are served, writes are refused until there is room");
		break;
	}
}

/* With ?writes, a server that takes no writes is not ready either. */
static int answer_readyz(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	struct pd_pages_source *source = context;
	enum pd_readiness readiness = source->readiness(source->server);

	if (readiness == PD_READY ||
	    (readiness == PD_READY_READS_ONLY && !pd_slice_equal(request->query, pd_slice_string("writes"))))
		return say_ok(page, "ready\n");
	source->look(source->server, &source->facts);
	say_not_ready(page, readiness, &source->facts.engine.recovery);
	return 0;
}

/* ---- /health ---- */

/* A moment as JSON; 0 is none. */
static const char *format_time(uint64_t real_us, char text[PD_TIMESTAMP_SIZE + 2])
{
	char moment[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(real_us, 0, moment);
	if (real_us == 0 || moment[0] == '\0')
		return "null";
	(void)snprintf(text, PD_TIMESTAMP_SIZE + 2, "\"%s\"", moment);
	return text;
}

static const char *status_of(enum pd_readiness readiness, const struct pd_metrics_facts *facts)
{
	if (readiness > PD_READY_READS_ONLY)
		return "unhealthy";
	if (facts->disk_full != 0 || facts->state_damaged != 0 || facts->state_failing != 0 ||
	    facts->engine.recovery.quarantined_actors > 0 || facts->engine.recovery.damage_count > 0)
		return "degraded";
	return "healthy";
}

static const char *state_of_log(const struct pd_metrics_facts *facts)
{
	if (facts->fenced != 0)
		return "fenced";
	if (facts->recovering != 0)
		return "recovering";
	return facts->engine.recovery.damage_count > 0 ? "damaged" : "connected";
}

static const char *state_of_store(const struct pd_metrics_facts *facts)
{
	if (facts->state_damaged != 0)
		return "damaged";
	return facts->state_failing != 0 ? "failing" : "ok";
}

static int write_why(struct pd_buffer *body, const struct pd_engine_stats *stats)
{
	const char *why = stats->state_damage[0] != '\0' ? stats->state_damage
							 : pd_engine_state_failure(stats);
	int result = pd_buffer_append_slice(body, pd_slice_string(",\"store_failure\":"));

	if (result != 0)
		return result;
	return why[0] != '\0' ? pd_append_json_string(body, pd_slice_string(why))
			      : pd_buffer_append(body, "null", 4);
}

static int write_health(struct pd_buffer *body, const char *status, const struct pd_metrics_facts *facts)
{
	const struct pd_engine_stats *stats = &facts->engine;
	char snapshot[PD_TIMESTAMP_SIZE + 2];
	int result = pd_buffer_printf(
		body,
		"{\"status\":\"%s\",\"components\":{\"wal\":\"%s\",\"store\":\"%s\",\"disk\":\"%s\"},"
		"\"applier_lag_ms\":%s,\"last_snapshot\":%s,\"version\":\"" PD_VERSION "\","
		"\"epoch\":%llu,\"durable_lsn\":%llu,\"tail_lsn\":%llu,\"applied_lsn\":%llu,"
		"\"quarantined_actors\":%llu,\"damaged_places\":%llu,\"recovery_percent\":%u",
		status, state_of_log(facts), state_of_store(facts), facts->disk_full != 0 ? "full" : "ok",
		/* What is in the log is visible as soon as it is evaluated: only a replay is behind. */
		facts->recovering != 0 ? "null" : "0", format_time(stats->checkpoint_us, snapshot),
		(unsigned long long)stats->epoch, (unsigned long long)stats->marks.durable_lsn,
		(unsigned long long)stats->marks.tail_lsn, (unsigned long long)stats->store.applied.lsn,
		(unsigned long long)stats->recovery.quarantined_actors,
		(unsigned long long)stats->recovery.damage_count,
		facts->recovering != 0 ? percent_of(&stats->recovery) : 100);

	if (result == 0)
		result = write_why(body, stats);
	return result == 0 ? pd_buffer_append(body, "}\n", 2) : result;
}

static int answer_health(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	struct pd_pages_source *source = context;
	enum pd_readiness readiness = source->readiness(source->server);
	const char *status;

	(void)request;
	source->look(source->server, &source->facts);
	status = status_of(readiness, &source->facts);
	page->status = readiness > PD_READY_READS_ONLY ? 503 : 200;
	page->content_type = "application/json";
	return write_health(page->body, status, &source->facts);
}

/* ---- /metrics ---- */

static int answer_metrics(void *context, const struct pd_http_request *request, struct pd_http_page *page)
{
	/* Prometheus asks for OpenMetrics by name; who does not say gets what every reader of metrics knows, promtool among them. */
	static const char *const types[] = { "text/plain", "application/openmetrics-text", NULL };
	struct pd_pages_source *source = context;
	bool open = pd_http_choose_type(request, types) == 1;

	source->look(source->server, &source->facts);
	page->content_type = open ? PD_METRICS_TYPE_OPENMETRICS : PD_METRICS_TYPE_TEXT;
	return pd_metrics_write(page->body, open ? PD_METRICS_OPENMETRICS : PD_METRICS_TEXT, &source->facts);
}

const struct pd_http_route pd_pages[] = {
	{ .path = "/livez", .answer = answer_livez, .open = true },
	{ .path = "/readyz", .answer = answer_readyz, .open = true },
	{ .path = "/health", .answer = answer_health },
	{ .path = "/metrics", .answer = answer_metrics, .costly = true },
	{ .path = NULL },
};
