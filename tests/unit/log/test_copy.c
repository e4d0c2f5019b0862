/* Copies of segments, and copies that are cut off behind a record: they are what was written, or it is said why there are none. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log/copy.h"
#include "repair_bench.h"

#define BYTES_MAX ((size_t)16 << 20)

static int copy_up_to(struct bench *bench, size_t number, uint64_t to_lsn, struct pd_buffer *bytes,
		      struct pd_log_copy *ret_copy, struct pd_error *err)
{
	struct pd_log_look *look = NULL;
	int result = pd_log_look_new(&bench->disk.options, &look, err);

	if (result == 0)
		result = pd_log_copy_segment(look, number, to_lsn, bytes, ret_copy, err);
	pd_log_look_free(look);
	return result;
}

/* Where the segments are, from the first. UINT64_MAX: there is no next one. */
static struct pd_log_look_segment place_of(struct bench *bench, size_t number)
{
	struct pd_log_look_segment segment;
	struct pd_log_look *look;
	struct pd_error err;

	assert_int_equal(pd_log_look_new(&bench->disk.options, &look, &err), 0);
	pd_log_look_segment(look, number, &segment);
	pd_log_look_free(look);
	return segment;
}

static bool is_of_original(const struct bench *bench, uint32_t segment, const struct pd_buffer *bytes)
{
	return bytes->size <= bench->originals[segment].size &&
	       memcmp(bytes->data, bench->originals[segment].data, bytes->size) == 0;
}

/* All of a segment, with its footer; and less of it. */
static void what_was_written(void **state)
{
	struct pd_log_look_segment place;
	struct pd_buffer bytes;
	struct pd_log_copy copy;
	struct pd_error err;
	struct bench bench;
	size_t whole;

	(void)state;
	bench_init(&bench, 71);
	pd_buffer_init(&bytes, BYTES_MAX);
	place = place_of(&bench, 0);
	assert_int_equal(copy_up_to(&bench, 0, place.end_lsn - 1, &bytes, &copy, &err), 0);
	assert_true(copy.sealed);
	assert_int_equal(copy.first_lsn, place.first_lsn);
	assert_int_equal(copy.last_lsn, place.end_lsn - 1);
	assert_true(is_of_original(&bench, 1, &bytes));
	whole = bytes.size;
	for (uint64_t lsn = place.first_lsn; lsn + 1 < place.end_lsn; lsn++) {
		pd_buffer_clear(&bytes);
		assert_int_equal(copy_up_to(&bench, 0, lsn, &bytes, &copy, &err), 0);
		assert_true(copy.last_lsn >= lsn);
		assert_true(bytes.size <= whole && is_of_original(&bench, 1, &bytes));
	}
	/* What has never been written is in no copy, and too much for a buffer in none, either. */
	pd_buffer_clear(&bytes);
	assert_int_equal(copy_up_to(&bench, bench.last - 1, UINT64_MAX - 1, &bytes, &copy, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "the log ends there"));
	assert_int_equal(bytes.size, 0);
	pd_buffer_done(&bytes);
	pd_buffer_init(&bytes, 1000);
	assert_int_equal(copy_up_to(&bench, 0, place.end_lsn - 1, &bytes, &copy, &err), PD_TOO_LARGE);
	assert_non_null(strstr(err.text, "more than a copy may take"));
	assert_int_equal(bytes.size, 0);
	pd_buffer_done(&bytes);
	bench_done(&bench);
}

/* The segment in which a record begins, though it may go on in the next; and how large a segment was made. */
static void where_it_begins(void **state)
{
	struct pd_log_look *look;
	struct pd_error err;
	struct bench bench;
	size_t last = 0;

	(void)state;
	bench_init(&bench, 76);
	assert_int_equal(pd_log_look_new(&bench.disk.options, &look, &err), 0);
	for (size_t i = 0; i + 1 < pd_log_look_count(look); i++) {
		struct pd_log_look_segment place;

		pd_log_look_segment(look, i, &place);
		for (uint64_t lsn = place.first_lsn; lsn < place.end_lsn; lsn++) {
			size_t first = pd_log_copy_first(look, lsn);

			assert_true(first >= last && first <= i);
			assert_true(first == i || lsn == place.first_lsn);
			last = first;
		}
	}
	pd_log_look_free(look);
	/* A closed log has given back what it did not need of its last one. */
	for (uint32_t segment = 1; segment <= bench.last; segment++)
		assert_true(pd_log_segment_bytes(pd_slice(bench.originals[segment].data, PD_SECTOR_SIZE)) >=
			    bench.originals[segment].size);
	assert_int_equal(pd_log_segment_bytes(pd_slice(bench.originals[1].data, PD_SECTOR_SIZE - 1)), 0);
	assert_int_equal(
		pd_log_segment_bytes(pd_slice(bench.originals[1].data + PD_SECTOR_SIZE, PD_SECTOR_SIZE)), 0);
	bench_done(&bench);
}

/* Copied behind what is there already, which stays; a failure leaves nothing of its own. */
static int copy_and_compare(struct bench *bench, const struct pd_log_look_segment *place,
			    struct pd_error *err)
{
	struct pd_buffer bytes;
	struct pd_log_copy copy;
	int result;

	pd_buffer_init(&bytes, BYTES_MAX);
	result = copy_up_to(bench, 0, place->end_lsn - 1, &bytes, &copy, err);
	if (result == 0) {
		assert_true(is_of_original(bench, 1, &bytes));
		assert_int_equal(copy.last_lsn, place->end_lsn - 1);
	} else {
		assert_int_equal(bytes.size, 0);
		assert_string_not_equal(err->text, "");
	}
	pd_buffer_done(&bytes);
	return result;
}

/* No damage is ever copied, wherever a bit has flipped, a sector was lost, or a file ends. */
static void what_rotted(void **state)
{
	struct pd_log_look_segment place;
	struct group groups[GROUPS_MAX];
	struct pd_error err;
	struct bench bench;
	unsigned refused = 0;
	size_t count;

	(void)state;
	bench_init(&bench, 72);
	place = place_of(&bench, 0);
	count = bench_groups(&bench, 1, groups);
	for (size_t i = 1; i < count; i++) {
		uint64_t sectors = groups[i].header.sectors;

		for (uint64_t sector = 0; sector<sectors; sector += sectors> 1 ? sectors - 1 : 1) {
			uint64_t at = (groups[i].sector + sector) * PD_SECTOR_SIZE;

			for (uint64_t byte = 3; byte < PD_SECTOR_SIZE; byte += 61) {
				assert_int_equal(
					pd_sim_flip_bit(bench.disk.os, disk_segment(1), at + byte, 5), 0);
				refused += copy_and_compare(&bench, &place, &err) == PD_CORRUPT;
				assert_int_equal(
					pd_sim_flip_bit(bench.disk.os, disk_segment(1), at + byte, 5), 0);
			}
			wreck_sectors(&bench, disk_segment(1), groups[i].sector + sector, 1);
			refused += copy_and_compare(&bench, &place, &err) == PD_CORRUPT;
			bench_put_originals_back(&bench);
		}
		cut_off(&bench, disk_segment(1), (groups[i].sector + (sectors > 1 ? 1 : 0)) * PD_SECTOR_SIZE);
		refused += copy_and_compare(&bench, &place, &err) == PD_CORRUPT;
		bench_put_originals_back(&bench);
	}
	assert_true(refused > 100);
	assert_int_equal(copy_and_compare(&bench, &place, &err), 0);
	bench_done(&bench);
}

/* Each allocation and each disk operation fails, once: it is said, and nothing is copied. */
static void whatever_fails(void **state)
{
	struct pd_log_look_segment place;
	struct pd_error err;
	struct bench bench;
	uint64_t operations;
	unsigned refused = 0;
	bool failed = true;

	(void)state;
	bench_init(&bench, 73);
	place = place_of(&bench, 0);
	operations = pd_sim_operations(bench.disk.os);
	assert_int_equal(copy_and_compare(&bench, &place, &err), 0);
	operations = pd_sim_operations(bench.disk.os) - operations;
	for (unsigned long n = 1; failed; n++) {
		int result;

		pd_memory_fail(n, 0);
		result = copy_and_compare(&bench, &place, &err);
		failed = pd_memory_fail_left() == 0;
		pd_memory_fail(0, 0);
		assert_true(result == 0 || result == PD_NO_MEMORY);
		refused += result != 0;
	}
	assert_true(refused > 3);
	for (uint64_t at = 1; at <= operations; at++) {
		pd_sim_fail_from(bench.disk.os, at, EIO, false);
		assert_int_equal(copy_and_compare(&bench, &place, &err), PD_IO);
		pd_sim_fail_from(bench.disk.os, 0, 0, false);
	}
	bench_done(&bench);
}

/* ---- cutting ---- */

static int cut(struct bench *bench, uint64_t lsn, struct pd_buffer *bytes, struct pd_error *err)
{
	return pd_log_cut_segment(bench->disk.options.cluster_id, bench->disk.options.shard, 1, lsn, bytes,
				  err);
}

/* Behind each record it has, and behind none that it has not; a cut one is cut there already. */
static void what_is_cut(void **state)
{
	struct pd_log_look_segment place;
	struct pd_buffer bytes;
	struct pd_error err;
	struct bench bench;
	size_t before = 0;

	(void)state;
	bench_init(&bench, 74);
	place = place_of(&bench, 0);
	pd_buffer_init(&bytes, BYTES_MAX);
	for (uint64_t lsn = place.first_lsn; lsn < place.end_lsn; lsn++) {
		size_t size;

		pd_buffer_clear(&bytes);
		assert_int_equal(pd_buffer_append(&bytes, bench.originals[1].data, bench.originals[1].size),
				 0);
		assert_int_equal(cut(&bench, lsn, &bytes, &err), 0);
		size = bytes.size;
		assert_true(size >= before && size % PD_SECTOR_SIZE == 0);
		before = size;
		assert_int_equal(cut(&bench, lsn, &bytes, &err), 0);
		assert_int_equal(bytes.size, size);
		assert_int_equal(cut(&bench, lsn + 1, &bytes, &err), PD_NOT_FOUND);
		assert_non_null(strstr(err.text, "does not end in segment"));
		if (lsn > place.first_lsn)
			assert_int_equal(cut(&bench, lsn - 1, &bytes, &err), 0);
	}
	assert_int_equal(cut(&bench, place.first_lsn - 1, &bytes, &err), PD_NOT_FOUND);
	pd_buffer_done(&bytes);
	bench_done(&bench);
}

/* Damaged bytes are cut only where what stays is as it was. */
static void what_is_cut_and_rotted(void **state)
{
	struct pd_log_look_segment place;
	struct pd_buffer whole, bytes;
	struct pd_error err;
	struct bench bench;
	unsigned refused = 0;

	(void)state;
	bench_init(&bench, 75);
	place = place_of(&bench, 0);
	pd_buffer_init(&bytes, BYTES_MAX);
	pd_buffer_init(&whole, BYTES_MAX);
	for (uint64_t lsn = place.first_lsn; lsn < place.end_lsn; lsn += 3) {
		pd_buffer_clear(&whole);
		assert_int_equal(pd_buffer_append(&whole, bench.originals[1].data, bench.originals[1].size),
				 0);
		assert_int_equal(cut(&bench, lsn, &whole, &err), 0);
		for (size_t at = 7; at < whole.size; at += 211) {
			int result;

			pd_buffer_clear(&bytes);
			assert_int_equal(
				pd_buffer_append(&bytes, bench.originals[1].data, bench.originals[1].size),
				0);
			bytes.data[at] ^= 4;
			result = cut(&bench, lsn, &bytes, &err);
			assert_true(result == 0 || result == PD_CORRUPT || result == PD_NOT_FOUND);
			refused += result == PD_CORRUPT;
			if (result == PD_CORRUPT)
				assert_non_null(strstr(err.text, "it cannot be cut"));
		}
	}
	assert_true(refused > 10);
	pd_buffer_done(&whole);
	pd_buffer_done(&bytes);
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written), cmocka_unit_test(where_it_begins),
		cmocka_unit_test(what_rotted),      cmocka_unit_test(whatever_fails),
		cmocka_unit_test(what_is_cut),      cmocka_unit_test(what_is_cut_and_rotted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
