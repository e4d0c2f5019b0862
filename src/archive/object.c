/* There: the file's bytes are hashed once more, compressed, hashed as they are then, and given to the store as it asks. Back: header, frame, hash; or
 * what came out of the store against what went into it. */
#include "archive/object.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/compress.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/memory.h"

#define TRAILER_SIZE  4u
#define PIECE_BYTES   ((size_t)256 * 1024)
#define PRESSED_BYTES ((size_t)4 * 1024 * 1024) /* of one piece: more than it can become */

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for an object of the archive");
}

static bool same_hash(struct pd_hash128 a, struct pd_hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* ---- there ---- */

struct source {
	struct pd_log_raw_reader reader;
	const struct pd_archive_part *part;
	struct pd_compressor *compressor;
	struct pd_hasher *hasher;  /* of the file */
	struct pd_hasher *imprint; /* of the object */
	uint64_t bytes;
	uint8_t *piece;
	struct pd_buffer pressed;
	size_t given; /* of what is pressed */
	uint32_t crc; /* of all that was pressed */
	bool at_end;
};

/* Of what is in the buffer; behind the last of it the checksum itself. */
static int add_crc(struct source *source)
{
	uint8_t trailer[TRAILER_SIZE];

	source->crc = pd_crc32c(source->crc, source->pressed.data, source->pressed.size);
	pd_store_u32(trailer, source->crc);
	return source->at_end ? pd_buffer_append(&source->pressed, trailer, sizeof trailer) : 0;
}

/* The next piece of the file, pressed. */
static int press(struct source *source, struct pd_error *err)
{
	size_t size;
	int result = pd_log_raw_read(&source->reader, source->piece, PIECE_BYTES, &size, err);

	if (result != 0)
		return result;
	pd_hasher_add(source->hasher, source->piece, size);
	source->at_end = size < PIECE_BYTES;
	result = pd_compressor_add(source->compressor, pd_slice(source->piece, size), &source->pressed);
	if (result == 0 && source->at_end)
		result = pd_compressor_end(source->compressor, &source->pressed);
	if (result == 0)
		result = add_crc(source);
	if (result != 0)
		return no_memory(err);
	/* Before the last bytes are given: so an object of other bytes never comes to be. */
	if (source->at_end && !same_hash(pd_hasher_sum(source->hasher), source->part->stretch.hash))
		return pd_error_set(err, PD_CORRUPT,
				    "segment %010" PRIu32
				    " of the log is not what it was when it was looked at: see 'perdure log "
				    "verify'",
				    source->part->stretch.segment);
	return 0;
}

static int read_source(void *context, void *data, size_t size, size_t *ret_size, struct pd_error *err)
{
	struct source *source = context;
	uint8_t *at = data;
	size_t done = 0;

	while (done < size) {
		size_t left = source->pressed.size - source->given;
		size_t part = left < size - done ? left : size - done;

		if (part > 0)
			memcpy(at + done, source->pressed.data + source->given, part);
		pd_hasher_add(source->imprint, at + done, part);
		source->bytes += part;
		source->given += part;
		done += part;
		if (source->given < source->pressed.size)
			continue;
		if (source->at_end)
			break;
		pd_buffer_clear(&source->pressed);
		source->given = 0;
		int result = press(source, err);
		if (result != 0)
			return result;
	}
	*ret_size = done;
	return 0;
}

int pd_archive_object_put(struct pd_object_store *store, const struct pd_archive_log *log,
			  const struct pd_log_raw *raw, const struct pd_archive_part *part, int level,
			  struct pd_archive_imprint *ret_imprint, struct pd_error *err)
{
	struct source source = { .part = part,
				 .hasher = pd_hasher_new(),
				 .imprint = pd_hasher_new(),
				 .piece = pd_malloc(PIECE_BYTES) };
	struct pd_object_source from = { .read = read_source, .context = &source };
	char name[PD_ARCHIVE_NAME_SIZE];
	uint8_t header[PD_ARCHIVE_HEADER_SIZE];
	int result = PD_NO_MEMORY;

	pd_buffer_init(&source.pressed, PRESSED_BYTES);
	pd_archive_part_name(log, part, name);
	pd_archive_header_write(log, part, header);
	source.crc = pd_crc32c(0, header, sizeof header);
	if (source.hasher == NULL || source.imprint == NULL || source.piece == NULL ||
	    pd_compressor_new(level, &source.compressor) != 0 ||
	    pd_buffer_append(&source.pressed, header, sizeof header) != 0)
		(void)no_memory(err);
	else
		result = pd_log_raw_open(raw, &part->stretch, &source.reader, err);
	if (result == 0)
		result = pd_object_put(store, name, &from, NULL, NULL, err);
	if (result == 0)
		*ret_imprint = (struct pd_archive_imprint){ source.bytes, pd_hasher_sum(source.imprint) };
	pd_log_raw_close(&source.reader);
	pd_compressor_free(source.compressor);
	pd_hasher_free(source.hasher);
	pd_hasher_free(source.imprint);
	pd_buffer_done(&source.pressed);
	pd_free(source.piece);
	return result;
}

/* ---- back ---- */

struct unpack {
	const struct pd_archive_log *log;
	const struct pd_archive_part *part; /* as its name says */
	const char *name;
	const struct pd_object_sink *sink;
	struct pd_archive_part found; /* as its header says */
	uint8_t header[PD_ARCHIVE_HEADER_SIZE];
	size_t header_size;
	struct pd_decompressor *decompressor;
	struct pd_hasher *hasher;
	uint8_t *piece;
	uint64_t bytes;
	bool at_end;
	uint32_t crc; /* of all before the trailer */
	uint8_t trailer[TRAILER_SIZE];
	size_t trailer_size;
};

static int damaged(const struct unpack *unpack, const char *what, struct pd_error *err)
{
	return pd_error_set(err, PD_CORRUPT,
			    "%s is damaged: %s; LSN %" PRIu64 " to %" PRIu64
			    " cannot be had from it: put back a copy of that object",
			    unpack->name, what, unpack->part->stretch.first_lsn,
			    unpack->part->stretch.last_lsn);
}

/* What comes out goes on; never more than there should be. */
static int take_plain(struct unpack *unpack, size_t size, struct pd_error *err)
{
	const struct pd_log_stretch *stretch = &unpack->found.stretch;

	unpack->bytes += size;
	if (unpack->bytes > stretch->end - stretch->from)
		return damaged(unpack, "there is more in it than it should hold", err);
	pd_hasher_add(unpack->hasher, unpack->piece, size);
	return unpack->sink != NULL && size > 0
		       ? unpack->sink->write(unpack->sink->context, unpack->piece, size, err)
		       : 0;
}

/* What is behind the frame. */
static int take_trailer(struct unpack *unpack, struct pd_slice rest, struct pd_error *err)
{
	if (rest.size > TRAILER_SIZE - unpack->trailer_size)
		return damaged(unpack, "there is something behind its end", err);
	if (rest.size > 0)
		memcpy(unpack->trailer + unpack->trailer_size, rest.data, rest.size);
	unpack->trailer_size += rest.size;
	return 0;
}

static int unpack_more(struct unpack *unpack, struct pd_slice from, struct pd_error *err)
{
	struct pd_slice input = from;
	size_t size;

	if (unpack->at_end)
		return take_trailer(unpack, from, err);

	do {
		int result = pd_decompressor_take(unpack->decompressor, &input, unpack->piece, PIECE_BYTES,
						  &size, &unpack->at_end);

		if (result == PD_CORRUPT)
			return damaged(unpack, "what is compressed in it cannot be read", err);
		if (result == 0)
			result = take_plain(unpack, size, err);
		if (result != 0)
			return result == PD_NO_MEMORY ? no_memory(err) : result;
	} while (!unpack->at_end && (size == PIECE_BYTES || input.size > 0));
	unpack->crc = pd_crc32c(unpack->crc, from.data, from.size - input.size);
	return take_trailer(unpack, input, err);
}

static int write_unpack(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct unpack *unpack = context;
	size_t head = sizeof unpack->header - unpack->header_size;

	if (head > 0) {
		head = head < size ? head : size;
		memcpy(unpack->header + unpack->header_size, data, head);
		unpack->header_size += head;
		if (unpack->header_size < sizeof unpack->header)
			return 0;
		int result = pd_archive_header_read(unpack->log, unpack->part, unpack->name, unpack->header,
						    &unpack->found, err);
		if (result != 0)
			return result;
		unpack->crc = pd_crc32c(0, unpack->header, sizeof unpack->header);
	}
	return size > head ? unpack_more(unpack, pd_slice((const uint8_t *)data + head, size - head), err)
			   : 0;
}

static int judge(const struct unpack *unpack, struct pd_error *err)
{
	const struct pd_log_stretch *stretch = &unpack->found.stretch;

	if (unpack->header_size < sizeof unpack->header || !unpack->at_end ||
	    unpack->trailer_size < TRAILER_SIZE || unpack->bytes != stretch->end - stretch->from)
		return damaged(unpack, "it is cut off", err);
	if (pd_load_u32(unpack->trailer) != unpack->crc)
		return damaged(unpack, "its checksum is wrong", err);
	if (!same_hash(pd_hasher_sum(unpack->hasher), stretch->hash))
		return damaged(unpack, "its hash is wrong", err);
	return 0;
}

int pd_archive_object_get(struct pd_object_store *store, const struct pd_archive_log *log,
			  const struct pd_archive_part *part, const struct pd_object_sink *sink,
			  struct pd_archive_part *ret_part, struct pd_error *err)
{
	char name[PD_ARCHIVE_NAME_SIZE];
	struct unpack unpack = { .log = log,
				 .part = part,
				 .name = name,
				 .sink = sink,
				 .hasher = pd_hasher_new(),
				 .piece = pd_malloc(PIECE_BYTES) };
	struct pd_object_sink to = { .write = write_unpack, .context = &unpack };
	int result;

	pd_archive_part_name(log, part, name);
	if (unpack.hasher == NULL || unpack.piece == NULL || pd_decompressor_new(&unpack.decompressor) != 0)
		result = no_memory(err);
	else
		result = pd_object_get(store, name, 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &to, NULL, err);
	if (result == 0)
		result = judge(&unpack, err);
	if (result == 0)
		*ret_part = unpack.found;
	pd_decompressor_free(unpack.decompressor);
	pd_hasher_free(unpack.hasher);
	pd_free(unpack.piece);
	return result;
}

struct comparison {
	struct pd_hasher *hasher;
	uint64_t bytes;
};

static int compare(void *context, const void *data, size_t size, struct pd_error *err)
{
	struct comparison *comparison = context;

	(void)err;
	pd_hasher_add(comparison->hasher, data, size);
	comparison->bytes += size;
	return 0;
}

int pd_archive_object_read_back(struct pd_object_store *store, const struct pd_archive_log *log,
				const struct pd_archive_part *part, const struct pd_archive_imprint *imprint,
				struct pd_error *err)
{
	struct comparison comparison = { .hasher = pd_hasher_new() };
	const struct pd_object_sink sink = { .write = compare, .context = &comparison };
	char name[PD_ARCHIVE_NAME_SIZE];
	int result;

	if (comparison.hasher == NULL)
		return no_memory(err);
	pd_archive_part_name(log, part, name);
	result = pd_object_get(store, name, 0, PD_OBJECT_SIZE_UNKNOWN, NULL, &sink, NULL, err);
	if (result == 0 && (comparison.bytes != imprint->bytes ||
			    !same_hash(pd_hasher_sum(comparison.hasher), imprint->hash)))
		result = pd_error_set(err, PD_CORRUPT,
				      "%s is damaged: other bytes were read back than were put", name);
	pd_hasher_free(comparison.hasher);
	return result;
}

int pd_archive_object_prove(struct pd_object_store *store, const struct pd_archive_log *log,
			    const struct pd_archive_part *part, struct pd_error *err)
{
	struct pd_archive_part found;
	int result = pd_archive_object_get(store, log, part, NULL, &found, err);

	if (result != 0)
		return result;
	if (same_hash(found.stretch.hash, part->stretch.hash) &&
	    found.stretch.last_crc == part->stretch.last_crc)
		return 0;
	return pd_error_set(err, PD_CONFLICT,
			    "the archive %s has other bytes for LSN %" PRIu64 " to %" PRIu64
			    " of epoch %" PRIu64 " than this log",
			    pd_object_store_address(store), part->stretch.first_lsn, part->stretch.last_lsn,
			    part->stretch.epoch);
}
