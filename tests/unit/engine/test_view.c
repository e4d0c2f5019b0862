/* Views of the engine, and hashes that are found out on them: of one moment, whatever goes on beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "engine/state_hash.h"
#include "engine/view.h"
#include "host.h"
#include "model/kv/kv.h"

static void init(struct host *host)
{
	host_init(host);
	host->options.memtable_bytes = 16 * 1024;
	host_open(host);
}

static void step(struct host *host, unsigned count)
{
	while (count-- > 0) {
		host_advance_ms(host, 1);
		assert_int_equal(pd_engine_step(host->engine), 0);
	}
}

/* About so many KiB. */
static void fill(struct host *host, unsigned count)
{
	char command[1200];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "set {a%u}k%u ", i % 7, i);

		memset(command + size, 'a' + (int)(i % 26), 1000);
		command[size + 1000] = '\0';
		host_durable(host, command);
		step(host, 1);
	}
}

static struct pd_engine_view *open_view(struct host *host, struct pd_wait *wait)
{
	struct pd_engine_view *view = NULL;
	int result = PD_AGAIN;

	for (unsigned i = 0; i < 100 && result == PD_AGAIN; i++) {
		result = pd_engine_view_open(host->engine, &view, wait, &host->err);
		if (result == PD_AGAIN)
			step(host, 1);
	}
	if (result != 0)
		fail_msg("no view: %s", host->err.text);
	return view;
}

static struct pd_hash128 view_hash(struct host *host, struct pd_engine_view *view, uint64_t actor)
{
	struct pd_hash128 hash = { 0 };

	if (pd_engine_view_hash(view, actor, NULL, NULL, &hash, &host->err) != 0)
		fail_msg("no hash of a view: %s", host->err.text);
	return hash;
}

static uint64_t actor_id(struct host *host, const char *name)
{
	struct pd_actor *actor = pd_engine_find_actor(host->engine, host->session, pd_slice_string(name));

	assert_non_null(actor);
	return actor->id;
}

/* ---- views ---- */

static void test_moment(void **state)
{
	struct pd_hash128 all, a3, hash;
	struct pd_engine_view *view;
	struct pd_engine_stats stats;
	struct pd_wait wait;
	struct host host;
	uint64_t epoch, lsn, now_us, id;

	(void)state;
	init(&host);
	fill(&host, 30);
	host_expect(&host, "set {a3}last 1", "+OK\r\n");
	all = host_hash(&host, "");
	a3 = host_hash(&host, "a3");
	id = actor_id(&host, "a3");
	view = open_view(&host, &wait);
	pd_engine_view_moment(view, &epoch, &lsn, &now_us);
	assert_int_equal(lsn, host_lsn(&host));
	hash = view_hash(&host, view, PD_VIEW_ALL);
	assert_same_hash(hash, all);
	step(&host, 5);
	assert_int_equal(pd_engine_settled(host.engine, &wait), 1);
	fill(&host, 60);
	host_durable(&host, "flushall");
	fill(&host, 30);
	pd_engine_stats(host.engine, &stats);
	assert_true(stats.store.applied.lsn > lsn);
	hash = view_hash(&host, view, PD_VIEW_ALL);
	assert_same_hash(hash, all);
	hash = view_hash(&host, view, id);
	assert_same_hash(hash, a3);
	hash = view_hash(&host, view, 1u << 30); /* nobody's */
	hash = host_hash(&host, "");
	assert_int_not_equal(hash.low, all.low);
	pd_engine_view_close(view);
	step(&host, 300);
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.store.views, 0);
	assert_int_equal(stats.store.view_bytes, 0);
	host_done(&host);
}

static void test_reading(void **state)
{
	struct pd_store_view_cursor *cursor;
	struct pd_store_view_actor actor = { 0 };
	struct pd_engine_view *view;
	struct pd_entry entry;
	struct pd_wait wait;
	struct host host;
	uint64_t id;
	unsigned count = 0;

	(void)state;
	init(&host);
	host_durable(&host, "mset {x}a 1 {x}b 2 {x}c 3");
	host_durable(&host, "set {x}gone 4 px 5");
	host_durable(&host, "set {x}later 5 px 1000000");
	pd_sim_advance_us(host.os, 6000); /* expired, and not removed yet */
	id = actor_id(&host, "x");
	view = open_view(&host, &wait);
	host_durable(&host, "mset {x}a 10 {x}d 4");
	host_durable(&host, "del {x}b");
	assert_int_equal(pd_engine_view_enter(view, &host.err), 0);
	assert_int_equal(pd_engine_view_get(view, id, pd_slice_string("ka"), &entry, &host.err), 1);
	assert_true(pd_slice_equal(entry.value, pd_slice_string("1")));
	assert_int_equal(pd_engine_view_get(view, id, pd_slice_string("kd"), &entry, &host.err), 0);
	assert_int_equal(pd_engine_view_get(view, id, pd_slice_string("kgone"), &entry, &host.err), 0);
	assert_int_equal(pd_engine_view_get(view, id, pd_slice_string("klater"), &entry, &host.err), 1);
	assert_int_equal(
		pd_engine_view_seek(view, id, pd_slice_string("k"), pd_slice_string("l"), &cursor, &host.err),
		0);
	while (pd_engine_view_next(view, cursor, &entry, &host.err) == 1)
		count++;
	assert_int_equal(count, 4); /* a b c later */
	pd_store_view_cursor_free(cursor);
	while (pd_engine_view_actor_next(view, actor.id, &actor, &host.err) == 1)
		if (actor.id == id)
			assert_int_equal(actor.key_count, 5); /* until it is removed */
	pd_engine_view_leave(view);
	pd_engine_view_close(view);
	host_done(&host);
}

static void test_refusals(void **state)
{
	struct pd_engine_view *view = NULL;
	struct pd_state_hash *job = NULL;
	struct pd_wait wait;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.levels = PD_LEVELS_NONE;
	host_open(&host);
	assert_int_equal(pd_engine_view_open(host.engine, &view, &wait, &host.err), PD_NOT_SUPPORTED);
	assert_int_equal(pd_state_hash_start(host.engine, host.session, pd_slice(NULL, 0), &job, &host.err),
			 PD_NOT_SUPPORTED);
	host_done(&host);
	init(&host);
	assert_int_equal(
		pd_state_hash_start(host.engine, host.session, pd_slice_string("nobody"), &job, &host.err),
		PD_NOT_FOUND);
	assert_null(job);
	host_crash(&host, true);
	/* There is nothing to be seen before all of the log has been replayed. */
	assert_int_equal(pd_engine_open(&host.options, &host.engine, &host.err), 0);
	assert_int_equal(pd_engine_view_open(host.engine, &view, &wait, &host.err), PD_AGAIN);
	assert_non_null(strstr(host.err.text, "the log is being replayed"));
	assert_null(view);
	(void)pd_engine_close(host.engine, NULL);
	host.engine = NULL;
	host_done(&host);
}

static void test_given_up(void **state)
{
	struct pd_engine_view *view;
	struct pd_engine_stats stats;
	struct pd_hash128 hash;
	struct pd_wait wait;
	struct host host;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		host_init(&host);
		host.options.memtable_bytes = 16 * 1024;
		host.options.view_bytes = i == 0 ? 4096 : 0;
		host.options.view_age_s = 60;
		host_open(&host);
		fill(&host, 10);
		view = open_view(&host, &wait);
		/* With somebody in it, it cannot do without its memtable. */
		assert_int_equal(pd_engine_view_enter(view, &host.err), 0);
		step(&host, 20);
		pd_engine_view_leave(view);
		step(&host, 20);
		if (i == 1) {
			(void)view_hash(&host, view, PD_VIEW_ALL);
			host_advance_ms(&host, 61000);
			step(&host, 20);
		}
		assert_int_equal(pd_engine_view_hash(view, PD_VIEW_ALL, NULL, NULL, &hash, &host.err),
				 PD_VIEW_TOO_OLD);
		assert_non_null(strstr(host.err.text, i == 0 ? "memory" : "60 s"));
		step(&host, 50);
		pd_engine_stats(host.engine, &stats);
		assert_int_equal(stats.store.view_bytes, 0);
		assert_int_equal(stats.store.views_given_up, 1);
		pd_engine_view_close(view);
		host_done(&host);
	}
}

/* How old a view may become is changed for those that are open, too. */
static void test_age_changes(void **state)
{
	struct pd_engine_view *view;
	struct pd_hash128 hash;
	struct pd_wait wait;
	struct host host;

	(void)state;
	host_init(&host);
	host.options.memtable_bytes = 16 * 1024;
	host.options.view_age_s = 0;
	host_open(&host);
	fill(&host, 10);
	view = open_view(&host, &wait);
	host_advance_ms(&host, 100000000);
	step(&host, 20);
	(void)view_hash(&host, view, PD_VIEW_ALL);
	pd_engine_set_view_age(host.engine, 100001);
	step(&host, 20);
	(void)view_hash(&host, view, PD_VIEW_ALL);
	pd_engine_set_view_age(host.engine, 7);
	host_advance_ms(&host, 1000);
	step(&host, 20);
	assert_int_equal(pd_engine_view_hash(view, PD_VIEW_ALL, NULL, NULL, &hash, &host.err),
			 PD_VIEW_TOO_OLD);
	assert_non_null(strstr(host.err.text, "7 s"));
	pd_engine_view_close(view);
	host_done(&host);
}

/* What cannot be moved to the disk stands in the way of views: that is told, instead of being waited for. */
static void test_full_disk(void **state)
{
	struct pd_engine_view *views[PD_STORE_TABLES + 1] = { NULL };
	struct pd_wait wait;
	struct host host;
	unsigned count = 0;
	int result = 0;

	(void)state;
	init(&host);
	fill(&host, 2);
	step(&host, 50);
	host.machine.disk_bytes = 1;
	pd_sim_set_options(host.os, &host.machine);
	for (unsigned i = 0; i < 1000 && (result == 0 || result == PD_AGAIN); i++) {
		/* What the log has room for is all that can be written. */
		if (result == 0)
			assert_int_equal(host_run(&host, "incr {a}k"), 0);
		assert_true(count <= PD_STORE_TABLES);
		result = pd_engine_view_open(host.engine, &views[count], &wait, &host.err);
		count += result == 0;
		step(&host, 2);
	}
	assert_int_equal(result, PD_NO_SPACE);
	assert_non_null(strstr(host.err.text, "cannot be moved to the disk"));
	/* With room again, there are views again. */
	host.machine.disk_bytes = 0;
	pd_sim_set_options(host.os, &host.machine);
	host_advance_ms(&host, 2000);
	step(&host, 100);
	views[count] = open_view(&host, &wait);
	for (unsigned i = 0; i <= count; i++)
		pd_engine_view_close(views[i]);
	host_done(&host);
}

static bool stop_at(void *context, uint64_t entries)
{
	(void)entries;
	return --*(unsigned *)context > 0;
}

static void test_cancelling(void **state)
{
	struct pd_engine_view *view;
	struct pd_hash128 hash;
	struct pd_wait wait;
	struct host host;
	unsigned pauses = 2;
	char command[64];

	(void)state;
	init(&host);
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(command, sizeof command, "set k%u 1", i);
		assert_int_equal(host_run(&host, command), 0);
		if (i % 100 == 0)
			step(&host, 2);
	}
	view = open_view(&host, &wait);
	assert_int_equal(pd_engine_view_hash(view, PD_VIEW_ALL, stop_at, &pauses, &hash, &host.err),
			 PD_CANCELLED);
	assert_int_equal(pauses, 0);
	pauses = 1000;
	assert_int_equal(pd_engine_view_hash(view, PD_VIEW_ALL, stop_at, &pauses, &hash, &host.err), 0);
	assert_in_range(pauses, 980, 997); /* every so often */
	pd_engine_view_close(view);
	host_done(&host);
}

/* ---- large strings ---- */

#define LARGE "0123456789abcdefghijklmnopqrstuvwxyz"

static int copy(struct host *host, struct pd_engine_view *view, const char *key, uint8_t *to,
		uint64_t *ret_size)
{
	uint64_t id = actor_id(host, "x");
	struct pd_entry entry;
	int result;

	assert_int_equal(pd_engine_view_enter(view, &host->err), 0);
	assert_int_equal(pd_engine_view_get(view, id, pd_slice_string(key), &entry, &host->err), 1);
	*ret_size = entry.type == PD_TYPE_LARGE ? pd_kv_blob(&entry).size : entry.value.size;
	result = pd_engine_view_copy_string(view, id, &entry, to, &host->err);
	pd_engine_view_leave(view);
	return result;
}

static void begin_large(struct host *host)
{
	host_init(host);
	host->options.large_min = 16;
	host->options.chunk_size = 8;
	host_open(host);
	host_durable(host, "set {x}large " LARGE);
	host_durable(host, "set {x}small 123");
	host_durable(host, "set {x}empty \"\"");
}

/* In one piece, whatever becomes of it meanwhile. */
static void test_large_strings(void **state)
{
	struct pd_engine_view *view;
	uint8_t bytes[sizeof LARGE];
	struct pd_hash128 before, hash;
	struct pd_wait wait;
	struct host host;
	uint64_t size;

	(void)state;
	begin_large(&host);
	before = host_hash(&host, "x");
	view = open_view(&host, &wait);
	host_durable(&host, "set {x}large other");
	host_durable(&host, "del {x}small");
	assert_int_equal(copy(&host, view, "klarge", bytes, &size), 0);
	assert_int_equal(size, strlen(LARGE));
	assert_memory_equal(bytes, LARGE, strlen(LARGE));
	assert_int_equal(copy(&host, view, "ksmall", bytes, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(bytes, "123", 3);
	bytes[0] = 'x';
	assert_int_equal(copy(&host, view, "kempty", bytes, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(bytes[0], 'x');
	hash = view_hash(&host, view, actor_id(&host, "x"));
	assert_same_hash(hash, before);
	pd_engine_view_close(view);
	host_done(&host);
}

/* One chunk is gone, behind everybody's back: neither the string nor a hash is given out. */
static void test_large_string_without_a_part(void **state)
{
	struct pd_engine_view *view;
	uint8_t key[PD_CHUNK_KEY_SIZE], bytes[sizeof LARGE];
	struct pd_store_actor *actor;
	struct pd_hash128 hash;
	struct pd_entry entry;
	struct pd_wait wait;
	struct host host;
	uint64_t size;

	(void)state;
	begin_large(&host);
	actor = pd_engine_find_actor(host.engine, host.session, pd_slice_string("x"))->state;
	pd_store_begin(host.engine->store);
	assert_int_equal(
		pd_store_get(host.engine->store, actor, pd_slice_string("klarge"), &entry, &host.err), 1);
	(void)pd_blob_key(key, pd_kv_blob(&entry).number);
	pd_store_be32(key + PD_BLOB_KEY_SIZE, 2);
	assert_int_equal(pd_store_delete(host.engine->store, actor, pd_slice(key, sizeof key),
					 host_lsn(&host), &host.err),
			 1);
	pd_store_commit(host.engine->store);
	view = open_view(&host, &wait);
	assert_int_equal(copy(&host, view, "klarge", bytes, &size), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "lacks a part"));
	assert_int_equal(pd_engine_view_hash(view, actor->id, NULL, NULL, &hash, &host.err), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "lacks a part"));
	assert_int_equal(copy(&host, view, "ksmall", bytes, &size), 0);
	pd_engine_view_close(view);
	host_done(&host);
}

/* ---- quarantined ---- */

/* Who was quarantined when it was opened is refused by name, on it as elsewhere; all others are shown. */
static void test_quarantined(void **state)
{
	struct pd_engine_view *view;
	struct pd_actor *sick;
	struct pd_hash128 hash;
	struct pd_wait wait;
	struct host host;
	uint64_t id;

	(void)state;
	init(&host);
	host_durable(&host, "mset {sick}a 1 {well}a 1");
	sick = pd_engine_find_actor(host.engine, host.session, pd_slice_string("sick"));
	id = sick->id;
	assert_int_equal(pd_note_quarantine(host.engine, sick, 1, 1, &host.err), 0);
	view = open_view(&host, &wait);
	assert_int_equal(pd_engine_view_hash(view, id, NULL, NULL, &hash, &host.err), PD_CORRUPT);
	assert_string_not_equal(host.err.text, "");
	hash = host_hash(&host, "well");
	(void)hash;
	hash = view_hash(&host, view, actor_id(&host, "well"));
	/* Its release is later than this view. */
	assert_int_equal(
		pd_engine_release_actor(host.engine, host.session, pd_slice_string("sick"), &host.err), 0);
	assert_int_equal(pd_engine_view_hash(view, id, NULL, NULL, &hash, &host.err), PD_CORRUPT);
	pd_engine_view_close(view);
	view = open_view(&host, &wait);
	(void)view_hash(&host, view, id);
	pd_engine_view_close(view);
	host_done(&host);
}

/* The note outlives the log that tells of the damage: it is read with the state. */
static void test_quarantine_is_read_with_the_state(void **state)
{
	struct pd_actor_info info;
	struct host host;

	(void)state;
	init(&host);
	host_durable(&host, "mset {sick}a 1 {well}a 1");
	assert_int_equal(
		pd_note_quarantine(host.engine,
				   pd_engine_find_actor(host.engine, host.session, pd_slice_string("sick")),
				   3, 4, &host.err),
		0);
	fill(&host, 60); /* so that the state goes to the levels */
	host_close(&host);
	host_open(&host);
	assert_int_equal(host.recovery.quarantined_actors, 1);
	assert_int_equal(
		pd_engine_actor_info(host.engine, host.session, pd_slice_string("sick"), &info, &host.err),
		0);
	assert_true(info.quarantined);
	assert_int_equal(info.lost_first_lsn, 3);
	assert_int_equal(info.lost_last_lsn, 4);
	assert_int_equal(host_run(&host, "get {sick}a"), PD_CORRUPT);
	host_expect(&host, "get {well}a", "$1\r\n1\r\n");
	host_done(&host);
}

/* ---- memory ---- */

/* Whatever allocation fails: a view, or an error and none; and what is shown is all. */
static void test_without_memory(void **state)
{
	bool all = false;
	unsigned refused = 0;
	struct pd_hash128 expected;
	struct host host;

	(void)state;
	init(&host);
	fill(&host, 20);
	host_durable(&host, "set a 1");
	for (unsigned i = 0; i < 300; i++)
		step(&host, 1);
	expected = host_hash(&host, "");
	for (unsigned long n = 1; !all; n++) {
		struct pd_engine_view *view = NULL;
		struct pd_hash128 hash = { 0 };
		struct pd_wait wait;
		int result;

		host.err.text[0] = '\0';
		assert_int_equal(host_run(&host, "set a 1"), 0); /* a group is open */
		pd_memory_fail(n, 0);
		result = pd_engine_view_open(host.engine, &view, &wait, &host.err);
		if (result == 0)
			result = pd_engine_view_hash(view, PD_VIEW_ALL, NULL, NULL, &hash, &host.err);
		all = pd_memory_fail_left() > 0;
		pd_memory_fail(0, 0);
		if (result == 0) {
			assert_same_hash(hash, expected);
		} else {
			assert_true(result == PD_NO_MEMORY || result == PD_AGAIN);
			assert_string_not_equal(host.err.text, "");
			refused++;
		}
		pd_engine_view_close(view);
		step(&host, 300);
	}
	assert_true(refused > 0);
	host_done(&host);
}

/* ---- hashes beside the serving ---- */

static void test_hash(void **state)
{
	struct pd_state_hash *job = NULL, *second = NULL;
	struct pd_hash128 expected, hash;
	struct pd_engine_stats stats;
	struct pd_wait wait;
	struct host host;
	unsigned waits = 0;
	int result;

	(void)state;
	host_init(&host);
	host.machine.late_tasks = true;
	pd_sim_set_options(host.os, &host.machine);
	host.options.memtable_bytes = 16 * 1024;
	host_open(&host);
	fill(&host, 40);
	for (unsigned i = 0; i < 2; i++) {
		expected = host_hash(&host, i == 0 ? "" : "a2");
		assert_int_equal(pd_state_hash_start(host.engine, host.session,
						     pd_slice_string(i == 0 ? "" : "a2"), &job, &host.err),
				 0);
		assert_int_equal(
			pd_state_hash_start(host.engine, host.session, pd_slice(NULL, 0), &second, &host.err),
			PD_AGAIN);
		host_durable(&host, "set {a2}more 1");
		while ((result = pd_state_hash_result(job, &hash, &wait, &host.err)) == PD_AGAIN) {
			step(&host, 1);
			assert_true(++waits < 1000);
		}
		assert_int_equal(result, 0);
		assert_same_hash(hash, expected);
		assert_int_equal(pd_engine_settled(host.engine, &wait), 1);
		pd_state_hash_free(job);
		host_durable(&host, "del {a2}more");
	}
	/* Nobody waits for one that nobody wants; and it is no harm to a close. */
	assert_int_equal(pd_state_hash_start(host.engine, host.session, pd_slice(NULL, 0), &job, &host.err),
			 0);
	pd_state_hash_free(job);
	step(&host, 200);
	pd_engine_stats(host.engine, &stats);
	assert_int_equal(stats.store.views, 0);
	assert_int_equal(pd_state_hash_start(host.engine, host.session, pd_slice(NULL, 0), &job, &host.err),
			 0);
	pd_state_hash_free(job);
	pd_state_hash_free(NULL);
	host_close(&host);
	host_open(&host);
	host_done(&host);
}

/* With threads: hashes are found out while the state changes. */
static void test_beside_writes(void **state)
{
	struct pd_hash128 expected = { 0 }, hash;
	struct pd_state_hash *job = NULL;
	struct pd_os *os, *sim;
	struct pd_wait wait;
	struct host host;
	char directory[200], command[1200];
	unsigned found = 0, round = 0;
	const char *root = getenv("TMPDIR");

	(void)state;
	(void)snprintf(directory, sizeof directory, "%s/engine_view.XXXXXX", root != NULL ? root : "/tmp");
	assert_non_null(mkdtemp(directory));
	host_init(&host);
	assert_int_equal(pd_os_real_new(&os, NULL), 0);
	sim = host.os;
	host.os = host.options.os = os;
	host.options.data_directory = directory;
	host.options.memtable_bytes = 64 * 1024;
	host.options.segment_bytes = 0;
	host.options.default_level = PD_LEVEL_STANDARD;
	host_open(&host);
	for (; found < 30 && round < 1000000; round++) {
		int size = snprintf(command, sizeof command, "set {a%u}k%u ", round % 7, round % 300);
		int result = PD_AGAIN;

		memset(command + size, 'a' + (int)(round % 26), 700);
		command[size + 700] = '\0';
		result = host_run(&host, command);
		assert_true(result == 0 || result == PD_AGAIN);
		assert_int_equal(pd_engine_step(host.engine), 0);
		if (job == NULL) {
			expected = host_hash(&host, "");
			(void)!pd_state_hash_start(host.engine, host.session, pd_slice(NULL, 0), &job,
						   &host.err);
			continue;
		}
		result = pd_state_hash_result(job, &hash, &wait, &host.err);
		if (result == PD_AGAIN)
			continue;
		if (result != 0)
			fail_msg("%s", host.err.text);
		assert_same_hash(hash, expected);
		pd_state_hash_free(job);
		job = NULL;
		found++;
	}
	assert_int_equal(found, 30);
	pd_state_hash_free(job);
	host_close(&host);
	assert_int_equal(pd_os_remove_tree(os, directory, NULL), 0);
	host.os = sim;
	host_done(&host);
	pd_os_free(os);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moment),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_age_changes),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_cancelling),
		cmocka_unit_test(test_large_strings),
		cmocka_unit_test(test_large_string_without_a_part),
		cmocka_unit_test(test_quarantined),
		cmocka_unit_test(test_quarantine_is_read_with_the_state),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_beside_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
