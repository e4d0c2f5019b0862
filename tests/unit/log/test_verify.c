/* The verifier must find nothing in a log that is as it was written, and every single bit that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log/group_private.h"
#include "log/log.h"
#include "log/verify.h"
#include "os/os.h"
#include "os/sim.h"

#define DIRECTORY     "/log"
#define SEGMENT_BYTES PD_LOG_SEGMENT_BYTES_MIN

enum {
	ACTORS = 3, /* ids 10, 11, 12 */
	FIRST_ACTOR = 10,
	DAMAGE_MAX = 64,
};

struct fixture {
	struct pd_os *os;
	struct pd_log *log;
	struct pd_log_group *group;
	uint64_t time_us, lsn;
	uint64_t trimmed_lsn; /* as the verifier is told */
};

struct seen {
	struct pd_log_totals totals;
	uint64_t records, groups, segments, notes, damage_count, torn;
	struct pd_log_sight damage[DAMAGE_MAX];
	uint64_t actors[DAMAGE_MAX]; /* a bit for each */
	char note[200];
};

static void ok_at(int result, const struct pd_error *err, int line)
{
	if (result != 0)
		fail_msg("line %d: %s: %s", line, pd_code_name(result), err->text);
}
#define OK(call)                               \
	do {                                   \
		struct pd_error err = { 0 };   \
		ok_at((call), &err, __LINE__); \
	} while (0)

static struct pd_log_options options_of(struct pd_os *os)
{
	return (struct pd_log_options){ .os = os,
					.directory = DIRECTORY,
					.cluster_id = { 1, 2, 3 },
					.segment_bytes = SEGMENT_BYTES,
					.queue_depth = 1,
					.spare_segments = 2 };
}

/* ---- writing ---- */

static int try_begin(struct fixture *f, struct pd_error *err)
{
	struct pd_log_options options = options_of(f->os);
	struct pd_log_reader *reader = NULL;
	struct pd_log_damage damage;
	struct pd_log_end end;
	struct pd_record record;
	int result = pd_log_file_open(&options, &f->log, err);

	if (result != 0)
		return result;
	result = pd_log_reader_new(f->log, 1, &reader, err);
	while (result == 0 || result == PD_CORRUPT)
		result = pd_log_reader_next(reader, &record, &damage, err);
	if (result == PD_END) {
		pd_log_reader_end(reader, &end);
		f->lsn = end.last_lsn + 1;
		result = 0;
	}
	pd_log_reader_free(reader);
	return result == 0 ? pd_log_begin(f->log, ++f->time_us, err) : result;
}

static void begin(struct fixture *f)
{
	OK(try_begin(f, &err));
}

static void add_record(struct fixture *f, uint64_t actor, size_t value_size)
{
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
				       .level = PD_LEVEL_STRICT,
				       .time_us = ++f->time_us,
				       .tenant = 1,
				       .actor = actor,
				       .client = 7 };
	uint8_t *value = pd_malloc(value_size);
	const uint8_t *entry;

	memset(value, (int)(f->time_us & 0xff), value_size);
	assert_int_equal(pd_log_record_begin(f->group, &head), 0);
	assert_int_equal(
		pd_log_record_put(f->group, 1, 0, pd_slice("kkey", 4), pd_slice(value, value_size), &entry),
		0);
	if (f->time_us % 5 == 0) {
		assert_int_equal(pd_log_record_actor(f->group, 1, FIRST_ACTOR), 0);
		assert_int_equal(pd_log_record_delete(f->group, pd_slice("kgone", 5)), 0);
	}
	f->lsn = pd_log_record_commit(f->group);
	pd_free(value);
}

static void submit(struct fixture *f)
{
	struct pd_log_group *finished;

	assert_int_equal(pd_log_submit(f->log, f->group, PD_LOG_SYNC), 0);
	assert_int_equal(pd_log_reap(f->log, true, &finished), 0);
	assert_ptr_equal(finished, f->group);
	pd_log_group_reset(f->group, f->lsn + 1);
}

/* `groups` groups of 1 to 3 records of up to 300 bytes. */
static void write_groups(struct fixture *f, unsigned groups)
{
	pd_log_group_reset(f->group, f->lsn + 1);
	for (unsigned i = 0; i < groups; i++) {
		OK(pd_log_reserve(f->log, 8192, &err));
		for (unsigned n = 0; n <= i % 3; n++)
			add_record(f, FIRST_ACTOR + (i + n) % ACTORS, 20 + 97 * (i + n) % 300);
		submit(f);
	}
}

static void setup_on(struct fixture *f, const struct pd_sim_options *sim)
{
	memset(f, 0, sizeof *f);
	OK(pd_os_sim_new(sim, &f->os, &err));
	f->time_us = 1000000;
	f->group = pd_log_group_new();
	assert_non_null(f->group);
	begin(f);
}

static void setup(struct fixture *f)
{
	struct pd_sim_options sim = PD_SIM_OPTIONS_DEFAULT;

	setup_on(f, &sim);
}

static void close_log(struct fixture *f)
{
	OK(pd_log_close(f->log, &err));
	f->log = NULL;
}

static void teardown(struct fixture *f)
{
	(void)pd_log_close(f->log, NULL);
	pd_log_group_free(f->group);
	pd_os_free(f->os);
}

/* ---- verifying ---- */

static void note_sight(struct seen *seen, const struct pd_log_sight *sight)
{
	switch (sight->kind) {
	case PD_SIGHT_SEGMENT:
		seen->segments++;
		break;
	case PD_SIGHT_GROUP:
		seen->groups++;
		break;
	case PD_SIGHT_RECORD:
		seen->records++;
		break;
	case PD_SIGHT_NOTE:
		seen->notes++;
		memcpy(seen->note, sight->damage.text, sizeof seen->note);
		break;
	case PD_SIGHT_DAMAGE:
		if (seen->damage_count < DAMAGE_MAX) {
			seen->damage[seen->damage_count] = *sight;
			for (size_t i = 0; i < sight->damage.actor_count; i++)
				if (sight->damage.actors[i] < 64)
					seen->actors[seen->damage_count] |= UINT64_C(1)
									    << sight->damage.actors[i];
		}
		seen->damage_count++;
		break;
	}
}

static void verify(const struct fixture *f, struct seen *ret_seen)
{
	struct pd_log_options options = options_of(f->os);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	int result;

	options.trimmed_lsn = f->trimmed_lsn;
	memset(ret_seen, 0, sizeof *ret_seen);
	OK(pd_log_verifier_new(&options, &verifier, &err));
	while ((result = pd_log_verifier_next(verifier, &sight, NULL)) == 0)
		note_sight(ret_seen, &sight);
	assert_int_equal(result, PD_END);
	ret_seen->totals = *pd_log_verifier_totals(verifier);
	assert_int_equal(ret_seen->totals.damage_count, ret_seen->damage_count);
	pd_log_verifier_free(verifier);
}

static void print_damage(const struct seen *seen)
{
	for (uint64_t i = 0; i < seen->damage_count && i < DAMAGE_MAX; i++)
		print_message(
			"segment %u, byte %llu, %llu bytes: LSN %llu to %llu: %s\n", seen->damage[i].segment,
			(unsigned long long)seen->damage[i].offset, (unsigned long long)seen->damage[i].size,
			(unsigned long long)seen->damage[i].damage.first_lsn,
			(unsigned long long)seen->damage[i].damage.last_lsn, seen->damage[i].damage.text);
}

static void expect_clean(const struct fixture *f, struct seen *ret_seen)
{
	verify(f, ret_seen);
	print_damage(ret_seen);
	assert_int_equal(ret_seen->damage_count, 0);
	assert_int_equal(ret_seen->records, ret_seen->totals.records);
}

static uint64_t size_of(const struct fixture *f, const char *path)
{
	struct pd_os_file_info info;

	OK(pd_os_info(f->os, path, &info, &err));
	return info.size;
}

/* ---- sound logs ---- */

static void test_sound(void **state)
{
	struct fixture f;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 40);
	expect_clean(&f, &seen); /* beside the writer */
	assert_int_equal(seen.totals.last_lsn, f.lsn);
	assert_int_equal(seen.totals.sealed_segments, 0);
	assert_int_equal(seen.totals.torn_bytes, 0);
	close_log(&f);
	expect_clean(&f, &seen);
	assert_int_equal(seen.totals.sealed_segments, 1);
	assert_int_equal(seen.totals.records, f.lsn);
	assert_int_equal(seen.totals.used_bytes, size_of(&f, DIRECTORY "/0000000001.seg"));
	begin(&f);
	write_groups(&f, 400); /* several segments */
	close_log(&f);
	expect_clean(&f, &seen);
	assert_int_equal(seen.totals.epochs, 2);
	assert_true(seen.totals.segments > 3);
	assert_int_equal(seen.totals.last_lsn, f.lsn);
	assert_int_equal(seen.totals.epoch, 2);
	assert_int_equal(seen.totals.used_bytes + seen.totals.unused_bytes, seen.totals.total_bytes);
	teardown(&f);
}

static void test_empty(void **state)
{
	struct fixture f = { 0 };
	struct seen seen;

	(void)state;
	OK(pd_os_sim_new(&PD_SIM_OPTIONS_DEFAULT, &f.os, &err));
	expect_clean(&f, &seen);
	assert_int_equal(seen.segments, 0);
	OK(pd_os_mkdir(f.os, DIRECTORY, &err));
	expect_clean(&f, &seen);
	assert_int_equal(seen.totals.last_lsn, 0);
	pd_os_free(f.os);
}

static void test_large_records(void **state)
{
	struct fixture f;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 5);
	OK(pd_log_reserve(f.log, 500000, &err));
	add_record(&f, FIRST_ACTOR, 200000); /* frames over several segments */
	submit(&f);
	write_groups(&f, 5);
	close_log(&f);
	expect_clean(&f, &seen);
	assert_int_equal(seen.totals.records, f.lsn);
	assert_true(seen.totals.segments >= 4);
	teardown(&f);
}

/* A crash leaves what it leaves: nothing of it is damage. */
static void test_after_crashes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct pd_sim_options sim = PD_SIM_OPTIONS_DEFAULT;
		struct fixture f;
		struct seen seen;

		sim.seed = seed;
		setup_on(&f, &sim);
		for (int round = 0; round < 3; round++) {
			uint64_t strict;

			write_groups(&f, 10 + (unsigned)(seed % 40));
			strict = f.lsn;
			/* A weak write that may be torn. */
			pd_log_group_reset(f.group, f.lsn + 1);
			OK(pd_log_reserve(f.log, 8192, &err));
			for (int i = 0; i < 9; i++)
				add_record(&f, FIRST_ACTOR, 250);
			assert_int_equal(pd_log_submit(f.log, f.group, PD_LOG_WRITE), 0);
			if (round % 2 == 0)
				pd_sim_power_cut(f.os);
			else
				pd_sim_process_crash(f.os);
			f.group = pd_log_group_new();
			pd_log_group_free(f.group);
			(void)pd_log_close(f.log, NULL);
			f.log = NULL;
			f.group = pd_log_group_new();
			expect_clean(&f, &seen);
			assert_true(seen.totals.last_lsn >= strict);
			begin(&f);
			expect_clean(&f, &seen);
		}
		teardown(&f);
	}
}

/* A record in frames over several segments, and a clean end; false: the process died in the middle of it. */
static bool end_life(struct fixture *f)
{
	struct pd_log_group *finished = NULL;
	bool done;

	pd_log_group_reset(f->group, f->lsn + 1);
	done = pd_log_reserve(f->log, 400000, NULL) == 0;
	if (done) {
		add_record(f, FIRST_ACTOR, 150000);
		done = pd_log_submit(f->log, f->group, PD_LOG_SYNC) == 0 &&
		       pd_log_reap(f->log, true, &finished) == 0;
		f->group = finished; /* else it is the log's */
	}
	done = pd_log_close(f->log, NULL) == 0 && done;
	f->log = NULL;
	return done;
}

/* At any operation of a process, its end and the beginning of the next included. */
static void test_after_crashes_anywhere(void **state)
{
	bool died = true;

	(void)state;
	for (uint64_t nth = 1; died; nth++)
		for (int power = 0; power < 2; power++) {
			struct pd_sim_options sim = PD_SIM_OPTIONS_DEFAULT;
			struct fixture f;
			struct seen seen;

			sim.seed = nth;
			sim.direct_alignment = nth % 2 == 0 ? 4096 : 512;
			setup_on(&f, &sim);
			write_groups(&f, 5);
			pd_sim_crash_at(f.os, nth);
			died = !end_life(&f);
			if (!died)
				died = try_begin(&f, NULL) != 0;
			if (power != 0)
				pd_sim_power_cut(f.os);
			else
				pd_sim_process_crash(f.os);
			pd_log_group_free(f.group);
			(void)pd_log_close(f.log, NULL);
			f.group = pd_log_group_new();
			expect_clean(&f, &seen);
			begin(&f);
			write_groups(&f, 5);
			expect_clean(&f, &seen);
			teardown(&f);
		}
}

/* The first pieces of the oldest record went with the segments before: nothing is missing that should be there. */
static void test_trimmed_in_the_middle_of_a_record(void **state)
{
	struct fixture f;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 5);
	OK(pd_log_reserve(f.log, 500000, &err));
	add_record(&f, FIRST_ACTOR, 200000);
	submit(&f);
	f.trimmed_lsn = f.lsn + 1;
	write_groups(&f, 5);
	OK(pd_log_trim(f.log, f.trimmed_lsn, &err));
	assert_int_equal(f.log->first_lsn, f.trimmed_lsn);
	close_log(&f);
	expect_clean(&f, &seen);
	assert_int_equal(seen.totals.records, f.lsn + 1 - f.trimmed_lsn);
	teardown(&f);
}

/* ---- damaged logs ---- */

/* The groups of a segment, from a verifier that found it sound. */
struct place {
	uint64_t offset, size, first_lsn, last_lsn;
	enum pd_group_kind kind;
	uint64_t actors;
};

static size_t find_places(const struct fixture *f, uint32_t segment, struct place *places, size_t max)
{
	struct pd_log_options options = options_of(f->os);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	size_t count = 0;
	uint64_t lsn = 1;

	OK(pd_log_verifier_new(&options, &verifier, &err));
	while (pd_log_verifier_next(verifier, &sight, NULL) == 0) {
		if (sight.kind == PD_SIGHT_GROUP && sight.segment == segment && count < max)
			places[count++] = (struct place){ .offset = sight.offset,
							  .size = sight.size,
							  .first_lsn = lsn,
							  .last_lsn = lsn + sight.group_records - 1,
							  .kind = sight.group_kind };
		/* A piece of a large record is what that record is lost with. */
		if (sight.kind == PD_SIGHT_GROUP && sight.segment == segment && count > 0 &&
		    (sight.group_kind == PD_GROUP_FRAME_BEGIN || sight.group_kind == PD_GROUP_FRAME_MIDDLE))
			places[count - 1].last_lsn = lsn;
		if (sight.kind == PD_SIGHT_GROUP)
			lsn += sight.group_records;
		if (sight.kind == PD_SIGHT_RECORD && sight.segment == segment) {
			struct pd_effect_walk walk;
			struct pd_effect effect;

			pd_effect_walk_init(&walk, &sight.record);
			places[count - 1].actors |= UINT64_C(1) << sight.record.head.actor;
			while (pd_effect_next(&walk, &effect) == 0)
				places[count - 1].actors |= UINT64_C(1) << effect.actor;
		}
	}
	pd_log_verifier_free(verifier);
	return count;
}

/* One bit of `place` has flipped: is it found, where it is, and is nothing else blamed? */
static void expect_named(const struct fixture *f, uint32_t segment, const struct place *place,
			 uint64_t offset, unsigned bit, uint64_t records)
{
	struct seen seen;
	uint64_t lost = 0;

	verify(f, &seen);
	if (seen.damage_count == 0)
		fail_msg("bit %u of byte %llu was not found", bit, (unsigned long long)offset);
	for (uint64_t i = 0; i < seen.damage_count; i++) {
		const struct pd_log_sight *sight = &seen.damage[i];
		const struct pd_log_damage *damage = &sight->damage;

		if (sight->segment != segment || offset < sight->offset ||
		    offset >= sight->offset + sight->size)
			fail_msg("bit %u of byte %llu: damage named at segment %u, %llu to %llu: %s", bit,
				 (unsigned long long)offset, sight->segment,
				 (unsigned long long)sight->offset,
				 (unsigned long long)(sight->offset + sight->size), damage->text);
		if (damage->last_lsn >= damage->first_lsn) {
			lost += damage->last_lsn - damage->first_lsn + 1;
			if (damage->first_lsn < place->first_lsn || damage->last_lsn > place->last_lsn)
				fail_msg("bit %u of byte %llu: LSN %llu to %llu named: %s", bit,
					 (unsigned long long)offset, (unsigned long long)damage->first_lsn,
					 (unsigned long long)damage->last_lsn, damage->text);
			assert_true(damage->actors_known);
			if (place->kind == PD_GROUP_RECORDS)
				assert_true((seen.actors[i] & ~place->actors) == 0 && seen.actors[i] != 0);
		}
		assert_true(damage->actors_known);
	}
	/* A bit costs at most the record that it is in, unless the group's header tells where the records are. */
	if (place->kind == PD_GROUP_RECORDS && offset >= place->offset + PD_GROUP_HEADER_SIZE)
		assert_true(lost <= 1);
	/* What is not named as lost is there. */
	assert_int_equal(seen.records + lost, records);
}

static void flip_all(const struct fixture *f, uint32_t segment, uint64_t step)
{
	struct place *places = pd_calloc(1000, sizeof *places);
	size_t count = find_places(f, segment, places, 1000), at = 0;
	struct seen seen;
	char path[64];
	uint64_t size;

	(void)snprintf(path, sizeof path, DIRECTORY "/%010u.seg", segment);
	size = size_of(f, path);
	expect_clean(f, &seen);
	for (uint64_t bit = 0; bit < 8 * size; bit += step) {
		while (bit / 8 >= places[at].offset + places[at].size)
			at++;
		assert_true(at < count);
		assert_int_equal(pd_sim_flip_bit(f->os, path, bit / 8, bit % 8), 0);
		expect_named(f, segment, &places[at], bit / 8, bit % 8, seen.records);
		assert_int_equal(pd_sim_flip_bit(f->os, path, bit / 8, bit % 8), 0);
	}
	expect_clean(f, &seen);
	pd_free(places);
}

static void test_every_bit_of_a_closed_segment(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	write_groups(&f, 8);
	close_log(&f);
	flip_all(&f, 1, 1);
	teardown(&f);
}

static void test_bits_of_a_full_segment(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	write_groups(&f, 130);
	close_log(&f);
	flip_all(&f, 2, 61);
	teardown(&f);
}

static void test_bits_of_frames(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	write_groups(&f, 3);
	OK(pd_log_reserve(f.log, 100000, &err));
	add_record(&f, FIRST_ACTOR, 30000);
	submit(&f);
	write_groups(&f, 3);
	close_log(&f);
	flip_all(&f, 1, 37);
	teardown(&f);
}

/* What a reader (and so a server) can and cannot read of a damaged log is what the verifier says. */
static void expect_agreement(const struct fixture *f, uint64_t bit)
{
	struct pd_log_options options = options_of(f->os);
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log *log;
	struct seen seen;
	uint64_t records = 0, damages = 0;
	int result;

	verify(f, &seen);
	OK(pd_log_file_open(&options, &log, &err));
	OK(pd_log_reader_new(log, 1, &reader, &err));
	while ((result = pd_log_reader_next(reader, &record, &damage, NULL)) == 0 || result == PD_CORRUPT) {
		records += result == 0;
		damages += result == PD_CORRUPT;
	}
	assert_int_equal(result, PD_END);
	if (records != seen.records || damages == 0)
		fail_msg("bit %llu: the reader gave %llu records and named %llu damages, the verifier %llu "
			 "and %llu",
			 (unsigned long long)bit, (unsigned long long)records, (unsigned long long)damages,
			 (unsigned long long)seen.records, (unsigned long long)seen.damage_count);
	pd_log_reader_free(reader);
	OK(pd_log_close(log, &err));
}

static void test_agrees_with_the_reader(void **state)
{
	static const char path[] = DIRECTORY "/0000000001.seg";
	struct fixture f;
	uint64_t size;

	(void)state;
	setup(&f);
	write_groups(&f, 8);
	OK(pd_log_reserve(f.log, 100000, &err));
	add_record(&f, FIRST_ACTOR, 20000);
	submit(&f);
	write_groups(&f, 3);
	close_log(&f);
	size = size_of(&f, path);
	for (uint64_t bit = 0; bit < 8 * size; bit += 7) {
		OK(pd_sim_flip_bit(f.os, path, bit / 8, bit % 8));
		expect_agreement(&f, bit);
		OK(pd_sim_flip_bit(f.os, path, bit / 8, bit % 8));
	}
	teardown(&f);
}

/* Sectors zeroed, or swapped with what another place holds. */
static void test_lost_sectors(void **state)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct place places[200];
	struct fixture f;
	struct seen seen, sound;
	size_t count;

	(void)state;
	setup(&f);
	write_groups(&f, 40);
	close_log(&f);
	expect_clean(&f, &sound);
	count = find_places(&f, 1, places, 200);
	for (size_t i = 0; i < count; i++) {
		uint8_t kept[PD_SECTOR_SIZE];
		const uint8_t *content;
		uint64_t size;

		OK(pd_sim_content(f.os, DIRECTORY "/0000000001.seg", &content, &size));
		memcpy(kept, content + places[i].offset, sizeof kept);
		OK(pd_sim_damage(f.os, DIRECTORY "/0000000001.seg", places[i].offset, zeros, sizeof zeros));
		if (i + 1 < count || size > 512 * 2) {
			verify(&f, &seen);
			/* A footer at the end of the last segment is the one thing that may never have been. */
			if (places[i].kind != PD_GROUP_FOOTER)
				assert_true(seen.damage_count > 0);
			if (places[i].kind == PD_GROUP_RECORDS) {
				if (seen.damage_count != 1)
					print_damage(&seen);
				assert_int_equal(seen.damage[0].damage.first_lsn, places[i].first_lsn);
				assert_int_equal(seen.damage[0].damage.last_lsn, places[i].last_lsn);
				assert_int_equal(seen.damage_count, 1);
				assert_int_equal(seen.actors[0], places[i].actors);
			}
		}
		OK(pd_sim_damage(f.os, DIRECTORY "/0000000001.seg", places[i].offset, kept, sizeof kept));
	}
	expect_clean(&f, &seen);
	teardown(&f);
}

/* A segment's head is on stable storage before anything else is in it: with a group behind it, it was there, though that group does not
 * say that anything of this segment had been durable. */
static void test_missing_head(void **state)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct fixture f;
	struct seen seen;
	uint64_t records;

	(void)state;
	setup(&f);
	write_groups(&f, 3);
	close_log(&f);
	begin(&f);
	write_groups(&f, 1);
	pd_sim_process_crash(f.os);
	(void)pd_log_close(f.log, NULL);
	f.log = NULL;
	expect_clean(&f, &seen);
	records = seen.records;
	OK(pd_sim_damage(f.os, DIRECTORY "/0000000002.seg", 0, zeros, sizeof zeros));
	verify(&f, &seen);
	assert_int_equal(seen.torn, 0);
	assert_int_equal(seen.records, records);
	assert_true(seen.damage_count > 0);
	assert_int_equal(seen.damage[0].segment, 2);
	assert_non_null(strstr(seen.damage[0].damage.text, "head"));
	teardown(&f);
}

static void test_missing_segment(void **state)
{
	struct fixture f;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 400);
	close_log(&f);
	expect_clean(&f, &seen);
	assert_true(seen.totals.segments > 3);
	OK(pd_os_unlink(f.os, DIRECTORY "/0000000002.seg", &err));
	verify(&f, &seen);
	assert_int_equal(seen.damage_count, 1);
	assert_int_equal(seen.damage[0].segment, 3);
	assert_non_null(strstr(seen.damage[0].damage.text, "0000000002"));
	assert_false(seen.damage[0].damage.actors_known);
	OK(pd_os_unlink(f.os, DIRECTORY "/0000000001.seg", &err));
	verify(&f, &seen);
	assert_int_equal(seen.damage_count, 1);
	assert_int_equal(seen.damage[0].damage.first_lsn, 1);
	teardown(&f);
}

static void test_leftovers(void **state)
{
	struct fixture f;
	struct pd_os_file *file;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 3);
	close_log(&f);
	OK(pd_os_open(f.os, DIRECTORY "/0000000009.old", PD_OS_WRITE | PD_OS_CREATE, &file, &err));
	pd_os_close(file);
	expect_clean(&f, &seen);
	assert_int_equal(seen.notes, 1);
	assert_non_null(strstr(seen.note, "0000000009.old"));
	teardown(&f);
}

static void test_unused_rest(void **state)
{
	struct fixture f;
	struct seen seen;

	(void)state;
	setup(&f);
	write_groups(&f, 3);
	pd_sim_process_crash(f.os); /* the segment stays open, its rest is zeros */
	(void)pd_log_close(f.log, NULL);
	f.log = NULL;
	expect_clean(&f, &seen);
	assert_true(seen.totals.unused_bytes > 0);
	for (uint64_t offset = SEGMENT_BYTES - seen.totals.unused_bytes; offset < SEGMENT_BYTES;
	     offset += 61) {
		unsigned bit = (unsigned)(offset % 8);

		OK(pd_sim_flip_bit(f.os, DIRECTORY "/0000000001.seg", offset, bit));
		verify(&f, &seen);
		assert_int_equal(seen.damage_count, 1);
		assert_true(seen.damage[0].offset <= offset &&
			    offset < seen.damage[0].offset + seen.damage[0].size);
		assert_true(seen.damage[0].damage.last_lsn < seen.damage[0].damage.first_lsn);
		OK(pd_sim_flip_bit(f.os, DIRECTORY "/0000000001.seg", offset, bit));
	}
	teardown(&f);
}

static void test_identify(void **state)
{
	struct fixture f;
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;

	(void)state;
	setup(&f);
	write_groups(&f, 3);
	close_log(&f);
	OK(pd_log_file_identify(f.os, DIRECTORY, cluster_id, &shard, &err));
	assert_memory_equal(cluster_id, options_of(f.os).cluster_id, sizeof cluster_id);
	assert_int_equal(shard, 0);
	OK(pd_sim_flip_bit(f.os, DIRECTORY "/0000000001.seg", 70, 1));
	assert_int_equal(pd_log_file_identify(f.os, DIRECTORY, cluster_id, &shard, NULL), PD_NOT_FOUND);
	teardown(&f);
}

/* Out of memory at any point is an error, and leaks nothing. */
static void test_without_memory(void **state)
{
	struct fixture f;
	struct pd_log_options options;
	bool finished = false;

	(void)state;
	setup(&f);
	write_groups(&f, 5);
	close_log(&f);
	options = options_of(f.os);
	for (unsigned long n = 1; !finished; n++) {
		struct pd_log_verifier *verifier = NULL;
		struct pd_log_sight sight;
		int result;

		pd_memory_fail(n, 0);
		result = pd_log_verifier_new(&options, &verifier, NULL);
		while (result == 0)
			result = pd_log_verifier_next(verifier, &sight, NULL);
		pd_memory_fail(0, 0);
		assert_true(result == PD_END || result == PD_NO_MEMORY);
		finished = result == PD_END;
		pd_log_verifier_free(verifier);
		assert_true(n < 10000);
	}
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_large_records),
		cmocka_unit_test(test_after_crashes),
		cmocka_unit_test(test_after_crashes_anywhere),
		cmocka_unit_test(test_trimmed_in_the_middle_of_a_record),
		cmocka_unit_test(test_every_bit_of_a_closed_segment),
		cmocka_unit_test(test_bits_of_a_full_segment),
		cmocka_unit_test(test_bits_of_frames),
		cmocka_unit_test(test_agrees_with_the_reader),
		cmocka_unit_test(test_lost_sectors),
		cmocka_unit_test(test_missing_head),
		cmocka_unit_test(test_missing_segment),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_unused_rest),
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
