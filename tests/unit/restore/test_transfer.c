/* Exports and imports: what is exported is what was, what is imported is what was exported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "transfer.h"
#include "wire/resp.h"

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
	transfer_export(world, text, lines);
	(void)snprintf(name, sizeof name, "i%u", number);
	(void)snprintf(text, sizeof text, "IMPORT AS %s", name);
	transfer_import(world, text, lines, 1 + (size_t)world_random(world, 5000));
	assert_same_hash(host_hash(&world->host, name), world->records[lsn].hashes[actor]);
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	transfer_check(world);
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

static void fill_kinds(struct world *world)
{
	transfer_run(world, "set {a}plain Rome");
	transfer_run(world, "set {a}\"quoted\\\n\r\t\x1b back\\slash\"");
	transfer_run(world, "set {a}utf8\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xc3\xa9");
	transfer_run(world, "set {a}\xff\xfe\x80 \xc3\x28");
	transfer_run(world, "setbit {a}zeros 100 0");
	transfer_run(world, "setbit {a}bits 0 1");
	transfer_run(world, "set {a}later 1 px 100000");
	transfer_run(world, "hset {a}h f 1 g \xff z \x01");
	transfer_run(world, "pexpire {a}h 200000");
	transfer_run(world, "set {a} nameless");
	transfer_run_long(world, "set {a}large ", 50000, 'v');
	transfer_run_long(world, "set {a}binary ", 9000, '\xff');
	transfer_run_long(world, "hset {a}huge small 1 big ", 1200000, 'f');
	transfer_run_long(world, "hset {a}huge zbig ", PD_EXPORT_PARTS_MIN, '\xfe');
	transfer_run_long(world, "hset {a}huge zlast ", PD_EXPORT_PARTS_MIN - 1, '"');
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
	transfer_export(&world, "EXPORT a", &lines);
	for (size_t piece = 900000; piece > 1000; piece /= 20) {
		transfer_turns = 0;
		transfer_import(&world, "IMPORT AS b", &lines, piece);
		/* Much is not read in one go: others are served in between. */
		assert_true(transfer_turns >= lines.size / piece * (piece / (size_t)(128 * 1024)));
		assert_same_hash(host_hash(&world.host, "b"), hash);
		transfer_check(&world);
		host_expect(&world.host, "strlen {b}large", ":50000\r\n");
		host_expect(&world.host, "hstrlen {b}huge big", ":1200000\r\n");
		/* And once more, which says the same. */
		transfer_export(&world, "EXPORT b", &again);
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
	transfer_run(&world, "set {e}x 1");
	transfer_run(&world, "del {e}x");
	transfer_export(&world, "EXPORT e", &lines);
	transfer_import(&world, "IMPORT AS f", &lines, 100);
	assert_true(transfer_is_there(&world, "f"));
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
	transfer_run(&world, "mset {a}x 1 {a}y 2");
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, false,
						  pd_slice_string("a"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	hash = host_hash(&world.host, "a");
	transfer_export(&world, "EXPORT a", &lines);
	world_done(&world);
	world_init(&other, 912);
	world_open(&other);
	transfer_import(&other, "IMPORT", &lines, 50);
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
	transfer_run(world, "set {a}k changed");
	transfer_run(world, "append {a}log x");
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
	assert_int_equal(transfer_try_export(&world, "EXPORT a", &lines, write_more), 0);
	transfer_import(&world, "IMPORT AS b", &lines, 100000);
	assert_same_hash(host_hash(&world.host, "b"), hash);
	transfer_export(&world, "EXPORT a AT snapshot:s", &lines);
	transfer_import(&world, "IMPORT AS c", &lines, 100000);
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
	transfer_run(&world, "mset {a}x 1 {a}y 2 {a}z 3");
	transfer_run_long(&world, "set {a}large ", 6000, 'v');
	transfer_export(&world, "EXPORT a", &lines);
	all = pd_buffer_slice(&lines);
	assert_int_equal(transfer_try_export(&world, "EXPORT nobody", &other, NULL), PD_NOT_THEN);
	assert_int_equal(transfer_try_export(&world, "EXPORT a TO 1", &other, NULL), PD_INVALID);
	assert_int_equal(transfer_try_export(&world, "EXPORT a AT 1000000", &other, NULL), PD_AGAIN);
	transfer_import_fails(&world, "IMPORT", all, PD_EXISTS, "there is an actor 'a' already");
	transfer_import_fails(&world, "IMPORT AS a", all, PD_EXISTS, "there is an actor 'a' already");
	transfer_import_fails(&world, "IMPORT AS {b}", all, PD_INVALID, "is no actor's name");
	transfer_import_fails(&world, "IMPORT AS nowhere/b", all, PD_NOT_FOUND,
			      "there is no tenant 'nowhere'");
	transfer_import_fails(&world, too_long, all, PD_INVALID, "is no tenant's name");
	transfer_import_fails(&world, "IMPORT INTO b", all, PD_INVALID,
			      "syntax error: PD.ACTOR IMPORT [AS name]");
	transfer_import_fails(&world, "IMPORT AS b", pd_slice(all.data, all.size - 1), PD_CORRUPT,
			      "the file ends");
	transfer_import_fails(&world, "IMPORT AS b", pd_slice(all.data, all.size / 2), PD_CORRUPT,
			      "the file ends");
	transfer_import_fails(&world, "IMPORT AS b", pd_slice(all.data, 10), PD_CORRUPT,
			      "the file ends after line 0");
	transfer_import_fails(&world, "IMPORT AS b", pd_slice(NULL, 0), PD_CORRUPT,
			      "the file ends after line 0");
	/* Each byte in turn, whether it is the checksum or the state's hash that tells. */
	for (size_t i = 0; i < all.size; i += i + 400 < all.size ? 97 : 3) {
		lines.data[i] ^= 1;
		transfer_import_fails(&world, "IMPORT AS b", all, PD_CORRUPT, "");
		lines.data[i] ^= 1;
	}
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	transfer_import_fails(&world, "IMPORT AS b", all, PD_QUOTA, "5 keys");
	change.quotas.keys = 3;
	assert_int_equal(pd_engine_change_profile(world.host.engine, world.host.session, true,
						  pd_slice_string("default"), &change, &world.host.receipt,
						  &world.host.err),
			 0);
	transfer_import_fails(&world, "IMPORT AS b", all, PD_QUOTA, "the import has 4 keys");
	/* Who is confined to a tenant. */
	assert_int_equal(
		pd_session_set_home(world.host.session, pd_slice_string("acme"), true, &world.host.err), 0);
	assert_int_equal(transfer_try_import(&world, "IMPORT AS default/b", all, 500), PD_PERMISSION);
	assert_int_equal(transfer_try_export(&world, "EXPORT default/a", &other, NULL), PD_NOT_FOUND);
	transfer_import(&world, "IMPORT", &lines, 500);
	assert_true(transfer_is_there(&world, "acme/a"));
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
	transfer_run(&world, "set {a}x 1");
	transfer_export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	assert_int_equal(ask_start(&world, jobs, "IMPORT AS b", &job), 0);
	assert_int_equal(transfer_put_all(&world, job, pd_buffer_slice(&lines), 100), 0);
	transfer_run(&world, "set {b}mine 1");
	assert_int_equal(pd_restore_job_end(job, &world.host.err), 0);
	assert_int_equal(ask_end(&world, job, NULL), PD_EXISTS);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 0);
	assert_int_equal(transfer_keys(&world), 2);
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
	transfer_run(&world, "mset {a}x 1 {a}y 2");
	transfer_export(&world, "EXPORT a", &lines);
	jobs = pd_restore_jobs_new(world.host.engine);
	for (unsigned i = 0; i < PD_RESTORE_IMPORTS_MAX; i++) {
		(void)snprintf(text, sizeof text, "IMPORT AS b%u", i);
		assert_int_equal(ask_start(&world, jobs, text, &imports[i]), 0);
		assert_int_equal(transfer_put(&world, imports[i], pd_slice(lines.data, lines.size - 5)), 0);
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
	assert_int_equal(transfer_put(&world, imports[1], pd_slice(lines.data + lines.size - 5, 2)), 0);
	host_advance_ms(&world.host, 200 * 1000);
	pd_restore_jobs_tick(jobs);
	world_idle(&world, 10);
	assert_int_equal(pd_drafts_count(world.host.engine), 1);
	assert_int_equal(transfer_put(&world, imports[0], pd_slice("x", 1)), PD_CANCELLED);
	assert_non_null(strstr(world.host.err.text, "the import was given up, since nobody went on"));
	assert_int_equal(pd_restore_job_end(imports[0], &world.host.err), PD_CANCELLED);
	pd_restore_job_next(exports[0]);
	assert_int_equal(ask_end(&world, exports[0], NULL), PD_CANCELLED);
	assert_int_equal(transfer_put(&world, imports[1], pd_slice(lines.data + lines.size - 3, 3)), 0);
	assert_int_equal(pd_restore_job_end(imports[1], &world.host.err), 0);
	assert_int_equal(ask_end(&world, imports[1], NULL), 0);
	for (unsigned i = 0; i < PD_RESTORE_IMPORTS_MAX; i++)
		pd_restore_job_free(imports[i]);
	for (unsigned i = 0; i < PD_RESTORE_EXPORTS_MAX; i++)
		pd_restore_job_free(exports[i]);
	pd_restore_jobs_free(jobs);
	assert_true(transfer_is_there(&world, "b1") && !transfer_is_there(&world, "b0"));
	world_done(&world);
	pd_buffer_done(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_moment), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_elsewhere),  cmocka_unit_test(test_one_moment),
		cmocka_unit_test(test_refused),    cmocka_unit_test(test_name_is_taken),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
