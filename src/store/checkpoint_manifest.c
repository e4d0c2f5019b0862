/* The manifest of a checkpoint: lines of text in this order.
 *
 *   perdure-checkpoint 1
 *   cluster 00112233445566778899aabbccddeeff
 *   shard 0
 *   epoch 7
 *   lsn 1234
 *   time_us 1790000000000000
 *   kind rocksdb
 *   files 2
 *   file 4096 0123456789abcdef0123456789abcdef read 000012.sst     size, XXH3 of 128 bits, how the hash was got, name
 *   file 512 fedcba9876543210fedcba9876543210 known CURRENT
 *   crc 1a2b3c4d                                                   CRC32C of all lines above, their line feeds included */
#include "store/checkpoint_manifest.h"

#include <inttypes.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/memory.h"
#include "store/checkpoint_private.h"

#define CRC_LINE_SIZE (sizeof "crc 00000000\n" - 1)

/* Indexed by enum pd_levels_kind. */
static const char *const kind_names[] = { "none", "rocksdb", "plain" };

/* ---- writing ---- */

int pd_checkpoint_format(const struct pd_checkpoint *checkpoint, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
			 uint32_t shard, struct pd_buffer *text)
{
	int result = pd_buffer_printf(text, "perdure-checkpoint %d\ncluster ", PD_CHECKPOINT_FORMAT_VERSION);

	for (size_t i = 0; i < PD_CLUSTER_ID_SIZE && result == 0; i++)
		result = pd_buffer_printf(text, "%02x", cluster_id[i]);
	if (result == 0)
		result = pd_buffer_printf(text,
					  "\nshard %" PRIu32 "\nepoch %" PRIu64 "\nlsn %" PRIu64
					  "\ntime_us %" PRIu64 "\nkind %s\nfiles %zu\n",
					  shard, checkpoint->position.epoch, checkpoint->position.lsn,
					  checkpoint->time_us, kind_names[checkpoint->kind],
					  checkpoint->file_count);
	for (size_t i = 0; i < checkpoint->file_count && result == 0; i++) {
		const struct pd_checkpoint_file *file = &checkpoint->files[i];
		char hash[33];

		pd_hash128_format(file->hash, hash);
		result = pd_buffer_printf(text, "file %" PRIu64 " %s %s %s\n", file->size, hash,
					  file->read_back ? "read" : "known", file->name);
	}
	if (result == 0)
		result = pd_buffer_printf(text, "crc %08x\n", pd_crc32c(0, text->data, text->size));
	return result;
}

/* ---- reading ---- */

/* Text being taken apart. Once something does not fit, everything after it is empty. */
struct scan {
	struct pd_slice rest;
	bool bad;
};

static struct pd_slice fail(struct scan *scan)
{
	scan->bad = true;
	scan->rest = pd_slice(NULL, 0);
	return scan->rest;
}

/* What comes before the next `end`, which is taken too. */
static struct pd_slice take_until(struct scan *scan, char end)
{
	const uint8_t *at = scan->rest.size == 0 ? NULL : memchr(scan->rest.data, end, scan->rest.size);
	struct pd_slice taken;

	if (at == NULL)
		return fail(scan);
	taken = pd_slice(scan->rest.data, (size_t)(at - scan->rest.data));
	scan->rest = pd_slice(at + 1, scan->rest.size - taken.size - 1);
	return taken;
}

/* The line that begins with `word` and a space, without these. */
static struct pd_slice take_line(struct scan *scan, const char *word)
{
	if (!pd_slice_equal(take_until(scan, ' '), pd_slice_string(word)))
		return fail(scan);
	return take_until(scan, '\n');
}

static uint64_t to_number(struct scan *scan, struct pd_slice text)
{
	int64_t number = 0;

	if (!pd_slice_to_int64(text, &number) || number < 0) {
		(void)fail(scan);
		return 0;
	}
	return (uint64_t)number;
}

static uint64_t take_number(struct scan *scan, const char *word)
{
	return to_number(scan, take_line(scan, word));
}

/* Lower-case hexadecimal digits, two for each byte. */
static void to_bytes(struct scan *scan, struct pd_slice text, uint8_t *bytes, size_t size)
{
	if (text.size != 2 * size)
		(void)fail(scan);
	for (size_t i = 0; i < 2 * size && !scan->bad; i++) {
		uint8_t digit = text.data[i];
		int value = digit >= '0' && digit <= '9'   ? digit - '0'
			    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
							   : -1;

		if (value < 0)
			(void)fail(scan);
		else
			bytes[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : bytes[i / 2] | value);
	}
}

static struct pd_hash128 to_hash(struct scan *scan, struct pd_slice text)
{
	uint8_t bytes[16] = { 0 };
	struct pd_hash128 hash = { 0 };

	to_bytes(scan, text, bytes, sizeof bytes);
	for (size_t i = 0; i < 8; i++) {
		hash.high = hash.high << 8 | bytes[i];
		hash.low = hash.low << 8 | bytes[8 + i];
	}
	return hash;
}

static int take_file(struct scan *scan, struct pd_checkpoint *checkpoint)
{
	struct scan line = { .rest = take_line(scan, "file") };
	uint64_t size = to_number(&line, take_until(&line, ' '));
	struct pd_hash128 hash = to_hash(&line, take_until(&line, ' '));
	struct pd_slice how = take_until(&line, ' ');
	bool read_back = pd_slice_equal(how, pd_slice_string("read"));
	struct pd_checkpoint_file *file;
	int result;

	if (line.bad || !pd_checkpoint_name_fits(line.rest) ||
	    (!read_back && !pd_slice_equal(how, pd_slice_string("known")))) {
		(void)fail(scan);
		return 0;
	}
	result = pd_checkpoint_add_file(checkpoint, line.rest, &file);
	if (result != 0)
		return result;
	file->size = size;
	file->hash = hash;
	file->read_back = read_back;
	checkpoint->bytes += size;
	checkpoint->own_bytes += read_back ? size : 0;
	return 0;
}

static enum pd_levels_kind to_kind(struct scan *scan, struct pd_slice text)
{
	for (size_t i = 1; i < sizeof kind_names / sizeof kind_names[0]; i++)
		if (pd_slice_equal(text, pd_slice_string(kind_names[i])))
			return (enum pd_levels_kind)i;
	(void)fail(scan);
	return PD_LEVELS_NONE;
}

/* Does the last line hold the checksum of all above it? Nothing else is believed before that. */
static bool is_whole(struct pd_slice text, struct pd_slice *ret_lines)
{
	struct scan scan;
	uint8_t bytes[4] = { 0 };
	uint32_t crc;

	if (text.size < CRC_LINE_SIZE)
		return false;
	*ret_lines = pd_slice(text.data, text.size - CRC_LINE_SIZE);
	scan = (struct scan){ .rest = pd_slice(text.data + ret_lines->size, CRC_LINE_SIZE) };
	to_bytes(&scan, take_line(&scan, "crc"), bytes, sizeof bytes);
	crc = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
	return !scan.bad && scan.rest.size == 0 && crc == pd_crc32c(0, ret_lines->data, ret_lines->size);
}

int pd_checkpoint_parse(struct pd_slice text, const char *name, const uint8_t cluster_id[PD_CLUSTER_ID_SIZE],
			uint32_t shard, struct pd_checkpoint *checkpoint, struct pd_error *err)
{
	uint8_t found_id[PD_CLUSTER_ID_SIZE] = { 0 };
	struct scan scan = { 0 };
	uint64_t version, found_shard, files;
	int result = 0;

	if (!is_whole(text, &scan.rest))
		return pd_error_set(err, PD_CORRUPT, "%s is damaged: its checksum is wrong", name);
	version = take_number(&scan, "perdure-checkpoint");
	if (!scan.bad && version > PD_CHECKPOINT_FORMAT_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "%s has format %" PRIu64
				    ", this build knows up to %d: use a newer Perdure",
				    name, version, PD_CHECKPOINT_FORMAT_VERSION);
	to_bytes(&scan, take_line(&scan, "cluster"), found_id, sizeof found_id);
	found_shard = take_number(&scan, "shard");
	if (!scan.bad && (memcmp(found_id, cluster_id, sizeof found_id) != 0 || found_shard != shard))
		return pd_error_set(err, PD_CORRUPT,
				    "%s is of another cluster or shard: put this one's files back", name);
	checkpoint->position.epoch = take_number(&scan, "epoch");
	checkpoint->position.lsn = take_number(&scan, "lsn");
	checkpoint->time_us = take_number(&scan, "time_us");
	checkpoint->kind = to_kind(&scan, take_line(&scan, "kind"));
	files = take_number(&scan, "files");
	while (result == 0 && !scan.bad && scan.rest.size > 0)
		result = take_file(&scan, checkpoint);
	if (result != 0)
		return pd_error_set(err, result, "out of memory while reading %s", name);
	if (scan.bad || version == 0 || checkpoint->file_count != files || checkpoint->position.lsn == 0)
		return pd_error_set(
			err, PD_CORRUPT,
			"%s does not make sense, though its checksum holds: it was not written by "
			"Perdure",
			name);
	return 0;
}
