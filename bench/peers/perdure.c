/* Perdure's engine in this process, driven as the server drives it: commands one by one, a step for a group, strict. A put
 * that is told to come again does so, with steps meanwhile. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "engine/engine.h"
#include "engine/upkeep.h"
#include "model/kv/kv.h"
#include "os/os.h"
#include "peers/subject.h"

#define REPLY_BYTES_MAX (1024 * 1024)
#define STEP_EVERY      64   /* gets between two steps */
#define LOOK_US         1000 /* a descriptor that never tells: look again */
#define SCAN_COUNT      "1000"
#define NAME_SIZE       10u /* "{a0000000}" */

struct subject {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	const struct pd_command *set, *get, *del, *scan;
	struct pd_buffer replies;
	struct pd_resp_writer writer;
	struct pd_wait wait; /* of the last request */
	struct pd_wait flights[BENCH_FLIGHT_MAX];
	unsigned flight_head, flight_count;
	struct subject_figures figures;
	unsigned gets;
};

static _Noreturn void fail(const char *what, const struct pd_error *err)
{
	bench_die("perdure", what, err == NULL ? "" : err->text);
}

static const struct pd_command *find_command(const char *name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++) {
		if (strcmp(pd_kv_commands[i].name, name) == 0)
			return &pd_kv_commands[i];
	}
	fail(name, NULL);
}

/* ---- life ---- */

static struct pd_engine_options options_of(const struct subject_config *config, struct pd_os *os)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;

	options.os = os;
	options.data_directory = config->directory;
	options.memory_budget_bytes = config->budget_bytes;
	options.compaction_bytes_per_s = config->compaction_bytes_per_s;
	options.retention_s = 0;
	options.retention_bytes = config->retention_bytes;
	if (config->all_in_memory)
		options.levels = PD_LEVELS_NONE;
	return options;
}

static void recover(struct subject *subject)
{
	struct pd_recovery progress = { 0 };
	struct pd_error err = { 0 };

	while (!progress.done) {
		if (pd_engine_recover(subject->engine, 100000, &progress, &err) != 0)
			fail("cannot recover", &err);
	}
	subject->figures.recovered_records = progress.records;
	subject->figures.recovered_bytes = progress.bytes;
}

static struct subject *open_engine(const struct subject_config *config)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	struct pd_engine_options options;
	struct pd_error err = { 0 };

	if (subject == NULL || pd_os_real_new(&subject->os, &err) != 0)
		fail("cannot open the system", &err);
	options = options_of(config, subject->os);
	if (pd_engine_open(&options, &subject->engine, &err) != 0)
		fail("cannot open the engine", &err);
	recover(subject);
	subject->session = pd_session_new(subject->engine, 1, "bench", "store_bench");
	if (subject->session == NULL)
		fail("no memory for a session", NULL);
	subject->set = find_command("set");
	subject->get = find_command("get");
	subject->del = find_command("del");
	subject->scan = find_command("scan");
	pd_buffer_init(&subject->replies, REPLY_BYTES_MAX);
	subject->writer = (struct pd_resp_writer){ .buffer = &subject->replies, .protocol = 2 };
	return subject;
}

static void close_engine(struct subject *subject)
{
	struct pd_error err = { 0 };

	pd_session_free(subject->session);
	if (pd_engine_close(subject->engine, &err) != 0)
		fail("cannot close the engine", &err);
	pd_buffer_done(&subject->replies);
	pd_os_free(subject->os);
	free(subject);
}

/* ---- requests ---- */

static void step(struct subject *subject)
{
	if (pd_engine_step(subject->engine) != 0)
		bench_die("perdure", "fenced", pd_engine_fence_text(subject->engine));
}

/* Until the log has something to collect, a step is due, or this moment has come. */
static void wait_until(struct subject *subject, uint64_t until_us)
{
	struct pollfd ready = { .fd = pd_engine_descriptor(subject->engine), .events = POLLIN };
	uint64_t deadline = pd_engine_deadline_us(subject->engine), now = bench_now_ns() / 1000;
	struct timespec patience;

	if (deadline < until_us)
		until_us = deadline;
	if (until_us <= now)
		return;
	if (ready.fd < 0 && until_us > now + LOOK_US)
		until_us = now + LOOK_US;
	patience = (struct timespec){ .tv_sec = (time_t)((until_us - now) / 1000000),
				      .tv_nsec = (long)((until_us - now) % 1000000 * 1000) };
	if (ppoll(&ready, ready.fd < 0 ? 0 : 1, &patience, NULL) < 0 && errno != EINTR)
		bench_die("perdure", "cannot poll", strerror(errno));
}

static void come_again(struct subject *subject, uint64_t after_us)
{
	uint64_t until = bench_now_ns() / 1000 + after_us;

	subject->figures.told_to_wait++;
	do {
		step(subject);
		wait_until(subject, until);
	} while (bench_now_ns() / 1000 < until);
}

static void execute(struct subject *subject, const struct pd_command *command, const struct pd_slice *words,
		    size_t count)
{
	struct pd_request_command one = { .command = command, .words = words, .count = count };
	struct pd_request request = { .session = subject->session, .commands = &one, .count = 1 };
	struct pd_receipt receipt;
	struct pd_error err = { 0 };
	int result;

	while ((result = pd_engine_execute(subject->engine, &request, &subject->writer, &receipt, &err)) ==
	       PD_AGAIN)
		come_again(subject, receipt.retry_us);
	if (result != 0)
		fail(command->name, &err);
	if (subject->writer.failed != 0)
		fail("the reply did not fit", NULL);
	subject->wait = receipt.wait;
}

static bool settled(struct subject *subject, const struct pd_wait *wait)
{
	int result = pd_engine_settled(subject->engine, wait);

	if (result < 0)
		bench_die("perdure", "will never settle", pd_engine_fence_text(subject->engine));
	return result > 0;
}

static void settle(struct subject *subject, const struct pd_wait *wait)
{
	for (;;) {
		step(subject);
		if (settled(subject, wait))
			return;
		wait_until(subject, UINT64_MAX);
	}
}

static void commit(struct subject *subject)
{
	settle(subject, &subject->wait);
	pd_buffer_clear(&subject->replies);
}

static void submit(struct subject *subject)
{
	unsigned at = (subject->flight_head + subject->flight_count++) % BENCH_FLIGHT_MAX;

	step(subject);
	subject->flights[at] = subject->wait;
	pd_buffer_clear(&subject->replies);
}

static bool landed(struct subject *subject, bool wait)
{
	const struct pd_wait *oldest = &subject->flights[subject->flight_head];

	if (wait)
		settle(subject, oldest);
	else if (!settled(subject, oldest))
		return false;
	subject->flight_head = (subject->flight_head + 1) % BENCH_FLIGHT_MAX;
	subject->flight_count--;
	return true;
}

/* ---- rows ---- */

static void actor_name(uint64_t actor, uint8_t name[NAME_SIZE])
{
	memcpy(name, "{a0000000}", NAME_SIZE);
	for (unsigned i = NAME_SIZE - 2; i > 1; i--) {
		name[i] = (uint8_t)('0' + actor % 10);
		actor /= 10;
	}
}

static struct pd_slice key_of(const struct bench_row *row, uint8_t text[NAME_SIZE + BENCH_KEY_SIZE_MAX])
{
	actor_name(row->actor, text);
	memcpy(text + NAME_SIZE, row->key, row->key_size);
	return pd_slice(text, NAME_SIZE + row->key_size);
}

static void put(struct subject *subject, const struct bench_row *row)
{
	uint8_t text[NAME_SIZE + BENCH_KEY_SIZE_MAX];
	struct pd_slice words[] = { pd_slice_string("SET"), key_of(row, text),
				    pd_slice(row->value, BENCH_VALUE_SIZE) };

	execute(subject, subject->set, words, 3);
}

static void put_expiring(struct subject *subject, const struct bench_row *row, unsigned after_ms)
{
	uint8_t text[NAME_SIZE + BENCH_KEY_SIZE_MAX];
	char time[16];
	struct pd_slice words[] = { pd_slice_string("SET"), key_of(row, text),
				    pd_slice(row->value, BENCH_VALUE_SIZE), pd_slice_string("PX"),
				    pd_slice(time, 0) };

	words[4].size = (size_t)snprintf(time, sizeof(time), "%u", after_ms);
	execute(subject, subject->set, words, 5);
}

static void delete_row(struct subject *subject, const struct bench_row *row)
{
	uint8_t text[NAME_SIZE + BENCH_KEY_SIZE_MAX];
	struct pd_slice words[] = { pd_slice_string("DEL"), key_of(row, text) };

	execute(subject, subject->del, words, 2);
}

static const uint8_t *get(struct subject *subject, const struct bench_row *row)
{
	static const char head[] = "$100\r\n";
	uint8_t text[NAME_SIZE + BENCH_KEY_SIZE_MAX];
	struct pd_slice words[] = { pd_slice_string("GET"), key_of(row, text) };

	_Static_assert(BENCH_VALUE_SIZE == 100, "the reply begins with the value's size");
	if (++subject->gets % STEP_EVERY == 0)
		step(subject);
	pd_buffer_clear(&subject->replies);
	execute(subject, subject->get, words, 2);
	if (!pd_slice_starts_with(pd_buffer_slice(&subject->replies), pd_slice_string(head)))
		return NULL;
	return subject->replies.data + sizeof(head) - 1;
}

/* ---- scans ---- */

static uint64_t hash(struct subject *subject, struct pd_slice actor)
{
	struct pd_hash128 result;
	struct pd_error err = { 0 };

	if (pd_engine_state_hash(subject->engine, subject->session, actor, &result, &err) != 0)
		fail("cannot hash the state", &err);
	return UINT64_MAX;
}

static uint64_t scan_actor(struct subject *subject, uint64_t actor)
{
	uint8_t name[NAME_SIZE];

	actor_name(actor, name);
	return hash(subject, pd_slice(name + 1, NAME_SIZE - 2));
}

static uint64_t scan_all(struct subject *subject)
{
	return hash(subject, pd_slice(NULL, 0));
}

/* One call of SCAN. The cursor of its reply replaces `cursor`; how many keys there were. */
static uint64_t scan_some(struct subject *subject, char cursor[32])
{
	struct pd_slice words[] = { pd_slice_string("SCAN"), pd_slice_string(cursor),
				    pd_slice_string("COUNT"), pd_slice_string(SCAN_COUNT) };
	const char *text, *end;

	pd_buffer_clear(&subject->replies);
	execute(subject, subject->scan, words, 4);
	if (pd_buffer_append(&subject->replies, "", 1) != 0)
		fail("the reply did not fit", NULL);
	/* "*2\r\n$<size>\r\n<cursor>\r\n*<keys>\r\n" */
	text = strstr((const char *)subject->replies.data + 4, "\r\n");
	end = text == NULL ? NULL : strstr(text + 2, "\r\n*");
	if (end == NULL || end - text - 2 >= 32)
		fail("an unexpected reply to SCAN", NULL);
	(void)snprintf(cursor, 32, "%.*s", (int)(end - text - 2), text + 2);
	return strtoull(end + 3, NULL, 10);
}

static uint64_t scan_keys(struct subject *subject, uint64_t actor)
{
	uint8_t name[NAME_SIZE];
	char cursor[32] = "0";
	struct pd_error err = { 0 };
	uint64_t rows = 0;

	actor_name(actor, name);
	if (pd_session_use(subject->session, pd_slice(name + 1, NAME_SIZE - 2), &err) != 0)
		fail("cannot use an actor", &err);
	do {
		rows += scan_some(subject, cursor);
		step(subject);
	} while (strcmp(cursor, "0") != 0);
	if (pd_session_use(subject->session, pd_slice(NULL, 0), &err) != 0)
		fail("cannot leave an actor", &err);
	return rows;
}

/* ---- upkeep ---- */

static bool checkpoint_begin(struct subject *subject, const char *path)
{
	struct pd_error err = { 0 };
	int result = pd_engine_upkeep_start(subject->engine, PD_UPKEEP_CHECKPOINT, &err);

	(void)path;
	if (result != 0 && result != PD_NOT_SUPPORTED)
		fail("cannot start a checkpoint", &err);
	return result == 0;
}

static bool checkpoint_running(struct subject *subject)
{
	struct pd_upkeep_status status;

	step(subject);
	pd_engine_upkeep_status(subject->engine, &status);
	if (!status.running && status.result != 0)
		bench_die("perdure", "the checkpoint failed", status.text);
	return status.running;
}

static void checkpoint_cost(struct subject *subject, uint64_t *ret_work_us, uint64_t *ret_read_bytes)
{
	struct pd_upkeep_status status;

	pd_engine_upkeep_status(subject->engine, &status);
	*ret_work_us = status.work_us;
	*ret_read_bytes = status.read_bytes;
}

static void idle(struct subject *subject)
{
	step(subject);
	wait_until(subject, bench_now_ns() / 1000 + BENCH_IDLE_MS * 1000);
}

static void figures(struct subject *subject, struct subject_figures *ret_figures)
{
	struct pd_engine_stats stats;

	pd_engine_stats(subject->engine, &stats);
	*ret_figures = subject->figures;
	ret_figures->memory_bytes = stats.memory_bytes;
	ret_figures->level0_files = stats.store.levels.level0_files;
	ret_figures->running_compactions = stats.store.levels.running_compactions;
	ret_figures->pending_compaction_bytes = stats.store.levels.pending_compaction_bytes;
}

const struct subject_ops bench_subject_perdure = {
	.name = "Perdure",
	.open = open_engine,
	.close = close_engine,
	.put = put,
	.remove = delete_row,
	.put_expiring = put_expiring,
	.commit = commit,
	.submit = submit,
	.landed = landed,
	.get = get,
	.scan_actor = scan_actor,
	.scan_all = scan_all,
	.scan_keys = scan_keys,
	.checkpoint_begin = checkpoint_begin,
	.checkpoint_running = checkpoint_running,
	.checkpoint_cost = checkpoint_cost,
	.idle = idle,
	.figures = figures,
};
