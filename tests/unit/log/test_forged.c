/* Groups whose checksums all hold and that make no sense: no program of ours writes them. The verifier says what is wrong, the reader
 * hands out nothing that is not there, what a newer program may have meant is refused, and a repair leaves it alone. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "repair_bench.h"
#include "log/follow.h"
#include "log/look.h"
#include "log/record_private.h"
#include "log/verify.h"

#define TEXTS_MAX 64

/* What somebody said of the log, and how it ended. */
struct said {
	char texts[TEXTS_MAX][200];
	size_t count;
	uint64_t records, last_lost;
	int result;
	struct pd_error err;
};

static void note(struct said *said, const char *text)
{
	if (said->count < TEXTS_MAX)
		(void)snprintf(said->texts[said->count++], sizeof said->texts[0], "%s", text);
}

static bool has_said(const struct said *said, const char *words)
{
	if (said->result != PD_END && strstr(said->err.text, words) != NULL)
		return true;
	for (size_t i = 0; i < said->count; i++)
		if (strstr(said->texts[i], words) != NULL)
			return true;
	return false;
}

static void verify(struct bench *bench, struct said *ret_said)
{
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;

	*ret_said = (struct said){ 0 };
	check(pd_log_verifier_new(&bench->disk.options, &verifier, why));
	while ((ret_said->result = pd_log_verifier_next(verifier, &sight, &ret_said->err)) == 0) {
		if (sight.kind == PD_SIGHT_DAMAGE) {
			note(ret_said, sight.damage.text);
			if (sight.damage.last_lsn >= sight.damage.first_lsn)
				ret_said->last_lost = sight.damage.last_lsn;
		}
		ret_said->records += sight.kind == PD_SIGHT_RECORD;
	}
	pd_log_verifier_free(verifier);
}

static void read_all(struct bench *bench, struct said *ret_said)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log *log;
	uint64_t lsn = 0;

	*ret_said = (struct said){ 0 };
	check(pd_log_file_open(&bench->disk.options, &log, why));
	check(pd_log_reader_new(log, 1, &reader, why));
	for (;;) {
		ret_said->result = pd_log_reader_next(reader, &record, &damage, &ret_said->err);
		if (ret_said->result == PD_CORRUPT) {
			note(ret_said, damage.text);
			if (damage.last_lsn >= damage.first_lsn)
				ret_said->last_lost = damage.last_lsn;
		} else if (ret_said->result == 0) {
			assert_true(record.lsn > lsn); /* none twice, none out of order */
			lsn = record.lsn;
			ret_said->records++;
		} else {
			break;
		}
	}
	pd_log_reader_free(reader);
	check(pd_log_close(log, why));
}

/* Who follows gets on, with every call: a record, or word of what is lost. */
static void follow_all(struct bench *bench, struct said *ret_said)
{
	struct pd_log_follower *follower;
	struct pd_record record;
	uint64_t lsn = 0;

	*ret_said = (struct said){ 0 };
	check(pd_log_follower_new(&bench->disk.options, 1, &follower, why));
	for (;;) {
		uint64_t before = pd_log_follower_lsn(follower);

		ret_said->result = pd_log_follower_next(follower, bench->disk.book.count, &record,
							&ret_said->err);
		if (ret_said->result != 0 && ret_said->result != PD_CORRUPT)
			break;
		if (pd_log_follower_lsn(follower) <= before)
			fail_msg("LSN %" PRIu64 " again: %s", before, ret_said->err.text);
		if (ret_said->result == 0) {
			assert_true(record.lsn > lsn);
			lsn = record.lsn;
			ret_said->records++;
		}
	}
	pd_log_follower_free(follower);
}

/* Records that are found segment by segment. Returns how the looking ended. */
static int look_at_all(struct bench *bench, uint64_t *ret_records)
{
	const struct pd_log_look_wish wish = { .from_lsn = 1,
					       .to_lsn = UINT64_MAX - 1,
					       .actor = PD_LOOK_ALL_ACTORS };
	struct pd_log_look_finds finds;
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_log_look *look;
	int result = 0;

	*ret_records = 0;
	check(pd_log_look_new(&bench->disk.options, &look, why));
	pd_log_look_finds_init(&finds);
	for (size_t i = 0; result == 0 && i < pd_log_look_count(look); i++) {
		result = pd_log_look_read(look, i, &wish, &finds, NULL);
		for (size_t n = 0; result == 0 && n < finds.count; n++)
			*ret_records += pd_log_look_get(&finds, n, &record, &damage, NULL) == 0;
	}
	pd_log_look_finds_done(&finds);
	pd_log_look_free(look);
	return result;
}

/* ---- forging ---- */

struct forgery {
	const char *name;
	void (*change)(struct pd_group_header *header, uint8_t *payload);
	enum pd_group_kind kind; /* of the group that is changed: */
	unsigned nth;            /* this one of its kind, from 0 */
	const char *verifier;    /* says this */
	const char *reader;      /* says this; NULL: nothing is wrong for it */
	int result;              /* of reading: PD_END, or what it ends with */
};

/* Change one group, and seal all from there on again, each chained to the one before it. */
static void forge(struct bench *bench, const struct forgery *forgery)
{
	struct group groups[GROUPS_MAX];
	unsigned left = forgery->nth + 1;
	uint32_t chain = 0;

	for (uint32_t segment = 1; segment <= bench->last; segment++) {
		struct pd_location location = { pd_location_crc(bench->disk.options.cluster_id,
								bench->disk.options.shard, segment),
						segment };
		size_t count = bench_groups(bench, segment, groups);

		for (size_t i = 0; i < count; i++) {
			struct pd_group_header header = groups[i].header;
			size_t size = (size_t)header.sectors * PD_SECTOR_SIZE;
			uint64_t at = groups[i].sector * PD_SECTOR_SIZE;
			bool it = header.kind == forgery->kind && left > 0 && --left == 0;
			uint8_t *data;

			if (left > 0)
				continue;
			data = malloc(size);
			assert_non_null(data);
			memcpy(data, bench->originals[segment].data + at, size);
			assert_true(pd_group_open(data, &header));
			if (it)
				forgery->change(&header, data + PD_GROUP_HEADER_SIZE);
			else
				header.previous_crc = chain;
			if (header.kind == PD_GROUP_RECORDS)
				pd_group_seal_records(data + PD_GROUP_HEADER_SIZE, header.payload_size,
						      header.first_lsn, location.crc);
			pd_group_seal(data, &header, &location, groups[i].sector);
			chain = header.header_crc;
			disk_overwrite(&bench->disk, disk_segment(segment), at, data, size);
			free(data);
		}
	}
	assert_int_equal(left, 0);
}

static void set_flags(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->flags = 4;
}

static void set_kind(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->kind = 9;
}

static void set_durable(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->durable_lsn = header->first_lsn + 5;
}

static void set_older_epoch(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->epoch = 0;
}

static void set_newer_epoch(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->epoch += 7;
}

static void set_lower_lsn(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->first_lsn -= 2;
}

static void set_higher_lsn(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->first_lsn += 3;
}

static void break_chain(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->previous_crc ^= 1;
}

static void count_one_more(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->record_count++;
}

static void set_time_back(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->base_time_us = 1;
}

static void set_record_kind(struct pd_group_header *header, uint8_t *payload)
{
	(void)header;
	payload[PD_RECORD_KIND_AT] = 77;
}

static void set_record_flags(struct pd_group_header *header, uint8_t *payload)
{
	(void)header;
	payload[PD_RECORD_KIND_AT + 1] |= 0x40;
}

static void make_epoch(struct pd_group_header *header, uint8_t *payload)
{
	(void)header;
	payload[PD_RECORD_KIND_AT] = PD_RECORD_EPOCH;
}

static void make_transaction(struct pd_group_header *header, uint8_t *payload)
{
	(void)header;
	payload[PD_RECORD_KIND_AT] = PD_RECORD_TRANSACTION;
}

/* The last bytes of the record that an epoch begins with. */
static void set_old_end(struct pd_group_header *header, uint8_t *payload)
{
	payload[header->payload_size - 8]++;
}

static void set_effect_kind(struct pd_group_header *header, uint8_t *payload)
{
	struct pd_record record;

	check(pd_record_decode(pd_slice(payload, header->payload_size), 0, &record, why));
	payload[record.effects.data - payload] = 99;
}

static void flip_in_piece(struct pd_group_header *header, uint8_t *payload)
{
	payload[header->payload_size / 2] ^= 0x3c;
}

static void set_frame(struct pd_group_header *header, uint8_t *payload)
{
	(void)payload;
	header->frame++;
}

static void set_head_end(struct pd_group_header *header, uint8_t *payload)
{
	payload[header->payload_size - 1] = 1;
}

static void set_index(struct pd_group_header *header, uint8_t *payload)
{
	(void)header;
	payload[0] ^= 1;
}

/* A number that goes on behind the end. */
static void set_index_end(struct pd_group_header *header, uint8_t *payload)
{
	payload[header->payload_size - 1] |= 0x80;
}

static const struct forgery forgeries[] = {
	{ "flags", set_flags, PD_GROUP_RECORDS, 3, "unknown flags 0x0004", "features 0x4", PD_NEWER_FORMAT },
	{ "kind", set_kind, PD_GROUP_RECORDS, 3, "a group of kind 9: use a newer Perdure",
	  "a group of kind 9: use a newer Perdure", PD_NEWER_FORMAT },
	{ "durable", set_durable, PD_GROUP_RECORDS, 3, "was durable, which cannot be", NULL, PD_END },
	{ "older epoch", set_older_epoch, PD_GROUP_RECORDS, 3, "of an earlier place or epoch",
	  "a group of an older epoch", PD_END },
	{ "newer epoch", set_newer_epoch, PD_GROUP_RECORDS, 3, "begins in the middle of a segment",
	  "a group of an older epoch", PD_END },
	{ "lower LSN", set_lower_lsn, PD_GROUP_RECORDS, 3, "of an earlier place or epoch",
	  "a group that belongs to an earlier place", PD_END },
	{ "higher LSN", set_higher_lsn, PD_GROUP_RECORDS, 3, "records are missing before this group",
	  "records are missing between two groups", PD_END },
	{ "chain", break_chain, PD_GROUP_RECORDS, 3, "the chain is broken", "the chain is broken", PD_END },
	{ "count", count_one_more, PD_GROUP_RECORDS, 3, "another number of records than it says",
	  "an earlier place", PD_END },
	{ "time", set_time_back, PD_GROUP_RECORDS, 3, "is not later than the one before", NULL, PD_END },
	{ "a record's kind", set_record_kind, PD_GROUP_RECORDS, 3,
	  "a record makes no sense, though its checksum holds",
	  "a record makes no sense, though its checksum holds", PD_END },
	{ "a record's flags", set_record_flags, PD_GROUP_RECORDS, 3, "features (0x40)", "features (0x40)",
	  PD_NEWER_FORMAT },
	{ "an effect's kind", set_effect_kind, PD_GROUP_RECORDS, 3, "a record's effects make no sense", NULL,
	  PD_END },
	{ "an epoch amid", make_epoch, PD_GROUP_RECORDS, 3, "an epoch begins in the middle of another", NULL,
	  PD_END },
	{ "no epoch", make_transaction, PD_GROUP_RECORDS, 0, "does not begin with its own record", NULL,
	  PD_END },
	{ "the old epoch's end", set_old_end, PD_GROUP_RECORDS, 0,
	  "where it says that the one before it ended", NULL, PD_END },
	{ "a piece", flip_in_piece, PD_GROUP_FRAME_MIDDLE, 1,
	  "the pieces of a large record do not make one that holds", "a piece of a large record is damaged",
	  PD_END },
	{ "a piece's number", set_frame, PD_GROUP_FRAME_MIDDLE, 1, "without the one before it",
	  "a piece of a large record is damaged", PD_END },
	{ "a piece of a later record", set_higher_lsn, PD_GROUP_FRAME_MIDDLE, 6,
	  "records are missing before this group", "records are missing between two groups", PD_END },
	{ "a head", set_head_end, PD_GROUP_SEGMENT, 1, "the segment's head makes no sense", NULL, PD_END },
	{ "an index", set_index, PD_GROUP_FOOTER, 0, "index does not agree", NULL, PD_END },
	{ "an index's end", set_index_end, PD_GROUP_FOOTER, 0, "index does not agree", NULL, PD_END },
	{ "a footer's records", count_one_more, PD_GROUP_FOOTER, 0, "index does not agree",
	  "the chain is broken", PD_END },
};

static void try_forgery(struct bench *bench, const struct forgery *forgery, uint64_t records)
{
	struct said said;
	uint64_t found;
	uint64_t image;
	int result;

	bench_put_originals_back(bench);
	forge(bench, forgery);
	verify(bench, &said);
	if (!has_said(&said, forgery->verifier))
		fail_msg("%s: the verifier says %s", forgery->name,
			 said.count > 0 ? said.texts[0] : said.err.text);
	read_all(bench, &said);
	if (said.result != forgery->result)
		fail_msg("%s: the reader ends with %s: %s", forgery->name, pd_code_name(said.result),
			 said.err.text);
	if (forgery->reader == NULL && (said.count > 0 || said.records != records))
		fail_msg("%s: the reader gives %" PRIu64 " records and says %s", forgery->name, said.records,
			 said.count > 0 ? said.texts[0] : "nothing");
	if (forgery->reader != NULL && !has_said(&said, forgery->reader))
		fail_msg("%s: the reader says %s", forgery->name,
			 said.count > 0 ? said.texts[0] : said.err.text);
	/* Looking at its parts gives no less: what is behind nonsense in another segment is in no doubt there. */
	result = look_at_all(bench, &found);
	if (forgery->result != PD_END)
		assert_int_equal(result, forgery->result);
	else if (result != 0 || found < said.records || found > records)
		fail_msg("%s: looking gives %" PRIu64 " of %" PRIu64 " records", forgery->name, found,
			 said.records);
	follow_all(bench, &said);
	if (forgery->result != PD_END)
		assert_int_equal(said.result, forgery->result);
	else if (said.result != PD_END && said.result != PD_NOT_FOUND)
		fail_msg("%s: following ends with %s: %s", forgery->name, pd_code_name(said.result),
			 said.err.text);
	/* Nothing proves that it was anything else. */
	image = pd_sim_image_hash(bench->disk.os);
	result = heal(bench);
	assert_true(result == 0 || result == PD_NEWER_FORMAT);
	assert_int_equal(bench->repair.step_count, 0);
	assert_true(pd_sim_image_hash(bench->disk.os) == image);
}

static void every_forgery(void **state)
{
	struct bench bench;
	struct said said;

	(void)state;
	bench_init(&bench, 31);
	read_all(&bench, &said);
	assert_int_equal(said.count, 0);
	for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++)
		try_forgery(&bench, &forgeries[i], said.records);
	bench_done(&bench);
}

/* The end of the newest segment is damaged, and what is behind that belongs elsewhere, but says how far all was on stable storage: so much
 * is known to be lost, and not that nobody knows how much. */
static void an_end_of_which_something_is_known(void **state)
{
	struct group groups[GROUPS_MAX];
	struct pd_group_header header;
	struct pd_location location;
	uint8_t data[64 * PD_SECTOR_SIZE];
	struct bench bench;
	struct said said;
	uint64_t known;
	size_t count, size;

	(void)state;
	bench_init_open(&bench, 33, false);
	for (unsigned i = 0; i < 4; i++)
		disk_write(&bench.disk, 2, 300, PD_LOG_SYNC);
	bench_kill(&bench);
	bench_note_originals(&bench);
	location = (struct pd_location){ pd_location_crc(bench.disk.options.cluster_id,
							 bench.disk.options.shard, bench.last),
					 bench.last };
	count = bench_groups(&bench, bench.last, groups);
	header = groups[count - 1].header;
	size = (size_t)header.sectors * PD_SECTOR_SIZE;
	assert_true(size <= sizeof data);
	memcpy(data, bench.originals[bench.last].data + groups[count - 1].sector * PD_SECTOR_SIZE, size);
	assert_true(pd_group_open(data, &header));
	known = groups[count - 2].header.first_lsn + 5;
	header.first_lsn = 2;
	header.durable_lsn = known;
	pd_group_seal_records(data + PD_GROUP_HEADER_SIZE, header.payload_size, 2, location.crc);
	pd_group_seal(data, &header, &location, groups[count - 1].sector);
	disk_overwrite(&bench.disk, disk_segment(bench.last), groups[count - 1].sector * PD_SECTOR_SIZE, data,
		       size);
	wreck_group(&bench, bench.last, &groups[count - 2]);
	verify(&bench, &said);
	assert_int_equal(said.result, PD_END);
	assert_int_equal(said.last_lost, known);
	read_all(&bench, &said);
	assert_int_equal(said.result, PD_END);
	assert_int_equal(said.last_lost, known);
	bench_done(&bench);
}

/* A bit in the padding behind the slots, with checksums that hold: sealing leaves zeros there. */
static void padding_that_is_not_zero(void **state)
{
	struct group groups[GROUPS_MAX];
	struct pd_group_header header;
	struct pd_location location;
	uint8_t data[64 * PD_SECTOR_SIZE], sealed[sizeof data];
	struct bench bench;
	struct said said;
	uint64_t sector;
	uint32_t crc;
	size_t size;

	(void)state;
	bench_init(&bench, 32);
	(void)bench_groups(&bench, 1, groups);
	header = groups[2].header;
	sector = groups[2].sector;
	size = (size_t)header.sectors * PD_SECTOR_SIZE;
	assert_true(size <= sizeof data);
	location = (struct pd_location){
		pd_location_crc(bench.disk.options.cluster_id, bench.disk.options.shard, 1), 1
	};
	memcpy(data, bench.originals[1].data + sector * PD_SECTOR_SIZE, size);
	memcpy(sealed, data, size);
	assert_true(pd_group_open(data, &header));
	/* The last bytes before the last stamp are padding. */
	assert_int_equal(data[size - PD_STAMP_SIZE - 1], 0);
	data[size - PD_STAMP_SIZE - 1] = 1;
	header.body_crc = pd_crc32c(0, data + PD_GROUP_HEADER_SIZE, size - PD_GROUP_HEADER_SIZE);
	memcpy(sealed, &header, sizeof header);
	sealed[size - PD_STAMP_SIZE - 1] = 1;
	crc = pd_crc32c(location.crc, &sector, sizeof sector);
	crc = pd_crc32c(crc, sealed + 8, PD_GROUP_HEADER_SIZE - 8);
	pd_store_u32(sealed + 4, crc);
	disk_overwrite(&bench.disk, disk_segment(1), sector * PD_SECTOR_SIZE, sealed, size);
	verify(&bench, &said);
	assert_true(has_said(&said, "its padding is not zero"));
	assert_int_equal(said.result, PD_END);
	expect_untouched(&bench);
	bench_done(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_forgery),
		cmocka_unit_test(an_end_of_which_something_is_known),
		cmocka_unit_test(padding_that_is_not_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
