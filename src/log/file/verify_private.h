/* What the verifier's files share: file_verify.c walks files and groups, file_verify_group.c looks into one group,
 * file_verify_load.c has the bytes. */
#ifndef PD_LOG_FILE_VERIFY_PRIVATE_H
#define PD_LOG_FILE_VERIFY_PRIVATE_H

#include "base/buffer.h"
#include "log/file/file_private.h"
#include "log/verify.h"

/* A group as the footer's index has it. */
struct pd_extent {
	uint64_t sector, sectors, records, first_lsn;
};

/* A group as it was found. */
struct pd_seen {
	uint64_t sector, sectors, records;
	size_t actors_at, actor_count; /* in seen_actors: runs of one actor once, as the index has them */
	bool sound;                    /* all of its records could be read */
};

/* A list that grows. */
struct pd_list {
	void *items;
	size_t count, capacity;
};

struct pd_log_verifier {
	struct pd_log_file *file;
	struct pd_log_totals totals;
	size_t next_segment; /* index of the one after what is loaded */
	bool finished;
	int failed; /* PD_NO_MEMORY, found where nothing could be returned */

	/* The segment that is loaded. Its bytes stay as they are on the disk, but for a bit of a header that has been reported. */
	bool loaded, headed, sealed, end_accused;
	struct pd_segment_head head;
	struct pd_location location;
	struct pd_aligned data;
	uint64_t size, sectors, sector;
	uint64_t first_lsn;
	struct pd_aligned index; /* the footer, opened */
	struct pd_slice index_bytes;
	uint64_t index_end_lsn;
	struct pd_list extents; /* struct pd_extent; none: there is no sound footer */
	struct pd_list seen;    /* struct pd_seen */
	struct pd_buffer seen_actors;

	/* Where the log is. */
	uint32_t last_segment;  /* number; 0: none */
	uint32_t empty_segment; /* that was come by last: nothing was ever written there; 0: none */
	bool last_unsealed;
	uint64_t expected_lsn;
	uint64_t epoch, durable_lsn;
	uint32_t chain;
	bool chain_known;
	bool epoch_begins; /* its own record comes next */
	bool gap;          /* records were lost since the last one that was seen */

	/* The group whose records are being looked at. */
	struct pd_aligned group, resealed;
	struct pd_group_header header;
	const uint8_t *at, *end;
	bool open, sound;
	uint64_t group_sector, lsn, records_seen, records_bad;
	uint32_t record_location;

	/* A record that comes in frames. */
	struct pd_buffer frames;
	uint32_t next_frame, frames_location;
	bool in_frames;
	uint64_t lost_frames_lsn; /* this one has been reported */
	struct {
		uint32_t segment; /* 0: none */
		uint64_t sector, sectors;
	} bad_frame; /* one whose checksum does not hold: the record itself will tell whether it is lost */

	/* Sights that wait to be handed out. */
	struct pd_list queue; /* struct pd_log_sight */
	size_t queue_at;
	struct pd_buffer actors; /* of the damage handed out last */
};

/* ---- file_verify_load.c ---- */
/* One more item, zeroed. NULL: no memory, noted in verifier->failed. */
void *pd_verify_add(struct pd_log_verifier *verifier, struct pd_list *list, size_t item_size);
PD_MUST_CHECK int pd_verify_need(struct pd_aligned *memory, size_t size);
/* PD_NOT_FOUND: trimmed since the directory was listed. */
PD_MUST_CHECK int pd_verify_load(struct pd_log_verifier *verifier, const struct pd_segment *segment,
				 struct pd_error *err);
/* Has the disk other bytes by now than were read? Then everything from `sector` on is read anew. Negative: an error. */
PD_MUST_CHECK int pd_verify_changed(struct pd_log_verifier *verifier, uint64_t sector, uint64_t count,
				    struct pd_error *err);
enum pd_sector_state pd_verify_state(const struct pd_log_verifier *verifier, uint64_t sector);
bool pd_verify_header_at(const struct pd_log_verifier *verifier, uint64_t sector,
			 struct pd_group_header *ret_header);
/* The header as it was before one of its bits flipped; false: more than one did. */
bool pd_verify_mend(const struct pd_log_verifier *verifier, uint64_t sector,
		    struct pd_group_header *ret_header, unsigned *ret_bit);
/* Would this sector be an unused one but for one bit? */
bool pd_verify_unused_but_one_bit(const struct pd_log_verifier *verifier, uint64_t sector);
const struct pd_extent *pd_verify_extent_at(const struct pd_log_verifier *verifier, uint64_t sector);

/* ---- file_verify.c ---- */
void pd_verify_see(struct pd_log_verifier *verifier, const struct pd_log_sight *sight);
/* `count` records from first_lsn on cannot be read; 0: something is damaged, but no record. */
#define PD_COUNT_UNKNOWN UINT64_MAX
void pd_verify_accuse(struct pd_log_verifier *verifier, uint64_t sector, uint64_t sectors, uint64_t first_lsn,
		      uint64_t count, const char *format, ...) __attribute__((format(printf, 6, 7)));
void pd_verify_note(struct pd_log_verifier *verifier, uint64_t offset, uint64_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- file_verify_group.c ---- */
/* Take the group at verifier->sector, of which `wrong` sectors are missing or have a wrong stamp.
 * PD_NEWER_FORMAT, PD_NO_MEMORY, PD_IO. */
PD_MUST_CHECK int pd_verify_take_group(struct pd_log_verifier *verifier, const struct pd_group_header *header,
				       uint64_t wrong, struct pd_error *err);
/* One record of the group that is open: 1 and *ret_sight, or 0. */
PD_MUST_CHECK int pd_verify_record(struct pd_log_verifier *verifier, struct pd_log_sight *ret_sight,
				   struct pd_error *err);
/* Report the frame that did not hold, if there is one; `count` records are lost with it. */
void pd_verify_settle_frame(struct pd_log_verifier *verifier, uint64_t lsn, uint64_t count);
/* The record in the making, one in frames, cannot be read. */
void pd_verify_lose_frames(struct pd_log_verifier *verifier, uint64_t sector, uint64_t sectors, uint64_t lsn,
			   const char *what);

#endif
