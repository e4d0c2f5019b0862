/* Large strings in the engine: staged, read while they go, and what a crash leaves of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/blob.h"
#include "engine/engine_private.h"
#include "host.h"
#include "model/kv/kv.h"

#define CHUNK 8u
#define WORDS 5u

/* ---- requests ---- */

static const struct pd_command *find_command(struct pd_slice name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (pd_slice_equal_nocase(name, pd_kv_commands[i].name))
			return &pd_kv_commands[i];
	fail();
	return NULL;
}

static int send_with(struct host *host, const char *line, struct pd_stage *stage, const char *idempotency_key,
		     struct pd_resp_hole *hole)
{
	struct pd_slice words[WORDS];
	struct pd_request_command command = { .words = words };
	struct pd_request request = {
		.session = host->session, .commands = &command, .count = 1, .stage = stage
	};
	struct pd_resp_writer writer = {
		.buffer = &host->reply, .protocol = 2, .holes = hole, .hole_max = hole != NULL
	};
	int result;

	for (; *line != '\0'; line += *line == ' ') {
		size_t size = strcspn(line, " ");

		assert_true(command.count < WORDS);
		words[command.count++] = pd_slice(line, size);
		line += size;
	}
	command.command = find_command(words[0]);
	if (idempotency_key != NULL)
		request.idempotency_key = pd_slice_string(idempotency_key);
	pd_buffer_clear(&host->reply);
	result = pd_engine_execute(host->engine, &request, &writer, &host->receipt, &host->err);
	if (hole != NULL)
		assert_int_equal(writer.hole_count, 1);
	return result;
}

static int send_staged(struct host *host, const char *line, struct pd_stage *stage,
		       const char *idempotency_key)
{
	return send_with(host, line, stage, idempotency_key, NULL);
}

/* Its reply has a hole, and is this without. */
static struct pd_blob_reader *read_later(struct host *host, const char *line, const char *reply)
{
	struct pd_resp_hole hole;

	assert_int_equal(send_with(host, line, NULL, NULL, &hole), 0);
	assert_string_equal(host_reply(host), reply);
	assert_int_equal(hole.at, strlen(reply) - 2);
	return hole.source;
}

static int evaluate_failure(struct pd_call *call)
{
	(void)call;
	return PD_NO_MEMORY;
}

/* The command in a transaction that fails after it. */
static int send_in_vain(struct host *host, const char *name, const char *key)
{
	static const struct pd_command failure = { .name = "failure",
						   .arity = 1,
						   .evaluate = evaluate_failure };
	struct pd_slice words[2] = { pd_slice_string(name), pd_slice_string(key) };
	struct pd_request_command commands[2] = { { find_command(words[0]), words, 2 },
						  { &failure, words, 1 } };
	struct pd_request request = {
		.session = host->session, .commands = commands, .count = 2, .as_array = true
	};
	struct pd_resp_hole holes[2];
	struct pd_resp_writer writer = {
		.buffer = &host->reply, .protocol = 2, .holes = holes, .hole_max = 2
	};
	int result = pd_engine_execute(host->engine, &request, &writer, &host->receipt, &host->err);

	assert_int_equal(writer.hole_count, 0);
	return result;
}

/* Of all actors. */
static uint64_t chunks(struct host *host)
{
	static const uint8_t from = PD_SPACE_CHUNK, to = PD_SPACE_CHUNK + 1;
	struct pd_store *store = host->engine->store;
	struct pd_store_actor *actor = pd_store_actor_next(store, 0);
	uint64_t count = 0;

	pd_store_begin(store);
	for (; actor != NULL; actor = pd_store_actor_next(store, actor->id)) {
		struct pd_store_cursor cursor;
		struct pd_entry entry;

		pd_store_seek(store, actor, pd_slice(&from, 1), pd_slice(&to, 1), &cursor);
		while (pd_store_next(&cursor, &entry, &host->err) == 1)
			count++;
	}
	pd_store_commit(store);
	return count;
}

static void begin(struct host *host)
{
	host_init(host);
	host->options.large_min = 16;
	host->options.chunk_size = CHUNK;
	host_open(host);
}

static void step(struct host *host)
{
	assert_int_equal(pd_engine_step(host->engine), 0);
}

static uint64_t unfinished(struct host *host)
{
	struct pd_engine_stats stats;

	pd_engine_stats(host->engine, &stats);
	return stats.large_unfinished;
}

/* Nothing is left to be removed, and exactly so many chunks are there. */
static void expect_chunks(struct host *host, uint64_t count)
{
	for (unsigned i = 0; i < 20 && unfinished(host) > 0; i++) {
		host_advance_ms(host, 10);
		step(host);
	}
	assert_int_equal(unfinished(host), 0);
	assert_int_equal(chunks(host), count);
}

/* ---- staging ---- */

static struct pd_stage *stage(struct host *host, const char *key, const char *bytes)
{
	struct pd_stage *stage = pd_stage_new(host->engine, host->session);
	struct pd_receipt receipt;

	assert_non_null(stage);
	for (; *bytes != '\0'; bytes += CHUNK)
		assert_int_equal(pd_stage_add(stage, pd_slice_string(key), pd_slice(bytes, CHUNK), &receipt,
					      &host->err),
				 0);
	return stage;
}

static void test_what_is_staged_is_seen_when_a_head_names_it(void **state)
{
	struct pd_stage *staged;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k old", "+OK\r\n");
	hash = host_hash(&host, "main");
	staged = stage(&host, "k", "1234567890123456");
	host_expect(&host, "get k", "$3\r\nold\r\n");
	assert_same_hash(host_hash(&host, "main"), hash);
	assert_int_equal(unfinished(&host), 1);
	assert_int_equal(send_staged(&host, "set k 789", staged, NULL), 0);
	assert_string_equal(host_reply(&host), "+OK\r\n");
	assert_int_equal(host.receipt.level, PD_LEVEL_STRICT);
	pd_stage_free(staged);
	host_expect(&host, "get k", "$19\r\n1234567890123456789\r\n");
	expect_chunks(&host, 3);
	hash = host_hash(&host, "main");
	host_power_cycle(&host);
	/* It had not settled. */
	host_expect(&host, "get k", "$-1\r\n");
	expect_chunks(&host, 0);
	staged = stage(&host, "k", "1234567890123456");
	assert_int_equal(send_staged(&host, "set k 789", staged, NULL), 0);
	pd_stage_free(staged);
	while (host_settled(&host) == 0)
		step(&host);
	host_power_cycle(&host);
	host_expect(&host, "get k", "$19\r\n1234567890123456789\r\n");
	assert_same_hash(host_hash(&host, "main"), hash);
	expect_chunks(&host, 3);
	host_done(&host);
}

static void test_the_hash_is_that_of_the_value(void **state)
{
	struct pd_stage *staged;
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 1234567890123456789", "+OK\r\n");
	hash = host_hash(&host, "main");
	host_expect(&host, "set k 0", "+OK\r\n");
	staged = stage(&host, "k", "12345678");
	assert_int_equal(send_staged(&host, "set k 90123456789", staged, NULL), 0);
	pd_stage_free(staged);
	assert_same_hash(host_hash(&host, "main"), hash);
	host_expect(&host, "set k 1234567890123456780", "+OK\r\n");
	assert_int_not_equal(host_hash(&host, "main").low, hash.low);
	/* Kept whole, it is the same value. */
	host_close(&host);
	host.options.large_min = 0;
	host_open(&host);
	host_expect(&host, "set k 1234567890123456789", "+OK\r\n");
	assert_same_hash(host_hash(&host, "main"), hash);
	expect_chunks(&host, 0);
	host_done(&host);
}

static void test_what_nobody_takes_is_removed(void **state)
{
	struct pd_stage *staged;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k old", "+OK\r\n");
	/* Given up. */
	pd_stage_free(stage(&host, "k", "1234567890123456"));
	expect_chunks(&host, 0);
	/* The command did not want it, or could not be run. */
	staged = stage(&host, "k", "1234567890123456");
	assert_int_equal(send_staged(&host, "set k 789 nx", staged, NULL), 0);
	pd_stage_free(staged);
	expect_chunks(&host, 0);
	staged = stage(&host, "k", "1234567890123456");
	assert_int_equal(send_staged(&host, "set k 789 sx", staged, NULL), 0);
	pd_stage_free(staged);
	expect_chunks(&host, 0);
	host_expect(&host, "get k", "$3\r\nold\r\n");
	/* Nothing of an actor that did not exist is left but its name. */
	pd_stage_free(stage(&host, "{a}k", "1234567890123456"));
	expect_chunks(&host, 0);
	host_expect(&host, "dbsize", ":1\r\n");
	host_done(&host);
}

static void test_a_crash_leaves_nothing(void **state)
{
	struct pd_stage *staged;
	struct host host;

	(void)state;
	for (unsigned power = 0; power < 2; power++) {
		begin(&host);
		host_durable(&host, "set k old");
		staged = stage(&host, "k", "123456789012345612345678");
		host_durable(&host, "set other 1");
		assert_int_equal(chunks(&host), 3);
		pd_stage_free(staged);
		host_crash(&host, power == 1);
		host_open(&host);
		assert_int_equal(unfinished(&host), 1);
		expect_chunks(&host, 0);
		host_expect(&host, "get k", "$3\r\nold\r\n");
		/* Once is enough. */
		host_durable(&host, "set other 2");
		host_power_cycle(&host);
		assert_int_equal(unfinished(&host), 0);
		host_done(&host);
	}
}

static void test_a_repetition_is_one(void **state)
{
	struct pd_stage *staged;
	struct host host;
	uint64_t lsn;

	(void)state;
	begin(&host);
	staged = stage(&host, "k", "1234567890123456");
	assert_int_equal(send_staged(&host, "set k 789", staged, "id"), 0);
	pd_stage_free(staged);
	lsn = host.receipt.lsn;
	host_expect(&host, "set k 0", "+OK\r\n");
	/* However it was cut, and also whole. */
	staged = stage(&host, "k", "12345678");
	assert_int_equal(send_staged(&host, "set k 90123456789", staged, "id"), 0);
	assert_true(host.receipt.duplicate);
	assert_int_equal(host.receipt.lsn, lsn);
	pd_stage_free(staged);
	expect_chunks(&host, 0);
	assert_int_equal(send_staged(&host, "set k 1234567890123456789", NULL, "id"), 0);
	assert_true(host.receipt.duplicate);
	staged = stage(&host, "k", "12345678");
	assert_int_equal(send_staged(&host, "set k 90123456780", staged, "id"), PD_EXISTS);
	pd_stage_free(staged);
	host_expect(&host, "get k", "$1\r\n0\r\n");
	expect_chunks(&host, 0);
	host_done(&host);
}

static void test_flushdb_leaves_what_is_arriving(void **state)
{
	struct pd_stage *first, *second;
	struct host host;

	(void)state;
	begin(&host);
	first = stage(&host, "k", "1234567890123456");
	host_expect(&host, "set x 1234567890123456", "+OK\r\n");
	second = stage(&host, "l", "abcdefghabcdefgh");
	host_expect(&host, "set y 1234567890123456", "+OK\r\n");
	host_expect(&host, "flushdb", "+OK\r\n");
	host_expect(&host, "dbsize", ":0\r\n");
	assert_int_equal(chunks(&host), 4);
	assert_int_equal(send_staged(&host, "set k 789", first, NULL), 0);
	pd_stage_free(first);
	host_expect(&host, "get k", "$19\r\n1234567890123456789\r\n");
	pd_stage_free(second);
	expect_chunks(&host, 3);
	host_done(&host);
}

/* ---- reading ---- */

static void expect_read(struct host *host, struct pd_blob_reader *reader, const char *text)
{
	struct pd_buffer bytes;
	int more = 1;

	pd_buffer_init(&bytes, 1000);
	while (more == 1)
		more = pd_blob_read(reader, 5, &bytes, &host->err);
	assert_int_equal(more, 0);
	assert_int_equal(bytes.size, strlen(text));
	assert_memory_equal(bytes.data, text, bytes.size);
	pd_buffer_done(&bytes);
}

static void test_a_reader_keeps_what_it_reads(void **state)
{
	static const char *const ends[] = { "set k new",
					    "del k",
					    "flushdb",
					    "expire k -1",
					    "append k tail",
					    "rename k l",
					    "set k 6543210987654321",
					    "getset k new" };
	struct pd_blob_reader *reader, *other;
	struct host host;

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		bool stays = i == 4 || i == 5;

		begin(&host);
		host_expect(&host, "set k 12345678901234567", "+OK\r\n");
		reader = read_later(&host, "get k", "$17\r\n\r\n");
		other = read_later(&host, "getrange k 1 16", "$16\r\n\r\n");
		assert_int_equal(host_run(&host, ends[i]), 0);
		step(&host);
		expect_read(&host, other, "2345678901234567");
		pd_blob_reader_free(other);
		host_advance_ms(&host, 100);
		step(&host);
		expect_read(&host, reader, "12345678901234567");
		pd_blob_reader_free(reader);
		/* What nobody names any more is known to be left over. */
		assert_int_equal(pd_engine_check_large(host.engine, &host.err), 0);
		expect_chunks(&host, stays || i == 6 ? 3 - (i == 6) : 0);
		host_done(&host);
	}
}

static void test_what_readers_kept_is_removed_after_a_crash(void **state)
{
	struct pd_blob_reader *reader;
	struct host host;

	(void)state;
	begin(&host);
	host_durable(&host, "set k 12345678901234567");
	reader = read_later(&host, "get k", "$17\r\n\r\n");
	host_durable(&host, "del k");
	assert_int_equal(chunks(&host), 3);
	pd_blob_reader_free(reader);
	host_crash(&host, true);
	host_open(&host);
	host_expect(&host, "exists k", ":0\r\n");
	expect_chunks(&host, 0);
	host_done(&host);
}

/* A transaction that is taken back has removed nothing, and nobody reads for it. */
static void test_what_is_taken_back_was_never_there(void **state)
{
	struct pd_blob_reader *reader;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 12345678901234567", "+OK\r\n");
	reader = read_later(&host, "get k", "$17\r\n\r\n");
	assert_int_equal(send_in_vain(&host, "getdel", "k"), PD_NO_MEMORY);
	pd_blob_reader_free(reader);
	host_expect(&host, "get k", "$17\r\n12345678901234567\r\n");
	expect_chunks(&host, 3);
	host_done(&host);
}

static void test_what_expires_goes_with_its_chunks(void **state)
{
	struct pd_blob_reader *reader;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 12345678901234567 px 10", "+OK\r\n");
	host_expect(&host, "set l 12345678901234567 px 10", "+OK\r\n");
	reader = read_later(&host, "get l", "$17\r\n\r\n");
	for (unsigned i = 0; i < 10; i++) {
		host_advance_ms(&host, 100);
		step(&host);
	}
	host_expect(&host, "dbsize", ":0\r\n");
	assert_int_equal(chunks(&host), 3);
	pd_blob_reader_free(reader);
	expect_chunks(&host, 0);
	host_done(&host);
}

/* From memory to the levels and back. */
static void test_chunks_move_on_like_everything(void **state)
{
	struct pd_hash128 hash;
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(host_send(&host, &(struct host_request){ .commands = { "set k 12345678901234567" },
								  .level = PD_LEVEL_FULL }),
			 0);
	for (unsigned i = 0; i < 1000 && host_settled(&host) == 0; i++) {
		host_advance_ms(&host, 5);
		step(&host);
	}
	assert_int_equal(host_settled(&host), 1);
	hash = host_hash(&host, "main");
	host_expect(&host, "get k", "$17\r\n12345678901234567\r\n");
	host_expect(&host, "append k 89", ":19\r\n");
	host_expect(&host, "getrange k 15 -1", "$4\r\n6789\r\n");
	host_power_cycle(&host);
	assert_same_hash(host_hash(&host, "main"), hash);
	host_durable(&host, "del k");
	expect_chunks(&host, 0);
	host_power_cycle(&host);
	expect_chunks(&host, 0);
	host_done(&host);
}

/* Its last reader may have gone before the request that brought it has ended. */
static void test_the_end_of_a_stage_needs_no_memory(void **state)
{
	struct pd_blob_reader *readers[8];
	struct pd_stage *staged;
	struct host host;
	char line[40];

	(void)state;
	begin(&host);
	staged = stage(&host, "k", "1234567890123456");
	assert_int_equal(send_staged(&host, "set k 789", staged, NULL), 0);
	pd_blob_reader_free(read_later(&host, "get k", "$19\r\n\r\n"));
	for (unsigned i = 0; i < 8; i++) {
		(void)snprintf(line, sizeof line, "set k%u 12345678901234567", i);
		host_expect(&host, line, "+OK\r\n");
		(void)snprintf(line, sizeof line, "get k%u", i);
		readers[i] = read_later(&host, line, "$17\r\n\r\n");
	}
	pd_memory_fail(1, 1);
	pd_stage_free(staged);
	pd_memory_fail(0, 0);
	for (unsigned i = 0; i < 8; i++)
		pd_blob_reader_free(readers[i]);
	host_expect(&host, "get k", "$19\r\n1234567890123456789\r\n");
	expect_chunks(&host, 3 + 8 * 3);
	host_done(&host);
}

/* In the levels, "rotten" with a chunk that cannot be read, between many of others, and a note of each that it is to go with `gone`. */
static void make_rotten(struct host *host, bool gone)
{
	struct pd_blob_reader *readers[3] = { NULL };
	static const char *const keys[] = { "a", "rotten", "z" };
	char line[6100];

	begin(host);
	for (unsigned i = 0; i < 3; i++) {
		int size = snprintf(line, sizeof line, "set %s ", keys[i]);

		memset(line + size, 'v', 6000);
		if (i == 1)
			memcpy(line + size + 3000, "rotsrots", 8);
		line[size + 6000] = '\0';
		host_durable(host, line);
		if (!gone)
			continue;
		(void)snprintf(line, sizeof line, "get %s", keys[i]);
		readers[i] = read_later(host, line, "$6000\r\n\r\n");
		(void)snprintf(line, sizeof line, "del %s", keys[i]);
		host_durable(host, line);
	}
	assert_int_equal(host_send(host, &(struct host_request){ .commands = { "set last 1" },
								 .level = PD_LEVEL_FULL }),
			 0);
	for (unsigned i = 0; i < 1000 && host_settled(host) == 0; i++) {
		host_advance_ms(host, 5);
		step(host);
	}
	assert_int_equal(host_settled(host), 1);
	for (unsigned i = 0; i < 3; i++)
		pd_blob_reader_free(readers[i]);
	host_crash(host, true);
	host_rot_value(host, "rotsrots");
	host_open(host);
	assert_false(host->recovery.rebuilt);
}

static const char *damage(struct host *host)
{
	return host->engine->stats.state_damage;
}

/* Half of it has been sent when the damage is met: the reader ends in words, and never with other bytes. */
static void test_a_reader_meets_damage(void **state)
{
	struct pd_blob_reader *reader;
	struct pd_buffer read;
	struct host host;
	int result = 1;

	(void)state;
	make_rotten(&host, false);
	reader = read_later(&host, "get rotten", "$6000\r\n\r\n");
	pd_buffer_init(&read, 10000);
	while (result == 1)
		result = pd_blob_read(reader, CHUNK, &read, &host.err);
	assert_int_equal(result, PD_CORRUPT);
	assert_non_null(strstr(host.err.text, ".level"));
	assert_string_equal(damage(&host), host.err.text);
	assert_true(read.size > 0 && read.size <= 3000);
	for (size_t i = 0; i < read.size; i++)
		assert_int_equal(read.data[i], 'v');
	pd_buffer_done(&read);
	pd_blob_reader_free(reader);
	/* The others are whole. */
	host_expect(&host, "strlen z", ":6000\r\n");
	assert_int_equal(host_run(&host, "get z"), 0);
	host_power_cycle(&host);
	assert_true(host.recovery.rebuilt);
	assert_int_equal(host_run(&host, "get rotten"), 0);
	host_done(&host);
}

/* A chunk is not there: what was read before is right, and no other bytes follow. */
static void test_a_reader_misses_a_part(void **state)
{
	struct pd_blob_reader *reader;
	uint8_t key[PD_CHUNK_KEY_SIZE];
	struct pd_store_actor *actor;
	struct pd_entry entry;
	struct pd_buffer read;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 12345678901234567890", "+OK\r\n");
	reader = read_later(&host, "get k", "$20\r\n\r\n");
	actor = pd_engine_find_actor(host.engine, host.session, pd_slice_string("main"))->state;
	pd_store_begin(host.engine->store);
	assert_int_equal(pd_store_get(host.engine->store, actor, pd_slice("kk", 2), &entry, &host.err), 1);
	(void)pd_blob_key(key, pd_kv_blob(&entry).number);
	pd_store_be32(key + PD_BLOB_KEY_SIZE, 1);
	assert_int_equal(pd_store_delete(host.engine->store, actor, pd_slice(key, sizeof key),
					 host_lsn(&host), &host.err),
			 1);
	pd_store_commit(host.engine->store);
	pd_buffer_init(&read, 100);
	assert_int_equal(pd_blob_read(reader, CHUNK, &read, &host.err), 1);
	assert_int_equal(pd_blob_read(reader, CHUNK, &read, &host.err), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "lacks a part"));
	assert_int_equal(read.size, CHUNK);
	assert_memory_equal(read.data, "12345678901234567890", CHUNK);
	pd_buffer_done(&read);
	pd_blob_reader_free(reader);
	host_done(&host);
}

/* Without memory to read it later it is not read at all. */
static void test_a_reader_without_memory(void **state)
{
	struct pd_slice words[] = { pd_slice_string("get"), pd_slice_string("k") };
	struct pd_request_command command = { find_command(words[0]), words, 2 };
	unsigned refused = 0;
	bool failed = true;
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 12345678901234567890", "+OK\r\n");
	for (unsigned long n = 1; failed; n++) {
		struct pd_request request = { .session = host.session, .commands = &command, .count = 1 };
		struct pd_resp_hole hole;
		struct pd_resp_writer writer = {
			.buffer = &host.reply, .protocol = 2, .holes = &hole, .hole_max = 1
		};
		int result;

		pd_buffer_clear(&host.reply);
		pd_memory_fail(n, 0);
		result = pd_engine_execute(host.engine, &request, &writer, &host.receipt, &host.err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		if (result == 0) {
			assert_int_equal(writer.hole_count, 1);
			expect_read(&host, hole.source, "12345678901234567890");
			pd_blob_reader_free(hole.source);
		} else {
			assert_int_equal(result, PD_NO_MEMORY);
			assert_int_equal(writer.hole_count, 0);
			refused++;
		}
	}
	assert_true(refused > 0);
	expect_chunks(&host, 3);
	host_done(&host);
}

/* A stage that there is no memory for leaves none behind. */
static void test_a_stage_without_memory(void **state)
{
	struct pd_stage *staged = NULL;
	struct host host;
	long before;

	(void)state;
	begin(&host);
	for (unsigned long n = 1; staged == NULL; n++) {
		pd_memory_fail(n, 0);
		before = pd_memory_live();
		staged = pd_stage_new(host.engine, host.session);
		assert_int_equal(staged == NULL, pd_memory_fail_left() == 0);
		pd_memory_fail(0, 0);
		assert_true(staged != NULL || pd_memory_live() == before);
		assert_true(n > 2 || staged == NULL);
	}
	pd_stage_free(staged);
	host_done(&host);
}

/* What cannot be removed does not stand in the way of the others, and goes when the state has been made again. */
static void test_what_rots_cannot_be_removed(void **state)
{
	struct host host;

	(void)state;
	make_rotten(&host, true);
	assert_int_equal(unfinished(&host), 3);
	for (unsigned i = 0; i < 50; i++) {
		host_advance_ms(&host, 200);
		step(&host);
	}
	assert_int_equal(unfinished(&host), 1);
	assert_non_null(strstr(damage(&host), ".level"));
	host_expect(&host, "get last", "$1\r\n1\r\n");
	host_power_cycle(&host);
	assert_true(host.recovery.rebuilt);
	assert_string_equal(damage(&host), "");
	expect_chunks(&host, 0);
	host_done(&host);
}

static void test_preconditions_look_at_the_value(void **state)
{
	struct host_request request = { .commands = { "incr n" },
					.preconditions = { { .kind = PD_IF_VALUE,
							     .key = pd_slice_string("k") } },
					.precondition_count = 1 };
	struct host host;

	(void)state;
	begin(&host);
	host_expect(&host, "set k 12345678901234567", "+OK\r\n");
	request.preconditions[0].value = pd_slice_string("12345678901234568");
	assert_int_equal(host_send(&host, &request), PD_CONFLICT);
	request.preconditions[0].value = pd_slice_string("1234567890123456");
	assert_int_equal(host_send(&host, &request), PD_CONFLICT);
	request.preconditions[0].value = pd_slice_string("12345678901234567");
	assert_int_equal(host_send(&host, &request), 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_staged_is_seen_when_a_head_names_it),
		cmocka_unit_test(test_the_hash_is_that_of_the_value),
		cmocka_unit_test(test_what_nobody_takes_is_removed),
		cmocka_unit_test(test_a_crash_leaves_nothing),
		cmocka_unit_test(test_a_repetition_is_one),
		cmocka_unit_test(test_flushdb_leaves_what_is_arriving),
		cmocka_unit_test(test_a_reader_keeps_what_it_reads),
		cmocka_unit_test(test_what_readers_kept_is_removed_after_a_crash),
		cmocka_unit_test(test_what_is_taken_back_was_never_there),
		cmocka_unit_test(test_what_expires_goes_with_its_chunks),
		cmocka_unit_test(test_chunks_move_on_like_everything),
		cmocka_unit_test(test_the_end_of_a_stage_needs_no_memory),
		cmocka_unit_test(test_a_reader_meets_damage),
		cmocka_unit_test(test_a_reader_misses_a_part),
		cmocka_unit_test(test_a_reader_without_memory),
		cmocka_unit_test(test_a_stage_without_memory),
		cmocka_unit_test(test_what_rots_cannot_be_removed),
		cmocka_unit_test(test_preconditions_look_at_the_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
