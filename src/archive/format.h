/* Names and headers of what is in an archive. README.md has the format. Pure. */
#ifndef PD_ARCHIVE_FORMAT_H
#define PD_ARCHIVE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "log/log.h"
#include "log/raw.h"

#define PD_ARCHIVE_VERSION     2u
#define PD_ARCHIVE_HEADER_SIZE 256u
#define PD_ARCHIVE_NAME_SIZE   256 /* of any name, with its NUL */
#define PD_ARCHIVE_CLAIM_SIZE  256

/* Whose log it is. */
struct pd_archive_log {
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shard;
};

enum pd_archive_kind {
	PD_ARCHIVE_WHOLE = 1, /* a sealed segment */
	PD_ARCHIVE_PIECE = 2, /* a part of one that was open */
	PD_ARCHIVE_LAST = 3,  /* what is behind the pieces of one that was sealed then: they stay. Format 2 */
};
/* Does its segment end with it? */
bool pd_archive_kind_seals(enum pd_archive_kind kind);

/* What an object is of. */
struct pd_archive_part {
	enum pd_archive_kind kind;
	uint64_t base; /* LSN at which its base begins */
	struct pd_log_stretch
		stretch; /* `sealed` as of the kind; what only the header has is zero until that was read */
	uint64_t made_us;
};

/* "<cluster>/<shard>/", which everything of this log begins with. */
void pd_archive_prefix(const struct pd_archive_log *log, char name[PD_ARCHIVE_NAME_SIZE]);
void pd_archive_base_prefix(const struct pd_archive_log *log, uint64_t base, char name[PD_ARCHIVE_NAME_SIZE]);
void pd_archive_part_name(const struct pd_archive_log *log, const struct pd_archive_part *part,
			  char name[PD_ARCHIVE_NAME_SIZE]);
/* Of the object that says that the base begins with this LSN by now. */
void pd_archive_keep_name(const struct pd_archive_log *log, uint64_t base, uint64_t lsn,
			  char name[PD_ARCHIVE_NAME_SIZE]);
bool pd_archive_keep_parse(const struct pd_archive_log *log, const char *name, uint64_t *ret_base,
			   uint64_t *ret_lsn);
/* false: it is none. What it does not tell is zero. */
bool pd_archive_part_parse(const struct pd_archive_log *log, const char *name,
			   struct pd_archive_part *ret_part);

void pd_archive_header_write(const struct pd_archive_log *log, const struct pd_archive_part *part,
			     uint8_t header[PD_ARCHIVE_HEADER_SIZE]);
/* Is it the header of the object whose name said `part`? Then all of it is in *ret_part. PD_CORRUPT: it is not; PD_NEWER_FORMAT. `name` is for
 * the text. */
PD_MUST_CHECK int pd_archive_header_read(const struct pd_archive_log *log, const struct pd_archive_part *part,
					 const char *name, const uint8_t header[PD_ARCHIVE_HEADER_SIZE],
					 struct pd_archive_part *ret_part, struct pd_error *err);

/* An epoch, by the segment in which it begins. */
struct pd_archive_claim {
	uint64_t epoch, first_lsn, time_us;
	uint32_t segment, head_crc;
};
void pd_archive_claim_name(const struct pd_archive_log *log, uint64_t epoch, char name[PD_ARCHIVE_NAME_SIZE]);
/* Its bytes, NUL-terminated. */
void pd_archive_claim_write(const struct pd_archive_claim *claim, char text[PD_ARCHIVE_CLAIM_SIZE]);

#endif
