/* The loop: poll, run everything that is ready, one write, reply to all. */
#include <signal.h>

#include "server/server_private.h"

#define RECOVERY_SLICE    20000u    /* records replayed between two looks at the network */
#define TICK_US           1000000u  /* how often idle clients are looked after */
#define NOTICE_US         10000000u /* between two lines about clients */
#define DRAIN_US          5000000u  /* what clients get at the end to take their replies */
#define UNSETTLED_LOOK_US 1000      /* held replies and no descriptor that tells: look again */

static uint64_t now_us(const struct pd_server *server)
{
	return pd_os_monotonic_ns(server->os) / 1000;
}

/* ---- what is ready ---- */

static void dispatch(struct pd_server *server, const struct pd_net_event *event)
{
	struct pd_connection *connection = event->connection;
	bool http = connection != NULL && connection->tag == TAG_HTTP;

	if (connection != NULL && connection->descriptor < 0)
		return;
	switch (event->kind) {
	case PD_NET_ACCEPTED:
		pd_message_about(&server->messages, PD_MESSAGE_DEBUG, http ? "http" : "resp", connection->id,
				 "accepted %s", connection->peer);
		if (http)
			pd_http_front_accepted(server->http, connection);
		else
			pd_resp_front_accepted(server->resp, connection);
		break;
	case PD_NET_READABLE:
		if (http)
			pd_http_front_readable(server->http, connection);
		else
			pd_resp_front_readable(server->resp, connection);
		break;
	case PD_NET_WRITABLE:
		if (http)
			pd_http_front_writable(server->http, connection);
		else
			pd_resp_front_writable(server->resp, connection);
		break;
	case PD_NET_WATCH:
		break; /* the engine's step follows anyway */
	case PD_NET_SIGNAL:
		if (event->number == SIGHUP) {
			pd_server_reload(server);
			pd_server_reload_tls(server);
			break;
		}
		pd_message(&server->messages, PD_MESSAGE_INFO, "server",
			   "%s: stopping; a second one ends this process at once",
			   event->number == SIGINT ? "interrupted" : "told to end");
		server->stopping = true;
		break;
	}
}

static int poll_once(struct pd_server *server, int64_t timeout_us, struct pd_error *err)
{
	const struct pd_net_event *events;
	size_t count;
	int result = pd_net_poll(server->net, timeout_us, &events, &count, err);

	if (result != 0)
		return result;
	for (size_t i = 0; i < count; i++)
		dispatch(server, events + i);
	return 0;
}

/* ---- recovery ---- */

int pd_server_recover(struct pd_server *server, struct pd_error *err)
{
	struct pd_server_progress progress;
	struct pd_recovery recovery = { 0 };
	int result = 0;

	pd_server_progress_begin(&progress, server);
	while (!recovery.done && !server->stopping) {
		pd_resp_front_set_loading(server->resp, &recovery);
		result = pd_engine_recover(server->engine, RECOVERY_SLICE, &recovery, err);
		if (result != 0)
			return result;
		server->recovery = recovery;
		pd_server_progress_show(&progress, server, now_us(server));
		pd_server_tell_recovery(server, now_us(server));
		result = poll_once(server, 0, err);
		if (result != 0)
			return result;
		pd_resp_front_resume(server->resp);
		pd_resp_front_flush(server->resp);
		pd_http_front_resume(server->http);
		pd_http_front_tick(server->http);
		if (pd_resp_front_wants_shutdown(server->resp))
			server->stopping = true;
	}
	if (!recovery.done)
		return 0;
	pd_server_progress_end(&progress, &recovery, server);
	result = pd_server_load_users(server, err);
	if (result != 0)
		return result;
	server->recovered = true;
	pd_resp_front_set_loading(server->resp, NULL);
	pd_http_front_loaded(server->http);
	return 0;
}

/* ---- serving ---- */

static int64_t sooner(int64_t a, int64_t b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

/* How long the poll may wait; < 0: for ever. */
static int64_t patience_us(struct pd_server *server)
{
	uint64_t deadline = pd_engine_deadline_us(server->engine);
	int64_t timeout = pd_resp_front_timeout_us(server->resp);
	uint64_t now;

	if (timeout == 0 || pd_http_front_is_due(server->http))
		return 0;
	now = now_us(server);
	if (deadline != UINT64_MAX)
		timeout = sooner(timeout, deadline > now ? (int64_t)(deadline - now) : 0);
	if (pd_resp_front_client_count(server->resp) > 0 || pd_resp_front_is_busy(server->resp) ||
	    pd_http_front_is_busy(server->http) || pd_server_has_tls_notice(server))
		timeout = sooner(timeout,
				 server->next_tick_us > now ? (int64_t)(server->next_tick_us - now) : 0);
	deadline = pd_server_archive_due_us(server);
	if (deadline != UINT64_MAX)
		timeout = sooner(timeout, deadline > now ? (int64_t)(deadline - now) : 0);
	deadline = pd_server_backups_due_us(server);
	if (deadline != UINT64_MAX)
		timeout = sooner(timeout, deadline > now ? (int64_t)(deadline - now) : 0);
	deadline = pd_server_watchdog_due_us(server);
	if (deadline != UINT64_MAX)
		timeout = sooner(timeout, deadline > now ? (int64_t)(deadline - now) : 0);
	if (pd_resp_front_holding(server->resp) > 0 && !server->descriptor_watched)
		timeout = sooner(timeout, UNSETTLED_LOOK_US);
	return timeout;
}

static int watch_engine(struct pd_server *server, struct pd_error *err)
{
	int descriptor = pd_engine_descriptor(server->engine);
	int result;

	if (server->descriptor_watched || descriptor < 0)
		return 0;
	result = pd_net_watch(server->net, descriptor, TAG_ENGINE, err);
	if (result == 0)
		server->descriptor_watched = true;
	return result;
}

static void tick(struct pd_server *server)
{
	uint64_t now = now_us(server);
	const char *notice;

	pd_server_tell_alive(server, now);
	pd_server_tick_archive(server, now);
	pd_server_tick_backups(server, now);
	if (now < server->next_tick_us)
		return;
	server->next_tick_us = now + TICK_US;
	pd_resp_front_tick(server->resp);
	pd_http_front_tick(server->http);
	pd_messages_tick(&server->messages);
	/* Under a load that is too much, the same happens again and again: INFO has the counts. */
	notice = now >= server->next_notice_us ? pd_resp_front_notice(server->resp) : NULL;
	if (notice != NULL) {
		pd_message(&server->messages, PD_MESSAGE_WARNING, "clients", "%s", notice);
		server->next_notice_us = now + NOTICE_US;
	}
	pd_server_notice_state(server, now);
	pd_server_notice_tls(server);
}

/* One write for all that was run, and the replies that it releases. */
static void settle(struct pd_server *server)
{
	int result;

	pd_resp_front_flush(server->resp);
	result = pd_engine_step(server->engine);
	pd_resp_front_release(server->resp);
	/* A fence is told in words, and clients hear of it: there is nothing else to do about it here. */
	if (result != 0 || pd_engine_disk_full(server->engine) != server->disk_full_told)
		pd_server_notice_changes(server);
}

static int turn(struct pd_server *server, struct pd_error *err)
{
	size_t holding;
	int result = poll_once(server, patience_us(server), err);

	if (result != 0)
		return result;
	pd_resp_front_resume(server->resp);
	pd_http_front_resume(server->http);
	/* Whoever has sent something while these were run goes into the same write; nobody can have when all are
	 * waiting for it already. */
	holding = pd_resp_front_holding(server->resp);
	if (holding > 0 && holding < pd_resp_front_client_count(server->resp)) {
		result = poll_once(server, 0, err);
		if (result != 0)
			return result;
	}
	settle(server);
	return 0;
}

int pd_server_serve(struct pd_server *server, struct pd_error *err)
{
	while (!server->stopping) {
		int result = watch_engine(server, err);

		if (result == 0)
			result = turn(server, err);
		if (result != 0)
			return result;
		tick(server);
		if (pd_resp_front_wants_shutdown(server->resp)) {
			pd_message(&server->messages, PD_MESSAGE_INFO, "server", "SHUTDOWN: stopping");
			server->stopping = true;
		}
	}
	return 0;
}

void pd_server_drain(struct pd_server *server)
{
	uint64_t until = now_us(server) + DRAIN_US;
	struct pd_error err;

	pd_server_tell_stopping(server);
	/* Who asks how the server is hears of its end until the end. */
	pd_net_stop_listening(server->net, TAG_HTTP);
	settle(server);
	pd_resp_front_stop(server->resp);
	pd_http_front_stop(server->http);
	while (pd_resp_front_client_count(server->resp) > 0 && now_us(server) < until) {
		if (poll_once(server, UNSETTLED_LOOK_US, &err) != 0)
			return;
		pd_resp_front_resume(server->resp);
		pd_http_front_resume(server->http);
		settle(server);
	}
}
