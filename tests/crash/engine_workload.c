/* The whole engine in this process, driven as a server would drive it. Below the recorded directory: data/.
 *
 * Marks: "recovered N"  opened, and the state is that after request N
 *        "begin N"      request N is about to be executed; "done N": it was strict, and its reply may be shown */
#include "engine_workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "engine/engine.h"
#include "engine/upkeep.h"
#include "model/kv/kv.h"
#include "must.h"
#include "os/os.h"
#include "sim/chance.h"

#include "engine_requests.h"

enum { REQUESTS = 240, REQUESTS_AGAIN = 25, DEPTH_MAX = 4, SEGMENT_BYTES = 64 * 1024 };

struct driver {
	struct pd_os *os;
	char *directory;
	struct pd_engine_options options;
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_recovery recovery;
	struct pd_buffer reply;
	struct pd_receipt receipt;
	struct pd_error err;
	struct request request;
};

static void driver_init(struct driver *driver, const char *root,
			void configure(struct pd_engine_options *options))
{
	*driver = (struct driver){ .options = PD_ENGINE_OPTIONS_DEFAULT };
	if (pd_os_real_new(&driver->os, &driver->err) != 0)
		die("%s", driver->err.text);
	driver->directory = must_print("%s/data", root);
	driver->options.os = driver->os;
	driver->options.data_directory = driver->directory;
	driver->options.segment_bytes = SEGMENT_BYTES;
	driver->options.queue_depth = 1;
	configure(&driver->options);
	pd_buffer_init(&driver->reply, 1024 * 1024);
}

static int driver_close(struct driver *driver)
{
	int result;

	pd_session_free(driver->session);
	driver->session = NULL;
	result = pd_engine_close(driver->engine, &driver->err);
	driver->engine = NULL;
	return result;
}

static void driver_done(struct driver *driver)
{
	(void)driver_close(driver);
	pd_buffer_done(&driver->reply);
	free(driver->directory);
	pd_os_free(driver->os);
}

static int driver_open(struct driver *driver)
{
	int result = pd_engine_open(&driver->options, &driver->engine, &driver->err);

	if (result != 0) {
		driver->engine = NULL;
		return result;
	}
	driver->recovery = (struct pd_recovery){ .done = false };
	while (result == 0 && !driver->recovery.done)
		result = pd_engine_recover(driver->engine, 16, &driver->recovery, &driver->err);
	if (result != 0)
		return result;
	driver->session = pd_session_new(driver->engine, 1, "states", "crash states");
	if (driver->session == NULL)
		die("out of memory");
	return 0;
}

/* ---- requests ---- */

static const struct pd_command *find_command(struct pd_slice name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (pd_slice_equal(name, pd_slice_string(pd_kv_commands[i].name)))
			return &pd_kv_commands[i];
	die("there is no command '%.*s'", (int)name.size, (const char *)name.data);
}

static int execute(struct driver *driver, const struct request_command *commands, size_t count,
		   enum pd_level level, const char *idempotency_key)
{
	struct pd_request_command sent[REQUEST_COMMANDS_MAX];
	struct pd_request request = { .session = driver->session,
				      .commands = sent,
				      .count = count,
				      .as_array = count > 1,
				      .level = level,
				      .idempotency_key = pd_slice_string(idempotency_key) };
	struct pd_resp_writer writer = { .buffer = &driver->reply, .protocol = 2 };

	for (size_t i = 0; i < count; i++)
		sent[i] = (struct pd_request_command){ find_command(commands[i].words[0]), commands[i].words,
						       commands[i].count };
	pd_buffer_clear(&driver->reply);
	return pd_engine_execute(driver->engine, &request, &writer, &driver->receipt, &driver->err);
}

static int send_request(struct driver *driver, uint64_t seed, unsigned number)
{
	request_make(seed, number, &driver->request);
	return execute(driver, driver->request.commands, driver->request.count, driver->request.level,
		       driver->request.idempotency_key);
}

/* Again while the state must first catch up. */
static int send_in_time(struct driver *driver, uint64_t seed, unsigned number)
{
	int result;

	while ((result = send_request(driver, seed, number)) == PD_AGAIN) {
		pd_os_sleep_us(driver->os, 200);
		if (pd_engine_step(driver->engine) != 0)
			return pd_error_set(&driver->err, PD_FENCED, "fenced: %s",
					    pd_engine_fence_text(driver->engine));
	}
	return result;
}

/* Until it may be shown. */
static int settle(struct driver *driver, const struct pd_wait *wait)
{
	for (;;) {
		int result = pd_engine_settled(driver->engine, wait);

		if (result == 0 && pd_engine_step(driver->engine) != 0)
			result = PD_FENCED;
		if (result < 0)
			return pd_error_set(&driver->err, result, "fenced: %s",
					    pd_engine_fence_text(driver->engine));
		if (result == 1)
			return 0;
		if (pd_engine_settled(driver->engine, wait) == 0)
			pd_os_sleep_us(driver->os, 100);
	}
}

/* ---- what is there ---- */

/* The reply to a reading command, without its frame: of a bulk string its bytes. NULL data: null. */
static bool read_one(struct driver *driver, const char *command, const char *key, const char *field,
		     struct pd_slice *ret_value)
{
	struct request_command read = { .words = { pd_slice_string(command) }, .count = 1 };
	const char *text, *end;

	if (key != NULL)
		read.words[read.count++] = pd_slice_string(key);
	if (field != NULL)
		read.words[read.count++] = pd_slice_string(field);
	if (execute(driver, &read, 1, PD_LEVEL_UNSET, "") != 0)
		return false;
	text = (const char *)driver->reply.data;
	end = memchr(text, '\r', driver->reply.size);
	if (end == NULL || text[0] == '-')
		return false;
	*ret_value = pd_slice(text + 1, (size_t)(end - text - 1));
	if (text[0] == '$')
		*ret_value = text[1] == '-'
				     ? pd_slice(NULL, 0)
				     : pd_slice(end + 2, driver->reply.size - (size_t)(end + 2 - text) - 2);
	return true;
}

static bool check_value(struct driver *driver, const char *command, const char *key, const char *field,
			struct pd_slice expected, unsigned number, char *text, size_t text_size)
{
	struct pd_slice value;

	if (!read_one(driver, command, key, field, &value))
		return workload_broken(text, text_size, "after request %u: %s %s fails: %s %.*s", number,
				       command, key, driver->err.text, (int)driver->reply.size,
				       (const char *)driver->reply.data);
	if ((value.data == NULL) != (expected.data == NULL) || !pd_slice_equal(value, expected))
		return workload_broken(text, text_size,
				       "after request %u: %s %s %s: %s of %zu bytes instead of %s of %zu",
				       number, command, key != NULL ? key : "", field != NULL ? field : "",
				       value.data == NULL ? "nothing" : "a value", value.size,
				       expected.data == NULL ? "nothing" : "a value", expected.size);
	return true;
}

static bool check_source(struct driver *driver, uint64_t seed, const char *command, const char *key,
			 const char *field, struct request_source source, unsigned number, char *text,
			 size_t text_size)
{
	uint8_t room[REQUEST_VALUE_MAX];
	struct pd_slice expected = pd_slice(NULL, 0);

	if (source.number != 0)
		expected = request_value(seed, source.number, source.command, room);
	return check_value(driver, command, key, field, expected, number, text, text_size);
}

static bool check_counter(struct driver *driver, const struct request_state *state, unsigned counter,
			  char *text, size_t text_size)
{
	char key[40], digits[24];

	request_key(REQUEST_COUNTER, counter, key);
	(void)snprintf(digits, sizeof digits, "%" PRId64, state->counters[counter]);
	return check_value(driver, "get", key, NULL,
			   state->counted[counter] ? pd_slice_string(digits) : pd_slice(NULL, 0),
			   state->number, text, text_size);
}

static bool check_state(struct driver *driver, uint64_t seed, unsigned number, char *text, size_t text_size)
{
	struct request_state state;
	char key[40], digits[24];

	request_state(seed, number, &state);
	for (unsigned i = 0; i < REQUEST_STRINGS; i++) {
		request_key(REQUEST_STRING, i, key);
		if (!check_source(driver, seed, "get", key, NULL, state.strings[i], number, text, text_size))
			return false;
	}
	for (unsigned i = 0; i < REQUEST_COUNTERS; i++)
		if (!check_counter(driver, &state, i, text, text_size))
			return false;
	for (unsigned i = 0; i < REQUEST_HASHES; i++)
		for (unsigned j = 0; j < REQUEST_FIELDS; j++) {
			char field[40];

			request_key(REQUEST_HASH, i, key);
			(void)snprintf(field, sizeof field, "field-%u", j);
			if (!check_source(driver, seed, "hget", key, field, state.fields[i][j], number, text,
					  text_size))
				return false;
		}
	/* Nothing else. */
	(void)snprintf(digits, sizeof digits, "%u", request_state_keys(&state));
	return check_value(driver, "dbsize", NULL, NULL, pd_slice_string(digits), number, text, text_size);
}

/* The number of the last request that is there; UINT32_MAX: it cannot be read. */
static unsigned last_request(struct driver *driver)
{
	struct pd_slice value;
	int64_t number = 0;

	if (!read_one(driver, "get", "seq", NULL, &value))
		return UINT32_MAX;
	if (value.data != NULL && !pd_slice_to_int64(value, &number))
		return UINT32_MAX;
	return (unsigned)number;
}

/* One that was done is not done again; a new one is, and is there when the engine is opened anew. */
static bool check_going_on(struct driver *driver, uint64_t seed, unsigned number, char *text,
			   size_t text_size)
{
	unsigned again = number - number % 3;

	if (again > 0 && (send_in_time(driver, seed, again) != 0 || !driver->receipt.duplicate))
		return workload_broken(text, text_size, "request %u is done again: %s", again,
				       driver->err.text);
	if (send_in_time(driver, seed, number + 1) != 0 || driver->receipt.duplicate)
		return workload_broken(text, text_size, "request %u is not done: %s", number + 1,
				       driver->err.text);
	if (settle(driver, &driver->receipt.wait) != 0 || driver_close(driver) != 0 ||
	    driver_open(driver) != 0)
		return workload_broken(text, text_size, "after request %u: %s", number + 1, driver->err.text);
	if (last_request(driver) != number + 1)
		return workload_broken(text, text_size, "request %u is gone", number + 1);
	return check_state(driver, seed, number + 1, text, text_size);
}

/* A crash must not cost the state, however little is lost with it. */
static bool check_rebuilt(struct driver *driver, const struct workload_case *given, char *text,
			  size_t text_size)
{
	if (!driver->recovery.rebuilt || given->model == DISK_POSIX)
		return true;
	return workload_broken(text, text_size, "the state is no good: %s", driver->recovery.rebuilt_why);
}

static bool check_recovered(struct driver *driver, const struct workload_case *given, char *text,
			    size_t text_size)
{
	unsigned start = (unsigned)workload_found_at_start(given);
	unsigned least = (unsigned)workload_last_mark(given, given->known, "done", start);
	unsigned most = (unsigned)workload_last_mark(given, given->begun, "begin", start), number;
	uint64_t seed = given->options->seed;
	struct chance chance = { given->chance };

	if (!check_rebuilt(driver, given, text, text_size))
		return false;
	if (driver->recovery.damage_count > 0 || driver->recovery.quarantined_actors > 0)
		return workload_broken(text, text_size,
				       "%" PRIu64 " damaged places, %" PRIu64 " actors quarantined: %s",
				       driver->recovery.damage_count, driver->recovery.quarantined_actors,
				       pd_engine_damage(driver->engine, 0) != NULL
					       ? pd_engine_damage(driver->engine, 0)->text
					       : "");
	number = last_request(driver);
	if (number < least || number > most)
		return workload_broken(text, text_size, "request %d is the last, must be between %u and %u",
				       (int)number, least, most);
	return check_state(driver, seed, number, text, text_size) &&
	       (!chance_percent(&chance, 20) || check_going_on(driver, seed, number, text, text_size));
}

static bool check(const struct workload_case *given, void configure(struct pd_engine_options *options),
		  char *text, size_t text_size)
{
	struct driver driver;
	bool sound;

	driver_init(&driver, given->directory, configure);
	sound = driver_open(&driver) == 0 ||
		workload_broken(text, text_size, "cannot open: %s", driver.err.text);
	sound = sound && check_recovered(&driver, given, text, text_size);
	driver_done(&driver);
	return sound;
}

/* ---- the process under test ---- */

static void must(const struct driver *driver, int result)
{
	if (result != 0)
		die("engine: %s", driver->err.text);
}

/* A pipeline of requests; their replies are shown in order. */
static void send_many(struct driver *driver, uint64_t seed, unsigned first, unsigned count)
{
	struct pd_wait waits[DEPTH_MAX];
	bool strict[DEPTH_MAX];

	for (unsigned i = 0; i < count; i++) {
		workload_mark("begin %u", first + i);
		must(driver, send_in_time(driver, seed, first + i));
		waits[i] = driver->receipt.wait;
		strict[i] = driver->request.level == PD_LEVEL_STRICT;
	}
	for (unsigned i = 0; i < count; i++) {
		must(driver, settle(driver, &waits[i]));
		if (strict[i])
			workload_mark("done %u", first + i);
	}
}

/* What the engine does beside requests goes on for up to so many milliseconds. */
static void idle(struct driver *driver, unsigned ms, bool until_upkeep_ends)
{
	for (unsigned i = 0; i < 2 * ms; i++) {
		struct pd_upkeep_status status;

		pd_os_sleep_us(driver->os, 500);
		if (pd_engine_step(driver->engine) != 0)
			die("engine: fenced: %s", pd_engine_fence_text(driver->engine));
		pd_engine_upkeep_status(driver->engine, &status);
		if (until_upkeep_ends && !status.running)
			return;
	}
}

/* Long work, as an operator starts it. Requests go on beside it, or not. */
static void start_upkeep(struct driver *driver, struct chance *chance)
{
	static const enum pd_upkeep_kind kinds[] = { PD_UPKEEP_CHECKPOINT, PD_UPKEEP_COMPACT_STORE,
						     PD_UPKEEP_COMPACT_LOG, PD_UPKEEP_COMPACT_LOG };
	int result = pd_engine_upkeep_start(driver->engine, kinds[chance_below(chance, 4)], &driver->err);

	if (result == PD_NOT_SUPPORTED)
		return;
	if (result != PD_BUSY)
		must(driver, result);
	if (chance_percent(chance, 60))
		idle(driver, 1000, true);
}

static unsigned reopen(struct driver *driver)
{
	must(driver, driver_close(driver));
	must(driver, driver_open(driver));
	return last_request(driver);
}

static void run(const struct workload_options *options, const char *root,
		void configure(struct pd_engine_options *options))
{
	struct chance chance = { options->seed };
	struct driver driver;
	unsigned number, last;

	driver_init(&driver, root, configure);
	must(&driver, driver_open(&driver));
	number = last_request(&driver);
	workload_mark("recovered %u", number);
	last = number + (number > 0 ? REQUESTS_AGAIN : options->size > 0 ? options->size : REQUESTS);
	if (last > REQUESTS_MAX)
		last = REQUESTS_MAX;
	while (number < last) {
		unsigned count = 1 + (unsigned)chance_below(&chance, DEPTH_MAX);

		send_many(&driver, options->seed, number + 1, count);
		number += count;
		if (chance_percent(&chance, 40))
			idle(&driver, 1 + (unsigned)chance_below(&chance, 8), false);
		if (chance_percent(&chance, 10))
			start_upkeep(&driver, &chance);
		if (chance_percent(&chance, 4) && reopen(&driver) != number)
			die("engine: not after request %u when opened anew", number);
	}
	must(&driver, driver_close(&driver));
	workload_mark("done %u", number);
	driver_done(&driver);
}

/* ---- configurations ---- */

/* The lock file holds a process id only, RocksDB's information logs nothing of the state. */
static const char *const engine_ignored[] = { "LOCK", "LOG", "LOG.old.*", NULL };
static const char *const engine_blurred[] = { "ingest", NULL };

/* Everything happens with little data: flushes, compaction, checkpoints, trimming of the log. */
static void make_small(struct pd_engine_options *options, enum pd_levels_kind kind)
{
	options->levels = kind;
	options->memory_budget_bytes = UINT64_C(64) << 20;
	options->memtable_bytes = 8 * 1024;
	options->compaction_trigger = 2;
	options->checkpoint_log_bytes = 96 * 1024;
	options->retention_s = 0;
	options->retention_bytes = 0;
}

static void configure_memory(struct pd_engine_options *options)
{
	options->levels = PD_LEVELS_NONE;
}

static void configure_rocksdb(struct pd_engine_options *options)
{
	make_small(options, PD_LEVELS_ROCKSDB);
}

static void configure_plain(struct pd_engine_options *options)
{
	make_small(options, PD_LEVELS_PLAIN);
}

#define ENGINE(identifier, text, file_systems)                                                              \
	static void run_##identifier(const struct workload_options *options, const char *directory)         \
	{                                                                                                   \
		run(options, directory, configure_##identifier);                                            \
	}                                                                                                   \
	static bool check_##identifier(const struct workload_case *given, char *broken, size_t broken_size) \
	{                                                                                                   \
		return check(given, configure_##identifier, broken, broken_size);                           \
	}                                                                                                   \
	const struct workload engine_##identifier = { .name = text,                                         \
						      .ignored = engine_ignored,                            \
						      .blurred = engine_blurred,                            \
						      .models = file_systems,                               \
						      .goes_on = true,                                      \
						      .run = run_##identifier,                              \
						      .check = check_##identifier };

ENGINE(rocksdb, "engine", WORKLOAD_ALL_MODELS & ~(1u << DISK_POSIX))
ENGINE(plain, "engine-plain", WORKLOAD_ALL_MODELS)
ENGINE(memory, "engine-memory", WORKLOAD_ALL_MODELS)
