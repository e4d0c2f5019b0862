/* A verifier beside somebody who writes: what looks damaged in what it has read is read again before it is called so; what is trimmed
 * under it is no damage. And damage of kinds that only some places can have. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log/verify.h"
#include "repair_bench.h"

struct seen {
	uint64_t records, damages, trimmed, strangers;
	uint64_t lost;  /* records of damages */
	char text[200]; /* of the first damage */
	struct pd_log_totals totals;
	int result;
};

static void take(struct seen *seen, const struct pd_log_sight *sight)
{
	seen->records += sight->kind == PD_SIGHT_RECORD;
	if (sight->kind == PD_SIGHT_DAMAGE) {
		if (seen->damages++ == 0)
			memcpy(seen->text, sight->damage.text, sizeof seen->text);
		if (sight->damage.last_lsn >= sight->damage.first_lsn)
			seen->lost += sight->damage.last_lsn - sight->damage.first_lsn + 1;
	}
	if (sight->kind == PD_SIGHT_NOTE) {
		seen->trimmed += strstr(sight->damage.text, "was trimmed while") != NULL;
		seen->strangers += strstr(sight->damage.text, "does not belong to the log") != NULL;
	}
}

/* Up to where this segment has been read, or to the end. */
static struct pd_log_verifier *begin_to_verify(struct bench *bench, uint32_t segment, struct seen *seen)
{
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;

	*seen = (struct seen){ 0 };
	check(pd_log_verifier_new(&bench->disk.options, &verifier, why));
	while (segment > 0 && (seen->result = pd_log_verifier_next(verifier, &sight, NULL)) == 0) {
		take(seen, &sight);
		if (sight.kind == PD_SIGHT_SEGMENT && sight.segment == segment)
			break;
	}
	return verifier;
}

static void end_verifying(struct pd_log_verifier *verifier, struct seen *seen)
{
	struct pd_log_sight sight;

	while ((seen->result = pd_log_verifier_next(verifier, &sight, NULL)) == 0)
		take(seen, &sight);
	seen->totals = *pd_log_verifier_totals(verifier);
	pd_log_verifier_free(verifier);
}

static void verify(struct bench *bench, struct seen *seen)
{
	end_verifying(begin_to_verify(bench, 0, seen), seen);
}

/* ---- what changes meanwhile ---- */

/* Whatever was not there yet, or was half there, when the segment was read: by then it is. */
static void what_came_meanwhile(void **state)
{
	static const uint8_t zeros[PD_SECTOR_SIZE];
	struct group groups[GROUPS_MAX];
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_init_open(&bench, 61, false);
	bench_write_large(&bench, 3000);
	bench_kill(&bench);
	bench_note_originals(&bench);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 1; i < count; i++)
			for (unsigned kind = 0; kind < 4; kind++) {
				uint64_t at = groups[i].sector;
				struct pd_log_verifier *verifier;

				/* A segment that another follows had its footer before that; and the newest write may be
				 * on its way. */
				if (kind == 1 && i + 1 == count)
					continue;
				if (kind == 0)
					wreck_group(&bench, segment, &groups[i]);
				else if (kind == 1)
					disk_overwrite(&bench.disk, disk_segment(segment),
						       at * PD_SECTOR_SIZE, zeros, sizeof zeros);
				else if (kind == 2)
					assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(segment),
									 at * PD_SECTOR_SIZE + 90, 1),
							 0);
				else /* behind all groups */
					wreck_sectors(&bench, disk_segment(segment),
						      bench.originals[segment].size / PD_SECTOR_SIZE - 1, 1);
				verifier = begin_to_verify(&bench, segment, &seen);
				bench_put_originals_back(&bench);
				end_verifying(verifier, &seen);
				assert_int_equal(seen.result, PD_END);
				if (seen.damages > 0)
					fail_msg("segment %u, group %zu, %u: %s", segment, i, kind,
						 seen.text);
				assert_int_equal(seen.records, bench.disk.book.count);
			}
	}
	bench_done(&bench);
}

/* The writer has trimmed what it was about to read. */
static void what_was_trimmed_meanwhile(void **state)
{
	struct pd_log_verifier *verifier;
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_init_open(&bench, 62, false);
	bench_note_originals(&bench);
	verifier = begin_to_verify(&bench, 1, &seen);
	check(pd_log_trim(bench.disk.log, bench.disk.book.count, why));
	assert_true(bench.disk.log->first_lsn > 1);
	end_verifying(verifier, &seen);
	assert_int_equal(seen.result, PD_END);
	assert_int_equal(seen.damages, 0);
	assert_int_equal(seen.trimmed, bench.last - 2);
	assert_int_equal(seen.totals.last_lsn, bench.disk.book.count);
	/* Damage in one that is gone by then: nothing newer says that it was none. */
	bench_put_originals_back(&bench);
	wreck_sectors(&bench, disk_segment(2), 20, 4);
	verifier = begin_to_verify(&bench, 2, &seen);
	check(pd_os_unlink(bench.disk.os, disk_segment(2), why));
	end_verifying(verifier, &seen);
	assert_int_equal(seen.result, PD_END);
	assert_true(seen.damages > 0);
	disk_close(&bench.disk);
	bench_done(&bench);
}

/* ---- damage of some places ---- */

/* One bit of the header, and more behind it: what the header says is known all the same. */
static void headers_of_which_the_rest_is_damaged(void **state)
{
	struct group groups[GROUPS_MAX];
	struct bench bench;
	struct seen seen;
	unsigned frames = 0, footers = 0;

	(void)state;
	bench_init(&bench, 63);
	for (uint32_t segment = 1; segment <= bench.last; segment++) {
		size_t count = bench_groups(&bench, segment, groups);

		for (size_t i = 1; i < count; i++) {
			const struct group *group = &groups[i];
			uint64_t at = group->sector * PD_SECTOR_SIZE;
			bool frame = group->header.kind >= PD_GROUP_FRAME_BEGIN;
			bool footer = group->header.kind == PD_GROUP_FOOTER;

			assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(segment), at + 30, 1),
					 0);
			for (unsigned k = 0; k < 3; k++)
				assert_int_equal(pd_sim_flip_bit(bench.disk.os, disk_segment(segment),
								 at + 70 + 50 * k, k),
						 0);
			verify(&bench, &seen);
			assert_int_equal(seen.result, PD_END);
			assert_non_null(strstr(seen.text, "header is damaged: bit 1 of byte"));
			if (footer) /* it may lie between the pieces of a record */
				assert_in_range(seen.lost, 0, 1);
			else
				assert_int_equal(seen.lost, frame ? 1 : group->header.record_count);
			assert_int_equal(seen.records + seen.lost, bench.disk.book.count);
			frames += frame;
			footers += footer;
			bench_put_originals_back(&bench);
		}
	}
	assert_true(frames > 3 && footers > 2);
	bench_done(&bench);
}

static void a_stranger(void **state)
{
	struct pd_os_file *file;
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_init(&bench, 64);
	check(pd_os_open(bench.disk.os, BENCH_LOG "/notes.txt", PD_OS_WRITE | PD_OS_CREATE, &file, why));
	pd_os_close(file);
	verify(&bench, &seen);
	assert_int_equal(seen.damages, 0);
	assert_int_equal(seen.strangers, 1);
	bench_done(&bench);
}

/* ---- memory ---- */

static void damage_some(struct bench *bench)
{
	struct group groups[GROUPS_MAX];
	struct pd_os *os = bench->disk.os;
	size_t count = bench_groups(bench, 2, groups);

	/* The first large group's header, and the footer. */
	for (size_t i = 0; i < count; i++)
		if (groups[i].header.sectors > 8 && groups[i].header.kind != PD_GROUP_FOOTER) {
			uint64_t at = groups[i].sector * PD_SECTOR_SIZE + 20;

			assert_int_equal(pd_sim_flip_bit(os, disk_segment(2), at, 1), 0);
			break;
		}
	wreck_group(bench, 2, &groups[count - 1]);
	count = bench_groups(bench, 1, groups);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(1), groups[2].sector * PD_SECTOR_SIZE + 20, 1), 0);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(1), groups[4].sector * PD_SECTOR_SIZE + 90, 1), 0);
	wreck_group(bench, 1, &groups[count - 2]);
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(2), 20, 1), 0);
	(void)bench_groups(bench, bench->last, groups);
	wreck_group(bench, bench->last, &groups[0]); /* the head */
	assert_int_equal(pd_sim_flip_bit(os, disk_segment(bench->last), 900, 1), 0);
}

/* Each allocation fails, of a verification of what is damaged, also where it changes under it: it says so, or all that there is. */
static void without_memory(void **state)
{
	struct bench bench;
	struct seen whole, seen;

	(void)state;
	bench_init(&bench, 65);
	for (unsigned changes = 0; changes < 2; changes++) {
		bool failed = true;

		damage_some(&bench);
		verify(&bench, &whole);
		assert_true(whole.damages > 4);
		for (unsigned long at = 1; failed; at++) {
			struct pd_log_verifier *verifier = NULL;
			struct pd_error err = { 0 };
			struct pd_log_sight sight;
			bool first = true;

			seen = (struct seen){ 0 };
			pd_memory_fail(at, 0);
			seen.result = pd_log_verifier_new(&bench.disk.options, &verifier, &err);
			while (seen.result == 0 &&
			       (seen.result = pd_log_verifier_next(verifier, &sight, &err)) == 0) {
				unsigned long left = pd_memory_fail_left();

				take(&seen, &sight);
				if (changes == 0 || !first || sight.kind != PD_SIGHT_SEGMENT)
					continue;
				first = false;
				pd_memory_fail(0, 0);
				bench_put_originals_back(&bench);
				pd_memory_fail(left, 0);
			}
			failed = pd_memory_fail_left() == 0;
			pd_memory_fail(0, 0);
			pd_log_verifier_free(verifier);
			if (seen.result == PD_END) {
				assert_int_equal(seen.damages, changes == 0 ? whole.damages : 0);
				assert_int_equal(seen.records,
						 changes == 0 ? whole.records : bench.disk.book.count);
			} else {
				assert_int_equal(seen.result, PD_NO_MEMORY);
				assert_string_not_equal(err.text, "");
			}
			if (changes != 0)
				damage_some(&bench);
			if (changes != 0)
				assert_true(at < 2000);
		}
		bench_put_originals_back(&bench);
	}
	bench_done(&bench);
}

/* More is wrong in one place than there was room to tell of. */
static void much_without_memory(void **state)
{
	struct bench bench;
	struct seen whole, seen;
	bool failed = true;

	(void)state;
	bench_init_open(&bench, 66, false);
	bench_kill(&bench);
	bench_note_originals(&bench);
	wreck_sectors(&bench, disk_segment(bench.last),
		      bench.originals[bench.last].size / PD_SECTOR_SIZE - 80, 80);
	verify(&bench, &whole);
	assert_int_equal(whole.damages, 80);
	for (unsigned long at = 1; failed; at++) {
		struct pd_log_verifier *verifier;
		struct pd_log_sight sight;

		seen = (struct seen){ 0 };
		check(pd_log_verifier_new(&bench.disk.options, &verifier, why));
		pd_memory_fail(at, 0);
		while ((seen.result = pd_log_verifier_next(verifier, &sight, NULL)) == 0)
			take(&seen, &sight);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		pd_log_verifier_free(verifier);
		assert_int_equal(seen.result, failed ? PD_NO_MEMORY : PD_END);
		assert_true(failed || seen.damages == whole.damages);
	}
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_meanwhile),
		cmocka_unit_test(what_was_trimmed_meanwhile),
		cmocka_unit_test(headers_of_which_the_rest_is_damaged),
		cmocka_unit_test(a_stranger),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(much_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
