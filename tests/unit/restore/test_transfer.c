/* Exports and imports: what is exported is what was, what is imported is what was exported, and what is left of imports that do not come to
 * be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ask.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "restore/export.h"
#include "wire/resp.h"

static void check_all(struct world *world)
{
	if (pd_engine_check_large(world->host.engine, &world->host.err) != 0 ||
	    pd_engine_check_counts(world->host.engine, &world->host.err) != 0)
		fail_msg("%s", world->host.err.text);
}

static uint64_t keys(struct world *world)
{
	struct pd_engine_stats stats;

	pd_engine_stats(world->host.engine, &stats);
	return stats.keys;
}

static bool is_there(struct world *world, const char *name)
{
	struct pd_actor_info known;

	return pd_engine_actor_info(world->host.engine, world->host.session, pd_slice_string(name), &known,
				    NULL) == 0;
}

/* ---- both ways ---- */

/* The next piece, of a job that has one. */
static struct pd_slice piece_of(struct world *world, struct pd_restore_job *job)
{
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	size_t digits = 0;

	assert_int_equal(pd_restore_job_work(job, &reply, &receipt, &world->host.err), 0);
	assert_int_equal(pd_resp_reply_size(reply.data, reply.size), reply.size);
	assert_int_equal(reply.data[0], '$');
	while (reply.data[digits] != '\n')
		digits++;
	return pd_slice(reply.data + digits + 1, reply.size - digits - 3);
}

static int try_export(struct world *world, const char *order, struct pd_buffer *into,
		      void (*meanwhile)(struct world *world))
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	struct pd_slice piece;
	int result = ask_start(world, jobs, order, &job);

	pd_buffer_clear(into);
	while (result == 0) {
		result = ask_end(world, job, meanwhile);
		if (result != 0)
			break;
		piece = piece_of(world, job);
		if (piece.size == 0)
			break;
		assert_int_equal(pd_buffer_append_slice(into, piece), 0);
		pd_restore_job_next(job);
	}
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

static void export(struct world *world, const char *order, struct pd_buffer *into)
{
	if (try_export(world, order, into, NULL) != 0)
		fail_msg("%s: %s", order, world->host.err.text);
}

static unsigned turns; /* that a piece did not end in */

static int put(struct world *world, struct pd_restore_job *job, struct pd_slice piece)
{
	const struct pd_receipt *receipt;

	for (unsigned i = 0; i < 20000; i++) {
		int result = pd_restore_job_put(job, piece, &receipt, &world->host.err);

		if (result != PD_AGAIN)
			return result;
		assert_true(receipt->retry_us > 0);
		turns++;
		assert_int_equal(pd_engine_step(world->host.engine), 0);
		host_advance_ms(&world->host, 1);
	}
	fail_msg("it does not end");
	return 1;
}

static int put_all(struct world *world, struct pd_restore_job *job, struct pd_slice lines, size_t piece)
{
	int result = 0;

	for (size_t at = 0; result == 0 && at < lines.size; at += piece) {
		size_t left = lines.size - at;

		result = put(world, job, pd_slice(lines.data + at, left < piece ? left : piece));
	}
	return result;
}

static int try_import(struct world *world, const char *order, struct pd_slice lines, size_t piece)
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	int result = ask_start(world, jobs, order, &job);

	if (result == 0)
		result = put_all(world, job, lines, piece);
	if (result == 0)
		result = pd_restore_job_end(job, &world->host.err);
	if (result == 0)
		result = ask_end(world, job, NULL);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

static void import(struct world *world, const char *order, const struct pd_buffer *lines, size_t piece)
{
	if (try_import(world, order, pd_buffer_slice(lines), piece) != 0)
		fail_msg("%s: %s", order, world->host.err.text);
}

static void import_fails(struct world *world, const char *order, struct pd_slice lines, int code,
			 const char *words)
{
	uint64_t before = keys(world);
	int result = try_import(world, order, lines, 700);

	if (result != code || strstr(world->host.err.text, words) == NULL)
		fail_msg("%s: %d, %s", order, result, world->host.err.text);
	world_idle(world, 20);
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	assert_int_equal(keys(world), before);
	check_all(world);
}

/* ---- any moment of any life ---- */

static bool choose(struct world *world, uint64_t *ret_lsn, unsigned *ret_actor)
{
	for (unsigned i = 0; i < 50; i++) {
		uint64_t lsn = 1 + world_random(world, world->last_lsn);
		unsigned actor = (unsigned)world_random(world, WORLD_ACTORS);
		const struct world_record *record = &world->records[lsn];

		if (record->there && record->known &&
		    (record->hashes[actor].low != 0 || record->hashes[actor].high != 0)) {
			*ret_lsn = lsn;
			*ret_actor = actor;
			return true;
		}
	}
	return false;
}

static void carry_any(struct world *world, unsigned number, struct pd_buffer *lines)
{
	char text[80], name[16];
	unsigned actor;
	uint64_t lsn;

	if (!choose(world, &lsn, &actor))
		return;
	(void)snprintf(text, sizeof text, "EXPORT %s AT %llu", world_actor(actor), (unsigned long long)lsn);
	export(world, text, lines);
	(void)snprintf(name, sizeof name, "i%u", number);
	(void)snprintf(text, sizeof text, "IMPORT AS %s", name);
	import(world, text, lines, 1 + (size_t)world_random(world, 5000));
	assert_same_hash(host_hash(&world->host, name), world->records[lsn].hashes[actor]);
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	check_all(world);
	/* It is an actor like any other. */
	(void)snprintf(text, sizeof text, "set {%s}k1 changed", name);
	assert_int_equal(host_run(&world->host, text), 0);
	world_idle(world, 1);
}

static void test_any_moment(void **state)
{
	static struct world world;
	struct pd_buffer lines;
	unsigned number = 0;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	for (uint64_t seed = 901; seed < 904; seed++) {
		world_init(&world, seed);
		world.hashing = true;
		world.expiring = seed % 2 == 0;
		world_open(&world);
		for (unsigned round = 0; round < 30; round++) {
			for (unsigned i = 0; i < 20; i++)
				world_act(&world);
			if (round % 7 == 3)
				world_checkpoint(&world);
			if (round % 9 == 5)
				world_restart(&world);
			carry_any(&world, number++, &lines);
		}
		world_done(&world);
	}
	assert_true(number > 60);
	pd_buffer_done(&lines);
}

/* ---- every kind of value ---- */

static void run(struct world *world, const char *command)
{
	int result;

	while ((result = host_run(&world->host, command)) == PD_AGAIN)
		world_idle(world, 1);
	if (result != 0)
		fail_msg("%.60s: %s", command, world->host.err.text);
}

/* `before`, then so many bytes of one kind. */
static void run_long(struct world *world, const char *before, size_t size, char byte)
{
	size_t used = strlen(before);
	char *text = malloc(used + size + 1);

	memcpy(text, before, used);
	memset(text + used, byte, size);
	text[used + size] = '\0';
	run(world, text);
	free(text);
}

static void fill_kinds(struct world *world)
{
	run(world, "set {a}plain Rome");
	run(world, "set {a}\"quoted\\\n\r\t\x1b back\\slash\"");
	run(world, "set {a}utf8\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xc3\xa9");
	run(world, "set {a}\xff\xfe\x80 \xc3\x28");
	run(world, "setbit {a}zeros 100 0");
	run(world, "setbit {a}bits 0 1");
	run(world, "set {a}later 1 px 100000");
	run(world, "hset {a}h f 1 g \xff z \x01");
	run(world, "pexpire {a}h 200000");
	run(world, "set {a} nameless");
	run_long(world, "set {a}large ", 50000, 'v');
	run_long(world, "set {a}binary ", 9000, '\xff');
	run_long(world, "hset {a}huge small 1 big ", 1200000, 'f');
	run_long(world, "hset {a}huge zbig ", PD_EXPORT_PARTS_MIN, '\xfe');
	run_long(world, "hset {a}huge zlast ", PD_EXPORT_PARTS_MIN - 1, '"');
}

static void test_kinds(void **state)
{
	static struct world world;
	struct pd_buffer lines, again;
	struct pd_hash128 hash;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	pd_buffer_init(&again, 1 << 24);
	world_init(&world, 910);
	world_open(&world);
	fill_kinds(&world);
	hash = host_hash(&world.host, "a");
	export(&world, "EXPORT a", &lines);
	for (size_t piece = 900000; piece > 1000; piece /= 20) {
		turns = 0;
		import(&world, "IMPORT AS b", &lines, piece);
		/* Much is not read in one go: others are served in between. */
		assert_true(turns >= lines.size / piece * (piece / (size_t)(128 * 1024)));
		assert_same_hash(host_hash(&world.host, "b"), hash);
		check_all(&world);
		host_expect(&world.host, "strlen {b}large", ":50000\r\n");
		host_expect(&world.host, "hstrlen {b}huge big", ":1200000\r\n");
		/* And once more, which says the same. */
		export(&world, "EXPORT b", &again);
		assert_int_equal(again.size, lines.size);
		world_settle(&world);
		host_power_cycle(&world.host);
		assert_same_hash(host_hash(&world.host, "b"), hash);
		assert_int_equal(pd_engine_drop_actor(world.host.engine, world.host.session,
						      pd_slice_string("b"), &world.host.receipt,
						      &world.host.err),
				 0);
	}
	/* Nothing in it is like nothing else. */
	run(&world, "set {e}x 1");
	run(&world, "del {e}x");
	export(&world, "EXPORT e", &lines);
	import(&world, "IMPORT AS f", &lines, 100);
	assert_true(is_there(&world, "f"));
	/* A fork copies a field as large, too. */
	ask(&world, "FORK a c");
	assert_same_hash(host_hash(&world.host, "c"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
	pd_buffer_done(&again);
}

/* Into a directory that has nothing yet, not even the tenant. */
static void test_elsewhere(void **state)
{
	static struct world world, other;
	struct pd_buffer lines;
	struct pd_hash128 hash;
	struct pd_profile_change change = { .has_level = true,
					    .level = PD_LEVEL_STANDARD,
					    .has_keys = true,
					    .has_ops = true,
					    .quotas = { .keys = 100, .ops = 2000 } };
	struct pd_actor_info known;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 911);
	world_open(&world);
	run(&world, "mset {a}x 1 {a}y 2");
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, false,
						  pd_slice_string("a"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	hash = host_hash(&world.host, "a");
	export(&world, "EXPORT a", &lines);
	world_done(&world);
	world_init(&other, 912);
	world_open(&other);
	import(&other, "IMPORT", &lines, 50);
	assert_same_hash(host_hash(&other.host, "a"), hash);
	assert_int_equal(pd_engine_actor_info(other.host.engine, other.host.session, pd_slice_string("a"),
					      &known, &other.host.err),
			 0);
	assert_int_equal(known.level, PD_LEVEL_STANDARD);
	assert_int_equal(known.quotas.keys, 100);
	assert_int_equal(known.quotas.ops, 2000);
	world_settle(&other);
	host_power_cycle(&other.host);
	assert_same_hash(host_hash(&other.host, "a"), hash);
	world_done(&other);
	pd_buffer_done(&lines);
}

/* An export is of the moment at which it began, or of a snapshot, whatever is written in between. */
static void write_more(struct world *world)
{
	run(world, "set {a}k changed");
	run(world, "append {a}log x");
}

static void test_one_moment(void **state)
{
	static struct world world;
	struct pd_buffer lines;
	struct pd_hash128 hash;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 913);
	world_open(&world);
	fill_kinds(&world);
	hash = host_hash(&world.host, "a");
	ask(&world, "SNAPSHOT a s");
	assert_int_equal(try_export(&world, "EXPORT a", &lines, write_more), 0);
	import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	export(&world, "EXPORT a AT snapshot:s", &lines);
	import(&world, "IMPORT AS c", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "c"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static struct world world;
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 5 } };
	struct pd_buffer lines, other;
	char too_long[2000] = "IMPORT AS ";
	struct pd_slice all;

	(void)state;
	memset(too_long + 10, 't', 1900);
	memcpy(too_long + 1900, "/b", 3);
	pd_buffer_init(&lines, 1 << 20);
	pd_buffer_init(&other, 1 << 20);
	world_init(&world, 920);
	world_open(&world);
	run(&world, "mset {a}x 1 {a}y 2 {a}z 3");
	run_long(&world, "set {a}large ", 6000, 'v');
	export(&world, "EXPORT a", &lines);
	all = pd_buffer_slice(&lines);
	assert_int_equal(try_export(&world, "EXPORT nobody", &other, NULL), PD_NOT_THEN);
	assert_int_equal(try_export(&world, "EXPORT a TO 1", &other, NULL), PD_INVALID);
	assert_int_equal(try_export(&world, "EXPORT a AT 1000000", &other, NULL), PD_AGAIN);
	import_fails(&world, "IMPORT", all, PD_EXISTS, "there is an actor 'a' already");
	import_fails(&world, "IMPORT AS a", all, PD_EXISTS, "there is an actor 'a' already");
	import_fails(&world, "IMPORT AS {b}", all, PD_INVALID, "is no actor's name");
	import_fails(&world, "IMPORT AS nowhere/b", all, PD_NOT_FOUND, "there is no tenant 'nowhere'");
	import_fails(&world, too_long, all, PD_INVALID, "is no tenant's name");
	import_fails(&world, "IMPORT INTO b", all, PD_INVALID, "syntax error: PD.ACTOR IMPORT [AS name]");
	import_fails(&world, "IMPORT AS b", pd_slice(all.data, all.size - 1), PD_CORRUPT, "the file ends");
	import_fails(&world, "IMPORT AS b", pd_slice(all.data, all.size / 2), PD_CORRUPT, "the file ends");
	import_fails(&world, "IMPORT AS b", pd_slice(all.data, 10), PD_CORRUPT, "the file ends after line 0");
	import_fails(&world, "IMPORT AS b", pd_slice(NULL, 0), PD_CORRUPT, "the file ends after line 0");
	/* Each byte in turn, whether it is the checksum or the state's hash that tells. */
	for (size_t i = 0; i < all.size; i += i + 400 < all.size ? 97 : 3) {
		lines.data[i] ^= 1;
		import_fails(&world, "IMPORT AS b", all, PD_CORRUPT, "");
		lines.data[i] ^= 1;
	}
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	import_fails(&world, "IMPORT AS b", all, PD_QUOTA, "5 keys");
	change.quotas.keys = 3;
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	import_fails(&world, "IMPORT AS b", all, PD_QUOTA, "the import has 4 keys");
	/* Who is confined to a tenant. */
	assert_int_equal(
		pd_session_set_home(world.host.session, pd_slice_string("acme"), true, &world.host.err), 0);
	assert_int_equal(try_import(&world, "IMPORT AS default/b", all, 500), PD_PERMISSION);
	assert_int_equal(try_export(&world, "EXPORT default/a", &other, NULL), PD_NOT_FOUND);
	import(&world, "IMPORT", &lines, 500);
	assert_true(is_there(&world, "acme/a"));
	world_done(&world);
	pd_buffer_done(&lines);
	pd_buffer_done(&other);
}

/* Somebody takes the name while it comes. */
static void test_name_is_taken(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_buffer lines;

	(void)state;
	pd_buffer_init(&lines, 1 << 20);
	world_init(&world, 921);
	world_open(&world);
	run(&world, "set {a}x 1");
	export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	assert_int_equal(put_all(&world, job, pd_buffer_slice(&lines), 100), 0);
	run(&world, "set {b}mine 1");
	assert_int_equal(pd_restore_job_end(job, &world.host.err), 0);
	assert_int_equal(ask_end(&world, job, NULL), PD_EXISTS);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(keys(&world), 2);
	world_done(&world);
	pd_buffer_done(&lines);
}

/* ---- how many, for how long ---- */

static void test_limits(void **state)
{
	static struct world world;
	struct pd_restore_job *imports[PD_RESTORE_IMPORTS_MAX], *exports[PD_RESTORE_EXPORTS_MAX], *more;
	struct pd_restore_progress progress;
	struct pd_restore_jobs *jobs;
	const struct pd_receipt *receipt;
	struct pd_buffer lines;
	size_t at_work = 0;
	char text[32];

	(void)state;
	pd_buffer_init(&lines, 1 << 20);
	world_init(&world, 930);
	world_open(&world);
	run(&world, "mset {a}x 1 {a}y 2");
	export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	for (unsigned i = 0; i < PD_RESTORE_IMPORTS_MAX; i++) {
		(void)snprintf(text, sizeof text, "IMPORT AS b%u", i);
		assert_int_equal(ask_start(&world, jobs, text, &imports[i]), 0);
		assert_int_equal(put(&world, imports[i], pd_slice(lines.data, lines.size - 5)), 0);
	}
	for (unsigned i = 0; i < PD_RESTORE_EXPORTS_MAX; i++) {
		assert_int_equal(ask_start(&world, jobs, "EXPORT a", &exports[i]), 0);
		assert_int_equal(ask_end(&world, exports[i], NULL), 0);
	}
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS c", &more), PD_BUSY);
	assert_non_null(strstr(world.host.err.text, "4 imports are at work already"));
	assert_int_equal(ask_start(&world, jobs, "EXPORT a", &more), PD_BUSY);
	while (pd_restore_jobs_progress(jobs, world.host.session, at_work, &progress))
		at_work++;
	assert_int_equal(at_work, PD_RESTORE_IMPORTS_MAX + PD_RESTORE_EXPORTS_MAX);
	/* They are in nobody else's way. */
	assert_int_equal(ask_start(&world, jobs, "FORK a d", &more), 0);
	assert_int_equal(ask_end(&world, more, NULL), 0);
	pd_restore_job_free(more);
	assert_int_equal(pd_restore_job_put(imports[0], pd_slice(NULL, 0), &receipt, &world.host.err),
			 PD_INVALID);
	assert_int_equal(pd_restore_job_put(imports[0], pd_slice(lines.data, PD_RESTORE_IMPORT_PUT_MAX + 1),
					    &receipt, &world.host.err),
			 PD_INVALID);
	/* One goes on within the time, the others do not. */
	host_advance_ms(&world.host, 200 * 1000);
	assert_int_equal(put(&world, imports[1], pd_slice(lines.data + lines.size - 5, 2)), 0);
	host_advance_ms(&world.host, 200 * 1000);
	pd_restore_jobs_tick(jobs);
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 1);
	assert_int_equal(put(&world, imports[0], pd_slice("x", 1)), PD_CANCELLED);
	assert_non_null(strstr(world.host.err.text, "the import was given up, since nobody went on"));
	assert_int_equal(pd_restore_job_end(imports[0], &world.host.err), PD_CANCELLED);
	pd_restore_job_next(exports[0]);
	assert_int_equal(ask_end(&world, exports[0], NULL), PD_CANCELLED);
	assert_int_equal(put(&world, imports[1], pd_slice(lines.data + lines.size - 3, 3)), 0);
	assert_int_equal(pd_restore_job_end(imports[1], &world.host.err), 0);
	assert_int_equal(ask_end(&world, imports[1], NULL), 0);
	for (unsigned i = 0; i < PD_RESTORE_IMPORTS_MAX; i++)
		pd_restore_job_free(imports[i]);
	for (unsigned i = 0; i < PD_RESTORE_EXPORTS_MAX; i++)
		pd_restore_job_free(exports[i]);
	pd_restore_jobs_free(jobs);
	assert_true(is_there(&world, "b1") && !is_there(&world, "b0"));
	world_done(&world);
	pd_buffer_done(&lines);
}

/* ---- the end of it, in the middle ---- */

static void fill_actor(struct world *world, unsigned keys_of_each)
{
	char text[64];

	for (unsigned i = 0; i < keys_of_each; i++) {
		(void)snprintf(text, sizeof text, "set {a}key%u ", i);
		run_long(world, text, 4500, 'v'); /* large, of several chunks */
		(void)snprintf(text, sizeof text, "hset {a}h%u f 1 g 2", i);
		run(world, text);
	}
}

/* One step of an import after another, with a step of the engine in between. 1: not over yet. */
static int step(struct world *world, struct pd_restore_job *job, const struct pd_buffer *lines, size_t *at,
		bool *ended)
{
	const struct pd_receipt *done;
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	size_t left = lines->size - *at, size = left < 20000 ? left : 20000;
	int result;

	if (left > 0) {
		result = pd_restore_job_put(job, pd_slice(lines->data + *at, size), &receipt,
					    &world->host.err);
		*at += result == 0 ? size : 0;
		return result == 0 || result == PD_AGAIN ? 1 : result;
	}
	if (!*ended) {
		result = pd_restore_job_end(job, &world->host.err);
		*ended = true;
		return result == 0 ? 1 : result;
	}
	return pd_restore_job_work(job, &reply, &done, &world->host.err);
}

/* After so many steps: nobody wants it any more, the process dies, the power goes. */
static void end_early(unsigned steps, unsigned way)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_buffer lines;
	struct pd_hash128 hash;
	bool ended = false;
	size_t at = 0;
	int result = 1;

	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 940 + steps);
	world_open(&world);
	fill_actor(&world, 60);
	hash = host_hash(&world.host, "a");
	export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	for (unsigned i = 0; i < steps && result == 1; i++) {
		result = step(&world, job, &lines, &at, &ended);
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 1);
	}
	assert_true(result == 0 || result == 1);
	if (way == 0)
		world_settle(&world);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	if (way > 0) {
		host_crash(&world.host, way == 2);
		host_open(&world.host);
	}
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	check_all(&world);
	assert_same_hash(host_hash(&world.host, "a"), hash);
	if (result == 1) {
		assert_false(is_there(&world, "b"));
		assert_int_equal(keys(&world), 120);
	}
	/* What was told is there; and nothing stands in the way of the next. */
	if (!is_there(&world, "b"))
		import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
}

static void test_ends_early(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3; way++)
		for (unsigned steps = 0; steps < 60; steps += 1 + steps / 6)
			end_early(steps, way);
}

/* What an export reads is not kept for ever. */
static void test_too_slow(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;

	(void)state;
	world_init(&world, 950);
	world.host.options.view_age_s = 100;
	world_open(&world);
	fill_actor(&world, 60);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "EXPORT a", &job), 0);
	assert_int_equal(ask_end(&world, job, NULL), 0);
	host_advance_ms(&world.host, 101 * 1000);
	world_checkpoint(&world);
	pd_restore_job_next(job);
	assert_int_equal(ask_end(&world, job, NULL), PD_VIEW_TOO_OLD);
	assert_non_null(strstr(world.host.err.text, "--view-age"));
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	world_done(&world);
}

static void test_disk_full(void **state)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job;
	struct pd_buffer lines;
	int result;

	(void)state;
	pd_buffer_init(&lines, 1 << 24);
	world_init(&world, 960);
	world_open(&world);
	fill_actor(&world, 100);
	export(&world, "EXPORT a", &lines);
	world_idle(&world, 10);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	assert_int_equal(put_all(&world, job, pd_slice(lines.data, 30000), 10000), 0);
	world.host.machine.disk_bytes = 1;
	pd_sim_set_options(world.host.os, &world.host.machine);
	result = put_all(&world, job, pd_slice(lines.data + 30000, lines.size - 30000), 10000);
	if (result == 0)
		result = pd_restore_job_end(job, &world.host.err);
	if (result == 0)
		result = ask_end(&world, job, NULL);
	assert_int_equal(result, PD_NO_SPACE);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	assert_false(is_there(&world, "b"));
	world.host.machine.disk_bytes = 0;
	pd_sim_set_options(world.host.os, &world.host.machine);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(pd_engine_step(world.host.engine), 0);
		host_advance_ms(&world.host, 100);
	}
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(keys(&world), 200);
	import(&world, "IMPORT AS b", &lines, 100000);
	world_done(&world);
	pd_buffer_done(&lines);
}

/* With only the allocations of the import itself failing, the nth. true: none was left to fail. */
static bool without_memory(unsigned long n)
{
	static struct world world;
	struct pd_restore_jobs *jobs;
	struct pd_restore_job *job = NULL;
	struct pd_buffer lines;
	struct pd_hash128 hash;
	bool ended = false;
	size_t at = 0;
	int result;

	pd_buffer_init(&lines, 1 << 20);
	world_init(&world, 970);
	world_open(&world);
	fill_actor(&world, 3);
	hash = host_hash(&world.host, "a");
	export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	pd_memory_fail(n, 0);
	result = ask_start(&world, jobs, "IMPORT AS b", &job);
	result = result == 0 ? 1 : result;
	n = pd_memory_fail_left();
	pd_memory_fail(0, 0);
	for (unsigned i = 0; i < 20000 && result == 1; i++) {
		pd_memory_fail(n, 0);
		result = step(&world, job, &lines, &at, &ended);
		n = pd_memory_fail_left();
		pd_memory_fail(0, 0);
		/* The machine's own, for a write that it could not take. */
		if (pd_engine_step(world.host.engine) != 0)
			result = PD_FENCED;
		host_advance_ms(&world.host, 1);
	}
	assert_true(result == 0 || result == PD_NO_MEMORY || result == PD_FENCED);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	if (result == PD_FENCED) {
		host_crash(&world.host, false);
		host_open(&world.host);
	}
	world_idle(&world, 100);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	check_all(&world);
	if (result != 0 && !is_there(&world, "b"))
		import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	world_done(&world);
	pd_buffer_done(&lines);
	return n > 0;
}

static void test_out_of_memory(void **state)
{
	unsigned long n = 1;

	(void)state;
	while (!without_memory(n))
		n += 1 + n / 30;
	assert_true(n > 20);
}

/* ---- relations ---- */

static const char *said; /* by the server of the last import */

static int import_and_listen(struct world *world, const char *order, const struct pd_buffer *lines)
{
	static char text[4000];
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	int result = ask_start(world, jobs, order, &job);

	if (result == 0)
		result = put_all(world, job, pd_buffer_slice(lines), 700);
	if (result == 0)
		result = pd_restore_job_end(job, &world->host.err);
	if (result == 0)
		result = ask_end(world, job, NULL);
	if (result == 0)
		result = pd_restore_job_work(job, &reply, &receipt, &world->host.err);
	if (result == 0) {
		assert_int_equal(pd_resp_reply_size(reply.data, reply.size), reply.size);
		assert_true(reply.size < sizeof text);
		memcpy(text, reply.data, reply.size);
		text[reply.size] = '\0';
		said = text;
	}
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

static void says(const char *words)
{
	if (strstr(said, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, said);
}

static void relations_are(struct world *world, const char *actor, const char *expected)
{
	char command[100];

	(void)snprintf(command, sizeof command, "pd.actor relations %s", actor);
	run(world, command);
	if (strcmp(host_reply(&world->host), expected) != 0)
		fail_msg("%s: '%s', expected '%s'", command, host_reply(&world->host), expected);
}

#define ONE(side, kind, actor, data) \
	"*8\r\n$9\r\ndirection\r\n" side "$4\r\nkind\r\n" kind "$5\r\nactor\r\n" actor "$4\r\ndata\r\n" data
#define LIST(count, items) "*2\r\n$1\r\n0\r\n*" count "\r\n" items
#define OUT                "$3\r\nout\r\n"
#define IN                 "$2\r\nin\r\n"
#define RELATED            "$7\r\nrelated\r\n"
#define NO_DATA            "$0\r\n\r\n"
#define A                  "$1\r\na\r\n"
#define B                  "$1\r\nb\r\n"
#define C                  "$1\r\nc\r\n"

static bool has(const struct pd_buffer *lines, const char *text)
{
	return memmem(lines->data, lines->size, text, strlen(text)) != NULL;
}

static void drop(struct world *world, const char *actor)
{
	struct pd_receipt receipt;

	assert_int_equal(pd_engine_drop_actor(world->host.engine, world->host.session, pd_slice_string(actor),
					      &receipt, &world->host.err),
			 0);
}

static void set_up_related(struct world *world)
{
	world_init(world, 91);
	world_open(world);
	run(world, "set {a}k 1");
	run(world, "set {b}k 2");
	run(world, "set {c}k 3");
	run(world, "pd.actor relate a b");
	run(world, "pd.actor relate c a data why");
	run(world, "pd.actor relate a a");
}

/* They go along, on both sides and in the record that gives the actor its name; what is not there is told. */
static void test_related(void **state)
{
	static struct world world;
	struct pd_buffer lines, bare, again;
	struct pd_hash128 hash;

	(void)state;
	pd_buffer_init(&lines, 1 << 20);
	pd_buffer_init(&bare, 1 << 20);
	pd_buffer_init(&again, 1 << 20);
	set_up_related(&world);
	export(&world, "EXPORT a", &lines);
	export(&world, "EXPORT a NORELATIONS", &bare);
	assert_true(has(&lines, "{\"perdure_actor\":2,"));
	assert_true(
		has(&lines, "{\"relation\":\"in\",\"kind\":\"related\",\"actor\":\"c\",\"data\":\"why\"}\n"));
	assert_true(has(&bare, "{\"perdure_actor\":1,"));
	assert_false(has(&bare, "relation"));

	/* Another, beside the first: what was related to itself is so again, and none of it goes to the first. */
	assert_int_equal(import_and_listen(&world, "IMPORT AS d", &lines), 0);
	says("related\r\n:4\r\n");
	says("missing\r\n*0\r\n");
	relations_are(&world, "d",
		      LIST("4",
			   ONE(IN, RELATED, C, "$3\r\nwhy\r\n") ONE(IN, RELATED, "$1\r\nd\r\n", NO_DATA)
				   ONE(OUT, RELATED, B, NO_DATA) ONE(OUT, RELATED, "$1\r\nd\r\n", NO_DATA)));
	relations_are(&world, "b",
		      LIST("2", ONE(IN, RELATED, A, NO_DATA) ONE(IN, RELATED, "$1\r\nd\r\n", NO_DATA)));
	check_all(&world);

	/* Without. */
	assert_int_equal(import_and_listen(&world, "IMPORT AS e NORELATIONS", &lines), 0);
	says("related\r\n:0\r\n");
	relations_are(&world, "e", LIST("0", ""));
	hash = host_hash(&world.host, "e");
	assert_int_equal(import_and_listen(&world, "IMPORT AS f", &bare), 0);
	assert_same_hash(host_hash(&world.host, "f"), hash);

	/* Of one that is not there it is said; the others are taken up. */
	drop(&world, "c");
	drop(&world, "a");
	assert_int_equal(import_and_listen(&world, "IMPORT", &lines), 0);
	says("related\r\n:3\r\n");
	says("missing\r\n*1\r\n*6\r\n$9\r\ndirection\r\n$2\r\nin\r\n$4\r\nkind\r\n" RELATED
	     "$5\r\nactor\r\n" C);
	relations_are(&world, "a",
		      LIST("3", ONE(IN, RELATED, A, NO_DATA) ONE(OUT, RELATED, A, NO_DATA)
					ONE(OUT, RELATED, B, NO_DATA)));
	check_all(&world);

	/* In another's place: it has what that one had, and what it brings. */
	run(&world, "set {c}k 4");
	run(&world, "pd.actor unrelate a b");
	run(&world, "pd.actor relate b a");
	assert_int_equal(import_and_listen(&world, "IMPORT REPLACE", &lines), 0);
	says("missing\r\n*0\r\n");
	relations_are(&world, "a",
		      LIST("5", ONE(IN, RELATED, A, NO_DATA) ONE(IN, RELATED, B, NO_DATA)
					ONE(IN, RELATED, C, "$3\r\nwhy\r\n") ONE(OUT, RELATED, A, NO_DATA)
						ONE(OUT, RELATED, B, NO_DATA)));
	check_all(&world);

	/* And so it is after a crash. */
	world_settle(&world);
	host_power_cycle(&world.host);
	check_all(&world);
	export(&world, "EXPORT a", &again);
	assert_true(
		has(&again, "{\"relation\":\"in\",\"kind\":\"related\",\"actor\":\"b\",\"data\":\"\"}\n"));
	world_done(&world);
	pd_buffer_done(&lines);
	pd_buffer_done(&bare);
	pd_buffer_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_moment),    cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_elsewhere),     cmocka_unit_test(test_one_moment),
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_name_is_taken),
		cmocka_unit_test(test_limits),        cmocka_unit_test(test_ends_early),
		cmocka_unit_test(test_too_slow),      cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_related),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
