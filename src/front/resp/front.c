/* The turn: who runs when, and when replies go out. */
#include "front/resp/front.h"

#include <stdio.h>
#include <string.h>

#include "backup/job.h"
#include "base/assert.h"
#include "base/memory.h"
#include "engine/upkeep.h"
#include "front/resp/front_private.h"
#include "history/job.h"
#include "restore/job.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"
#include "os/os.h"
#include "security/login.h"

#define IDLE_NS 2000000000u /* a client that has said nothing for so long gives its buffers back */

/* ---- life ---- */

static int add_front_commands(struct pd_resp_registry *registry, struct pd_error *err)
{
	const struct pd_resp_commands *const tables[] = {
		&pd_resp_commands_connection, &pd_resp_commands_client,   &pd_resp_commands_command,
		&pd_resp_commands_config,     &pd_resp_commands_server,   &pd_resp_commands_transaction,
		&pd_resp_commands_perdure,    &pd_resp_commands_upkeep,   &pd_resp_commands_archive,
		&pd_resp_commands_pubsub,     &pd_resp_commands_memory,   &pd_resp_commands_debug,
		&pd_resp_commands_latency,    &pd_resp_commands_actor,    &pd_resp_commands_acl,
		&pd_resp_commands_lease,      &pd_resp_commands_profile,  &pd_resp_commands_history,
		&pd_resp_commands_restore,    &pd_resp_commands_snapshot, &pd_resp_commands_transfer,
		&pd_resp_commands_backup,
	};

	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
		for (size_t i = 0; i < tables[t]->count; i++) {
			const struct pd_resp_command *own = tables[t]->commands + i;
			int result = pd_resp_registry_add(registry, &own->command, own, err);

			if (result != 0)
				return result;
		}
	return 0;
}

static int build_registry(struct pd_resp_registry *registry, struct pd_error *err)
{
	int result;

	pd_resp_registry_init(registry);
	for (size_t i = 0; i < pd_kv_command_count; i++) {
		result = pd_resp_registry_add(registry, pd_kv_commands + i, NULL, err);
		if (result != 0)
			return result;
	}
	for (size_t i = 0; result == 0 && i < pd_relation_command_count; i++)
		result = pd_resp_registry_add(registry, pd_relation_commands + i, NULL, err);
	if (result == 0)
		result = add_front_commands(registry, err);
	if (result != 0)
		return result;
	return pd_resp_registry_seal(registry, err);
}

int pd_resp_front_new(const struct pd_resp_front_options *options, struct pd_resp_front **ret_front,
		      struct pd_error *err)
{
	struct pd_resp_front *front = pd_calloc(1, sizeof *front);
	uint64_t seed;
	int result;

	if (front == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the Redis door");
	front->options = *options;
	front->os = options->os;
	front->net = options->net;
	front->engine = options->engine;
	front->turn = 1;
	front->started_ns = front->clock_ns = pd_os_monotonic_ns(front->os);
	front->started_real_us = pd_os_real_us(front->os);
	pd_resp_slowlog_init(&front->slowlog);
	pd_resp_memory_init(front, options->memory_max != 0 ? options->memory_max : UINT64_MAX);
	pd_os_random(front->os, &seed, sizeof seed);
	pd_resp_pubsub_init(&front->pubsub, seed);
	pd_resp_push_init(front);
	pd_buffer_init(&front->keyspace_text, PD_KEY_SIZE_MAX + 1024);
	result = build_registry(&front->registry, err);
	if (result == 0 && options->notify_keyspace_events != NULL)
		result = pd_resp_keyspace_set(front, pd_slice_string(options->notify_keyspace_events), err);
	if (result != 0) {
		pd_resp_front_free(front);
		return result;
	}
	*ret_front = front;
	return 0;
}

void pd_resp_front_free(struct pd_resp_front *front)
{
	if (front == NULL)
		return;
	while (front->client_count > 0)
		pd_resp_client_close(front->clients[front->client_count - 1]);
	pd_history_jobs_free(front->history_jobs);
	pd_restore_jobs_free(front->restore_jobs);
	pd_backup_jobs_free(front->backup_jobs);
	pd_resp_pubsub_done(&front->pubsub);
	pd_resp_push_done(front);
	pd_buffer_done(&front->keyspace_text);
	pd_resp_registry_done(&front->registry);
	pd_resp_slowlog_clear(&front->slowlog);
	pd_free(front->touched.items);
	pd_free(front->holding.items);
	pd_free(front->stalled.items);
	pd_free(front->clients);
	pd_free(front);
}

void pd_resp_front_set_memory(struct pd_resp_front *front, uint64_t max, uint64_t budget)
{
	front->options.memory_max = max;
	front->options.memory_budget = budget;
	pd_resp_memory_limit(front, max != 0 ? max : UINT64_MAX);
}

void pd_resp_front_set_archive(struct pd_resp_front *front, const struct pd_archive *archive)
{
	front->archive = archive;
}

void pd_resp_front_set_scheduler(struct pd_resp_front *front, const struct pd_backup_scheduler *scheduler)
{
	front->scheduler = scheduler;
}

struct pd_backup_jobs *pd_resp_front_backup_jobs(struct pd_resp_front *front)
{
	if (front->backup_jobs == NULL)
		front->backup_jobs = pd_backup_jobs_new(front->engine);
	return front->backup_jobs;
}

void pd_resp_front_set_loading(struct pd_resp_front *front, const struct pd_recovery *progress)
{
	front->loading = progress != NULL;
	if (progress != NULL)
		front->progress = *progress;
}

void pd_resp_front_set_slowlog(struct pd_resp_front *front, int64_t slower_than_us, size_t max)
{
	front->slowlog.slower_than_us = slower_than_us;
	pd_resp_slowlog_set_max(&front->slowlog, max);
}

int pd_resp_front_set_notify(struct pd_resp_front *front, const char *letters, struct pd_error *err)
{
	return pd_resp_keyspace_set(front, pd_slice_string(letters), err);
}

size_t pd_resp_front_holding(const struct pd_resp_front *front)
{
	return front->holding.count;
}

size_t pd_resp_front_client_count(const struct pd_resp_front *front)
{
	return front->client_count;
}

bool pd_resp_front_wants_shutdown(const struct pd_resp_front *front)
{
	return front->shutdown;
}

/* ---- lists ---- */

void pd_resp_front_touch(struct pd_resp_client *client)
{
	struct pd_resp_front *front = client->front;

	if (!client->touched) {
		client->touched = true;
		front->touched.items[front->touched.count++] = client;
	}
	if (client->hold.count > 0 && !client->holding) {
		client->holding = true;
		front->holding.items[front->holding.count++] = client;
	}
}

void pd_resp_front_stall(struct pd_resp_client *client, unsigned why)
{
	struct pd_resp_front *front = client->front;

	if ((why & ~client->stall & PD_RESP_STALL_MEMORY) != 0)
		front->memory.waiting++;
	client->stall |= why;
	if (!client->stalled) {
		client->stalled = true;
		front->stalled.items[front->stalled.count++] = client;
	}
}

void pd_resp_front_unstall(struct pd_resp_client *client, unsigned left)
{
	if ((client->stall & ~left & PD_RESP_STALL_MEMORY) != 0)
		client->front->memory.waiting--;
	client->stall = left;
}

bool pd_resp_front_paused(const struct pd_resp_front *front, const struct pd_resp_client *client,
			  const struct pd_resp_entry *entry)
{
	/* Somebody must be able to end it. */
	if (front->pause_until_ns == 0 || strcmp(entry->name.text, "client|unpause") == 0)
		return false;
	if (!front->pause_writes_only)
		return true;
	if ((entry->command.flags & PD_COMMAND_WRITE) != 0)
		return !client->transaction.open;
	/* EXEC may hold writes. */
	return client->transaction.open && !client->transaction.poisoned &&
	       strcmp(entry->name.text, "exec") == 0;
}

static void end_pause(struct pd_resp_front *front)
{
	if (front->pause_until_ns != 0 && pd_os_monotonic_ns(front->os) >= front->pause_until_ns)
		front->pause_until_ns = 0;
}

/* Which of the reasons to wait still hold? Memory is given out in the order in which clients have come to wait for it:
 * *short_of_memory says, and is told, whether somebody earlier in the list still does. */
static unsigned stall_left(const struct pd_resp_client *client, uint64_t now_ns, bool *short_of_memory)
{
	unsigned left = client->stall;

	if (now_ns >= client->brake_until_ns ||
	    (client->order_waits && !pd_restore_job_waits(client->restore_job)))
		left &= ~(unsigned)PD_RESP_STALL_BRAKE;

	if ((left & PD_RESP_STALL_MEMORY) != 0) {
		bool fits = pd_resp_memory_would_fit(client);

		*short_of_memory = *short_of_memory || !fits;
		if (!*short_of_memory || pd_resp_memory_is_small(client))
			left &= ~(unsigned)PD_RESP_STALL_MEMORY;
	}
	if (pd_resp_client_unsent(client) < client->front->memory.unsent_max / 2)
		left &= ~(unsigned)PD_RESP_STALL_UNSENT;
	if (client->stream == NULL)
		left &= ~(unsigned)PD_RESP_STALL_STREAM;
	if (client->hold.count == 0)
		left &= ~(unsigned)PD_RESP_STALL_HELD;
	if (client->front->pause_until_ns == 0)
		left &= ~(unsigned)PD_RESP_STALL_PAUSE;
	if (client->login == NULL || pd_login_state(client->login) != PD_LOGIN_PENDING)
		left &= ~(unsigned)PD_RESP_STALL_LOGIN;
	return left;
}

/* ---- a turn ---- */

void pd_resp_front_accepted(struct pd_resp_front *front, struct pd_connection *connection)
{
	bool is_operator = front->options.operator_tag != 0 && connection->tag == front->options.operator_tag;

	/* One whose handshake was under way when the listeners went. */
	if (front->stopping) {
		pd_connection_close(connection);
	} else if (!is_operator && !pd_resp_memory_admits(front)) {
		static const char text[] = "-OOM there is no memory for another client\r\n";

		if (pd_buffer_append(&connection->output, text, sizeof text - 1) == 0)
			(void)pd_connection_send(connection, connection->output.size);
		pd_connection_close(connection);
	} else if (pd_resp_client_new(front, connection, is_operator) != 0) {
		pd_connection_close(connection);
	}
}

void pd_resp_front_readable(struct pd_resp_front *front, struct pd_connection *connection)
{
	struct pd_resp_client *client = connection->owner;
	int result;

	if (client == NULL || client->stall != 0 || client->closing)
		return;
	result = pd_connection_receive(connection, client->skipping ? 0 : client->input_wanted);
	switch (result) {
	case 0:
		break;
	case PD_AGAIN:
		return;
	case PD_END:
		/* The client has said everything; what it has asked is still answered. */
		client->closing = true;
		pd_connection_want_input(connection, false);
		pd_resp_front_touch(client);
		return;
	default:
		pd_resp_client_close(client);
		return;
	}
	client->last_ns = front->clock_ns = pd_os_monotonic_ns(front->os);
	pd_resp_client_run(client);
}

void pd_resp_front_writable(struct pd_resp_front *front, struct pd_connection *connection)
{
	struct pd_resp_client *client = connection->owner;

	front->clock_ns = pd_os_monotonic_ns(front->os);
	if (client != NULL)
		(void)pd_resp_client_send(client);
}

void pd_resp_front_resume(struct pd_resp_front *front)
{
	size_t count = front->stalled.count;
	bool short_of_memory = false;

	if (front->options.logins != NULL)
		pd_logins_step(front->options.logins);
	if (count == 0)
		return;
	end_pause(front);
	if (front->restore_jobs != NULL)
		pd_restore_jobs_work(front->restore_jobs);
	front->clock_ns = pd_os_monotonic_ns(front->os);
	/* Those that must go on waiting come back at the end of the list. */
	for (size_t i = 0; i < count; i++) {
		struct pd_resp_client *client = front->stalled.items[i];

		if (client == NULL)
			continue;
		front->stalled.items[i] = NULL;
		client->stalled = false;
		if (pd_resp_stream_ready(client) && !pd_resp_client_send(client))
			continue;
		if (pd_resp_login_abandoned(client, front->clock_ns)) {
			pd_resp_client_close(client);
			continue;
		}
		pd_resp_front_unstall(client, stall_left(client, front->clock_ns, &short_of_memory));
		if (client->stall != 0) {
			pd_resp_front_stall(client, client->stall);
		} else {
			(void)pd_resp_memory_grant(client, true);
			pd_resp_client_run(client);
		}
	}
	front->stalled.count -= count;
	memmove(front->stalled.items, front->stalled.items + count,
		front->stalled.count * sizeof front->stalled.items[0]);
}

void pd_resp_front_flush(struct pd_resp_front *front)
{
	size_t kept = 0;

	front->turn_ns[front->turn % PD_RESP_TURNS] = front->clock_ns;
	for (size_t i = 0; i < front->touched.count; i++) {
		struct pd_resp_client *client = front->touched.items[i];

		if (client == NULL)
			continue;
		/* One send a client: the one that will have more after the step waits for it. */
		if (client->hold.count > 0 && !client->overrun) {
			front->touched.items[kept++] = client;
			continue;
		}
		client->touched = false;
		front->touched.items[i] = NULL;
		(void)pd_resp_client_send(client);
	}
	front->touched.count = kept;
}

/* These entries of what a client held have been shown. */
static void count_settled(struct pd_resp_front *front, const struct pd_resp_held *entries, size_t count,
			  uint64_t now_ns)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t since_ns = front->turn_ns[entries[i].turn % PD_RESP_TURNS];

		pd_histogram_note_times(&front->counters.settling_time,
					now_ns > since_ns ? now_ns - since_ns : 0, entries[i].replies);
	}
}

/* Show what has settled of one client. false: it is gone. */
static bool release_client(struct pd_resp_client *client, uint64_t now_ns)
{
	struct pd_resp_front *front = client->front;
	const struct pd_resp_held *held = client->hold.entries + client->hold.first;
	size_t held_count = client->hold.count;
	int result = pd_resp_hold_release(&client->hold, front->engine);

	count_settled(front, held, held_count - client->hold.count, now_ns);
	if (result == PD_FENCED) {
		struct pd_error text;

		/* What comes in pieces is the end of the last that is held. */
		if (client->stream != NULL && !pd_resp_hold_last_settles(&client->hold, front->engine)) {
			if (client->stream->pushed.size > 0)
				pd_resp_push_overrun(client, "the log is fenced");
			pd_resp_stream_free(client);
		}
		(void)pd_error_set(&text, PD_FENCED, "FENCED outcome unknown: %s",
				   pd_engine_fence_text(front->engine));
		if (pd_resp_hold_fence(&client->hold, front->engine, &client->connection->output,
				       client->base, text.text) != 0) {
			pd_resp_client_close(client);
			return false;
		}
	}
	return pd_resp_client_send(client);
}

void pd_resp_front_release(struct pd_resp_front *front)
{
	uint64_t now_ns = front->holding.count > 0 ? pd_os_monotonic_ns(front->os) : 0;
	size_t kept = 0;

	pd_resp_keyspace_deliver(front);
	front->turn++;
	for (size_t i = 0; i < front->holding.count; i++) {
		struct pd_resp_client *client = front->holding.items[i];

		if (client == NULL)
			continue;
		/* Out of the way of its own end. */
		front->holding.items[i] = NULL;
		client->holding = false;
		/* A message may have been held for it meanwhile, and so it is in the list again. */
		if (!release_client(client, now_ns) || client->hold.count == 0 || client->holding)
			continue;
		client->holding = true;
		front->holding.items[kept++] = client;
	}
	front->holding.count = kept;
	for (size_t i = 0; i < front->touched.count; i++) {
		if (front->touched.items[i] != NULL)
			front->touched.items[i]->touched = false;
	}
	front->touched.count = 0;
}

static int64_t stalled_timeout_us(const struct pd_resp_front *front)
{
	uint64_t until_ns = UINT64_MAX, now_ns;
	bool short_of_memory = false;

	if (front->stalled.count == 0)
		return -1;
	now_ns = pd_os_monotonic_ns(front->os);
	if (front->pause_until_ns != 0)
		until_ns = front->pause_until_ns;
	if (front->restore_jobs != NULL && !pd_restore_jobs_rest(front->restore_jobs) &&
	    now_ns + PD_RESP_RESTORE_LOOK_NS < until_ns)
		until_ns = now_ns + PD_RESP_RESTORE_LOOK_NS;
	for (size_t i = 0; i < front->stalled.count; i++) {
		const struct pd_resp_client *client = front->stalled.items[i];

		if (client == NULL)
			continue;
		if (pd_resp_stream_ready(client) || stall_left(client, now_ns, &short_of_memory) == 0)
			return 0;
		if ((client->stall & PD_RESP_STALL_BRAKE) != 0 && client->brake_until_ns < until_ns)
			until_ns = client->brake_until_ns;
	}
	if (until_ns == UINT64_MAX)
		return -1;
	return until_ns > now_ns ? (int64_t)((until_ns - now_ns) / 1000 + 1) : 0;
}

int64_t pd_resp_front_timeout_us(const struct pd_resp_front *front)
{
	int64_t stalled = stalled_timeout_us(front);
	int64_t logins = front->options.logins != NULL ? pd_logins_timeout_us(front->options.logins) : -1;

	return logins < 0 || (stalled >= 0 && stalled < logins) ? stalled : logins;
}

void pd_resp_front_tick(struct pd_resp_front *front)
{
	uint64_t now = pd_os_monotonic_ns(front->os);

	for (size_t i = 0; i < front->client_count; i++) {
		struct pd_resp_client *client = front->clients[i];

		if (now - client->last_ns < IDLE_NS)
			continue;
		pd_buffer_shrink(&client->connection->input, 0);
		if (client->hold.count == 0) {
			pd_buffer_shrink(&client->connection->output, 0);
			pd_resp_hold_done(&client->hold);
		}
		pd_resp_memory_count(client);
	}
	if (front->history_jobs != NULL)
		pd_history_jobs_tick(front->history_jobs);
	if (front->restore_jobs != NULL)
		pd_restore_jobs_tick(front->restore_jobs);
	if (front->backup_jobs != NULL)
		pd_backup_jobs_tick(front->backup_jobs);
	pd_resp_latency_tick(front);
	pd_resp_push_tick(front, now);
	pd_resp_front_flush(front);
	pd_resp_memory_tick(front, now);
	pd_engine_note_memory(front->engine, "connections", front->memory.used);
}

bool pd_resp_front_is_busy(const struct pd_resp_front *front)
{
	struct pd_backup_status status;

	if (front->backup_jobs == NULL)
		return false;
	pd_backup_job_status(front->backup_jobs, &status);
	return status.stage != PD_BACKUP_NONE && status.stage != PD_BACKUP_OVER;
}

const char *pd_resp_front_notice(struct pd_resp_front *front)
{
	char *text = front->memory.notice[0] != '\0' ? front->memory.notice : front->pushes.notice;

	(void)snprintf(front->notice, sizeof front->notice, "%s", text);
	text[0] = '\0';
	return front->notice[0] != '\0' ? front->notice : NULL;
}

/* ---- the end ---- */

void pd_resp_front_stop(struct pd_resp_front *front)
{
	front->stopping = true;
	for (size_t i = front->client_count; i > 0; i--) {
		struct pd_resp_client *client = front->clients[i - 1];

		client->closing = true;
		pd_connection_want_input(client->connection, false);
		if (client->hold.count == 0 && pd_resp_client_unsent(client) == 0 && client->stream == NULL)
			pd_resp_client_close(client);
	}
}
