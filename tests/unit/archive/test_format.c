/* Names and headers: what was written is read, and nothing else is. */
#include "archive/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct pd_archive_log some_log = { .cluster_id = { 1, 2, 3, 0xff }, .shard = 0 };

static struct pd_archive_part some_part(void)
{
	return (struct pd_archive_part){
		.kind = PD_ARCHIVE_PIECE,
		.base = 7,
		.made_us = 99,
		.stretch = { .segment = 12345,
			     .epoch = 3,
			     .from = 512,
			     .end = 4096,
			     .first_lsn = 700,
			     .last_lsn = 800,
			     .first_time_us = 1790000000000000,
			     .last_time_us = 1790000000000500,
			     .previous_crc = 1,
			     .last_crc = 2,
			     .hash = { 5, 6 } },
	};
}

static void test_names(void **state)
{
	struct pd_archive_part part = some_part(), found;
	char name[PD_ARCHIVE_NAME_SIZE];

	(void)state;
	pd_archive_part_name(&some_log, &part, name);
	assert_string_equal(name, "010203ff000000000000000000000000/0000/b00000000000000000007/0000012/"
				  "0000012345-0000000512-0000004096-0000000003-00000000000000000700-"
				  "00000000000000000800-00001790000000000000-00001790000000000500.piece");
	assert_true(pd_archive_part_parse(&some_log, name, &found));
	assert_int_equal(found.stretch.segment, 12345);
	assert_int_equal(found.stretch.last_lsn, 800);
	assert_int_equal(found.base, 7);
	assert_int_equal(found.kind, PD_ARCHIVE_PIECE);
	/* Any other byte anywhere makes it another name, or none. */
	for (size_t i = 0; name[i] != '\0'; i++) {
		char byte = name[i], again[PD_ARCHIVE_NAME_SIZE];

		name[i] = byte == '0' ? 'x' : '0';
		if (pd_archive_part_parse(&some_log, name, &found)) {
			pd_archive_part_name(&some_log, &found, again);
			assert_string_equal(again, name);
		}
		name[i] = '\0';
		assert_false(pd_archive_part_parse(&some_log, name, &found));
		name[i] = byte;
	}
	assert_false(pd_archive_part_parse(&some_log, "", &found));
	part.kind = PD_ARCHIVE_LAST;
	pd_archive_part_name(&some_log, &part, name);
	assert_true(pd_archive_part_parse(&some_log, name, &found));
	assert_int_equal(found.kind, PD_ARCHIVE_LAST);
	assert_true(found.stretch.sealed);
	part.stretch.from = 0; /* there are pieces before it */
	pd_archive_part_name(&some_log, &part, name);
	assert_false(pd_archive_part_parse(&some_log, name, &found));
	part.kind = PD_ARCHIVE_PIECE;
	part.stretch.last_lsn = 698; /* less than none */
	pd_archive_part_name(&some_log, &part, name);
	assert_false(pd_archive_part_parse(&some_log, name, &found));
}

static void test_headers(void **state)
{
	struct pd_archive_part part = some_part(), found;
	uint8_t header[PD_ARCHIVE_HEADER_SIZE];
	char name[PD_ARCHIVE_NAME_SIZE];
	struct pd_error err;

	(void)state;
	pd_archive_part_name(&some_log, &part, name);
	pd_archive_header_write(&some_log, &part, header);
	assert_int_equal(pd_archive_header_read(&some_log, &part, name, header, &found, &err), 0);
	assert_int_equal(found.stretch.last_crc, 2);
	assert_int_equal(found.stretch.hash.low, part.stretch.hash.low);
	assert_int_equal(found.made_us, 99);
	for (size_t bit = 0; bit < sizeof header * 8; bit++) {
		int result;

		header[bit / 8] ^= (uint8_t)(1u << bit % 8);
		result = pd_archive_header_read(&some_log, &part, name, header, &found, &err);
		assert_true(result == PD_CORRUPT ||
			    (result == PD_NEWER_FORMAT && bit / 8 >= 8 && bit / 8 < 12));
		header[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* What the first format has is of the first format: any build reads it. */
	assert_int_equal(header[8], 1);
	part.kind = PD_ARCHIVE_LAST;
	part.stretch.sealed = true;
	pd_archive_part_name(&some_log, &part, name);
	pd_archive_header_write(&some_log, &part, header);
	assert_int_equal(header[8], 2);
	assert_int_equal(pd_archive_header_read(&some_log, &part, name, header, &found, &err), 0);
	assert_true(found.stretch.sealed);
	part.stretch.segment++;
	pd_archive_part_name(&some_log, &part, name);
	assert_int_equal(pd_archive_header_read(&some_log, &part, name, header, &found, &err), PD_CORRUPT);
	assert_non_null(strstr(err.text, "LSN 700 to 800"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
