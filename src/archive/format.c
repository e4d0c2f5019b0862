#include "archive/format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc32c.h"

#define MAGIC      "PDARCH1" /* with its NUL */
#define CODEC_ZSTD 1u
#define CRC_AT     (PD_ARCHIVE_HEADER_SIZE - 4)
#define FOLDER     1000u /* segments in one */

/* By their kinds. */
static const char *const kinds[] = { NULL, "whole", "piece", "last" };
#define KINDS (sizeof kinds / sizeof *kinds)

bool pd_archive_kind_seals(enum pd_archive_kind kind)
{
	return kind == PD_ARCHIVE_WHOLE || kind == PD_ARCHIVE_LAST;
}

/* ---- names ---- */

void pd_archive_prefix(const struct pd_archive_log *log, char name[PD_ARCHIVE_NAME_SIZE])
{
	for (size_t i = 0; i < PD_CLUSTER_ID_SIZE; i++)
		(void)snprintf(name + 2 * i, 3, "%02x", log->cluster_id[i]);
	(void)snprintf(name + 2 * PD_CLUSTER_ID_SIZE, PD_ARCHIVE_NAME_SIZE - 2 * PD_CLUSTER_ID_SIZE, "/%04x/",
		       log->shard);
}

/* Behind the prefix. */
static void append(char name[PD_ARCHIVE_NAME_SIZE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void append(char name[PD_ARCHIVE_NAME_SIZE], const char *format, ...)
{
	size_t used = strlen(name);
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(name + used, PD_ARCHIVE_NAME_SIZE - used, format, arguments);
	va_end(arguments);
	PD_ASSERT(size >= 0 && used + (size_t)size < PD_ARCHIVE_NAME_SIZE);
}

void pd_archive_base_prefix(const struct pd_archive_log *log, uint64_t base, char name[PD_ARCHIVE_NAME_SIZE])
{
	pd_archive_prefix(log, name);
	append(name, "b%020" PRIu64 "/", base);
}

void pd_archive_part_name(const struct pd_archive_log *log, const struct pd_archive_part *part,
			  char name[PD_ARCHIVE_NAME_SIZE])
{
	const struct pd_log_stretch *stretch = &part->stretch;

	pd_archive_base_prefix(log, part->base, name);
	append(name,
	       "%07" PRIu32 "/%010" PRIu32 "-%010" PRIu64 "-%010" PRIu64 "-%010" PRIu64 "-%020" PRIu64
	       "-%020" PRIu64 "-%020" PRIu64 "-%020" PRIu64 ".%s",
	       stretch->segment / FOLDER, stretch->segment, stretch->from, stretch->end, stretch->epoch,
	       stretch->first_lsn, stretch->last_lsn, stretch->first_time_us, stretch->last_time_us,
	       kinds[part->kind]);
}

/* So many digits, and what comes behind them. */
static bool take_number(const char **at, unsigned digits, char behind, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < digits; i++) {
		unsigned digit = (unsigned)((*at)[i] - '0');

		if (digit > 9 || number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*at += digits;
	if (**at != behind)
		return false;
	(*at)++;
	*ret_number = number;
	return true;
}

/* 0: it is none. */
static enum pd_archive_kind find_kind(const char *word)
{
	for (size_t i = 1; i < KINDS; i++)
		if (strcmp(word, kinds[i]) == 0)
			return (enum pd_archive_kind)i;
	return (enum pd_archive_kind)0;
}

bool pd_archive_part_parse(const struct pd_archive_log *log, const char *name,
			   struct pd_archive_part *ret_part)
{
	char prefix[PD_ARCHIVE_NAME_SIZE], again[PD_ARCHIVE_NAME_SIZE];
	struct pd_archive_part part = { 0 };
	struct pd_log_stretch *stretch = &part.stretch;
	uint64_t folder, segment;
	const char *at;

	pd_archive_prefix(log, prefix);
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	at = name + strlen(prefix);
	if (*at++ != 'b' || !take_number(&at, 20, '/', &part.base) || !take_number(&at, 7, '/', &folder) ||
	    !take_number(&at, 10, '-', &segment) || !take_number(&at, 10, '-', &stretch->from) ||
	    !take_number(&at, 10, '-', &stretch->end) || !take_number(&at, 10, '-', &stretch->epoch) ||
	    !take_number(&at, 20, '-', &stretch->first_lsn) ||
	    !take_number(&at, 20, '-', &stretch->last_lsn) ||
	    !take_number(&at, 20, '-', &stretch->first_time_us) ||
	    !take_number(&at, 20, '.', &stretch->last_time_us) || segment > UINT32_MAX)
		return false;
	part.kind = find_kind(at);
	if (part.kind == 0)
		return false;
	stretch->sealed = pd_archive_kind_seals(part.kind);
	stretch->segment = (uint32_t)segment;
	/* One part has one name; and what it says makes sense. */
	pd_archive_part_name(log, &part, again);
	if (strcmp(name, again) != 0 || stretch->from >= stretch->end || stretch->first_lsn == 0 ||
	    stretch->last_lsn + 1 < stretch->first_lsn || part.base == 0 || part.base > stretch->first_lsn ||
	    (part.kind == PD_ARCHIVE_WHOLE && stretch->from != 0) ||
	    (part.kind == PD_ARCHIVE_LAST && stretch->from == 0))
		return false;
	*ret_part = part;
	return true;
}

void pd_archive_keep_name(const struct pd_archive_log *log, uint64_t base, uint64_t lsn,
			  char name[PD_ARCHIVE_NAME_SIZE])
{
	pd_archive_base_prefix(log, base, name);
	append(name, "KEEP-%020" PRIu64, lsn);
}

bool pd_archive_keep_parse(const struct pd_archive_log *log, const char *name, uint64_t *ret_base,
			   uint64_t *ret_lsn)
{
	char prefix[PD_ARCHIVE_NAME_SIZE];
	uint64_t base, lsn;
	const char *at;

	pd_archive_prefix(log, prefix);
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	at = name + strlen(prefix);
	if (*at++ != 'b' || !take_number(&at, 20, '/', &base) || strncmp(at, "KEEP-", 5) != 0)
		return false;
	at += 5;
	/* Behind the last digit is the name's end, which is not gone past. */
	if (!take_number(&at, 20, '\0', &lsn))
		return false;
	*ret_base = base;
	*ret_lsn = lsn;
	return true;
}

/* ---- headers ---- */

void pd_archive_header_write(const struct pd_archive_log *log, const struct pd_archive_part *part,
			     uint8_t header[PD_ARCHIVE_HEADER_SIZE])
{
	const struct pd_log_stretch *stretch = &part->stretch;

	memset(header, 0, PD_ARCHIVE_HEADER_SIZE);
	memcpy(header, MAGIC, sizeof MAGIC);
	pd_store_u32(header + 8, part->kind == PD_ARCHIVE_LAST ? 2 : 1); /* the first that has it */
	pd_store_u32(header + 12, PD_ARCHIVE_HEADER_SIZE);
	memcpy(header + 16, log->cluster_id, PD_CLUSTER_ID_SIZE);
	pd_store_u32(header + 32, log->shard);
	pd_store_u32(header + 36, stretch->segment);
	pd_store_u64(header + 40, stretch->epoch);
	pd_store_u64(header + 48, stretch->from);
	pd_store_u64(header + 56, stretch->end);
	pd_store_u64(header + 64, part->base);
	pd_store_u64(header + 72, stretch->first_lsn);
	pd_store_u64(header + 80, stretch->last_lsn);
	pd_store_u64(header + 88, stretch->first_time_us);
	pd_store_u64(header + 96, stretch->last_time_us);
	pd_store_u32(header + 104, stretch->previous_crc);
	pd_store_u32(header + 108, stretch->last_crc);
	pd_store_u32(header + 112, part->kind);
	pd_store_u32(header + 116, CODEC_ZSTD);
	pd_store_u64(header + 120, stretch->hash.low);
	pd_store_u64(header + 128, stretch->hash.high);
	pd_store_u64(header + 136, part->made_us);
	pd_store_u32(header + CRC_AT, pd_crc32c(0, header, CRC_AT));
}

static void decode(const uint8_t *header, struct pd_archive_part *ret_part)
{
	*ret_part = (struct pd_archive_part){
		.kind = (enum pd_archive_kind)pd_load_u32(header + 112),
		.base = pd_load_u64(header + 64),
		.made_us = pd_load_u64(header + 136),
		.stretch = { .segment = pd_load_u32(header + 36),
			     .epoch = pd_load_u64(header + 40),
			     .from = pd_load_u64(header + 48),
			     .end = pd_load_u64(header + 56),
			     .first_lsn = pd_load_u64(header + 72),
			     .last_lsn = pd_load_u64(header + 80),
			     .first_time_us = pd_load_u64(header + 88),
			     .last_time_us = pd_load_u64(header + 96),
			     .previous_crc = pd_load_u32(header + 104),
			     .last_crc = pd_load_u32(header + 108),
			     .sealed = pd_archive_kind_seals((enum pd_archive_kind)pd_load_u32(header + 112)),
			     .hash = { .low = pd_load_u64(header + 120),
				       .high = pd_load_u64(header + 128) } },
	};
}

/* Does it say what the name has said? */
static bool is_named(const struct pd_archive_log *log, const struct pd_archive_part *part, const char *name)
{
	char own[PD_ARCHIVE_NAME_SIZE];

	if (part->kind == 0 || part->kind >= KINDS)
		return false;
	pd_archive_part_name(log, part, own);
	return strcmp(own, name) == 0;
}

int pd_archive_header_read(const struct pd_archive_log *log, const struct pd_archive_part *part,
			   const char *name, const uint8_t header[PD_ARCHIVE_HEADER_SIZE],
			   struct pd_archive_part *ret_part, struct pd_error *err)
{
	const char *what = NULL;
	struct pd_archive_part found;

	decode(header, &found);
	if (memcmp(header, MAGIC, sizeof MAGIC) != 0)
		what = "it does not begin as one of an archive";
	else if (pd_load_u32(header + 8) > PD_ARCHIVE_VERSION)
		return pd_error_set(err, PD_NEWER_FORMAT,
				    "%s has format %" PRIu32
				    ", this build knows up to %u: use a newer Perdure",
				    name, pd_load_u32(header + 8), PD_ARCHIVE_VERSION);
	else if (pd_load_u32(header + CRC_AT) != pd_crc32c(0, header, CRC_AT))
		what = "the checksum of its header is wrong";
	else if (pd_load_u32(header + 12) != PD_ARCHIVE_HEADER_SIZE ||
		 pd_load_u32(header + 116) != CODEC_ZSTD)
		what = "its header makes no sense";
	else if (memcmp(header + 16, log->cluster_id, PD_CLUSTER_ID_SIZE) != 0 ||
		 pd_load_u32(header + 32) != log->shard || !is_named(log, &found, name))
		what = "it is another object under this name";
	if (what != NULL)
		return pd_error_set(err, PD_CORRUPT,
				    "%s is damaged: %s; LSN %" PRIu64 " to %" PRIu64
				    " cannot be had from it: put back a copy of that object",
				    name, what, part->stretch.first_lsn, part->stretch.last_lsn);
	*ret_part = found;
	return 0;
}

/* ---- claims ---- */

void pd_archive_claim_name(const struct pd_archive_log *log, uint64_t epoch, char name[PD_ARCHIVE_NAME_SIZE])
{
	pd_archive_prefix(log, name);
	append(name, "epochs/%010" PRIu64, epoch);
}

void pd_archive_claim_write(const struct pd_archive_claim *claim, char text[PD_ARCHIVE_CLAIM_SIZE])
{
	(void)snprintf(text, PD_ARCHIVE_CLAIM_SIZE,
		       "epoch %" PRIu64 "\nfirst-lsn %" PRIu64 "\nsegment %" PRIu32 "\ntime-us %" PRIu64
		       "\nhead-crc %08" PRIx32 "\n",
		       claim->epoch, claim->first_lsn, claim->segment, claim->time_us, claim->head_crc);
}
