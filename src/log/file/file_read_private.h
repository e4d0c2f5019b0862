/* What the files of the reader share: file_read.c judges groups and hands out records, file_read_look.c looks around in the
 * segment that is loaded, file_read_mend.c knows a single bit that has flipped, file_read_load.c loads segments. */
#ifndef PD_LOG_FILE_READ_PRIVATE_H
#define PD_LOG_FILE_READ_PRIVATE_H

#include "base/buffer.h"
#include "log/file/file_private.h"
#include "log/log.h"

#define PD_LSN_UNKNOWN UINT64_MAX /* damage up to where nobody knows */

/* A segment on its way into memory. */
struct pd_segment_load {
	struct pd_os *os;
	struct pd_os_task *task;
	uint32_t number; /* 0: none */
	char *path;
	uint8_t *data;
	size_t capacity, wanted, size;
	int result;
	struct pd_error err;
};

struct pd_file_reader {
	struct pd_log_reader base; /* first */
	struct pd_log_file *file;
	uint64_t from_lsn;

	/* The segment that is loaded. */
	uint32_t behind_segment; /* go on with the first of a higher number */
	uint8_t *data;
	size_t capacity;
	uint64_t sectors, sector;
	struct pd_location location;
	bool loaded;
	bool given; /* `data` belongs to the caller */
	struct pd_segment_load ahead;

	/* Where the log is. */
	uint64_t expected_lsn;
	uint64_t unknown_lsns; /* rot at the end may have held as many more */

	/* The last segment with a group that counts. */
	uint32_t taken_segment; /* 0: none */
	uint64_t soft_sector;   /* groups from here on are not known to be on stable storage … */
	uint64_t end_sector;    /* … and here the last of them ends */
	bool sealed;
	uint64_t epoch, last_time_us;
	uint32_t chain;
	bool chain_known;

	/* Records of the group that is being handed out. */
	const uint8_t *at, *end;
	uint64_t lsn, base_time_us;
	bool salvage;       /* the group's checksum did not hold: each record must prove itself … */
	bool salvage_found; /* … and one could not */

	/* A record that comes in frames. */
	struct pd_buffer frames;
	uint32_t next_frame;
	uint32_t frames_location;
	bool in_frames;
	bool frames_rotten;  /* a frame's checksum did not hold: the record's own decides */
	uint64_t broken_lsn; /* of the large record whose frames were last reported as damaged */

	struct pd_buffer actors; /* of the damage last reported */
	/* Whose the records are that are about to be reported, as they themselves tell: see file_read_mend.c. */
	struct pd_buffer suspects;
	bool suspects_known;
	uint64_t
		flipped_sector; /* 1 + the unused sector in which a bit has flipped, as was reported; 0: none */
	struct pd_log_end log_end;
	bool finished;
	bool no_memory; /* there was none where nothing could be returned: reading ends */
};

/* What lies at and behind `from`: the next group with a header that holds and that begins at or below `last_lsn`, and the
 * highest LSN that any of them says was durable. Memory read before this point had its stamps taken out, so `from` must
 * lie behind it. */
struct pd_outlook {
	bool found;
	uint64_t sector;
	struct pd_group_header header;
	uint64_t durable_lsn;
	uint64_t current_sectors; /* written in this life of the segment */
};

/* ---- file_read_look.c ---- */
enum pd_sector_state pd_read_state(const struct pd_file_reader *reader, uint64_t sector);
/* The header in this sector if it holds, whatever the sector's stamp says. */
bool pd_read_header_anywhere(const struct pd_file_reader *reader, uint64_t sector,
			     struct pd_group_header *ret_header);
bool pd_read_header_at(const struct pd_file_reader *reader, uint64_t sector,
		       struct pd_group_header *ret_header);
struct pd_outlook pd_read_look_ahead(const struct pd_file_reader *reader, uint64_t from, uint64_t last_lsn);
/* Fill in what is damaged, and whose it is as far as the segment's footer or the records themselves tell. */
PD_MUST_CHECK int pd_read_report(struct pd_file_reader *reader, uint64_t first_lsn, uint64_t last_lsn,
				 uint64_t sector, struct pd_log_damage *ret_damage, struct pd_error *err,
				 const char *what);
/* The last LSN that is incomplete when nothing in front of this group can be read. */
uint64_t pd_read_last_lost_before(const struct pd_group_header *header);

/* ---- file_read_mend.c ---- */
/* The header of a group that is as it was written but for one bit of this header. */
bool pd_read_mend_header(struct pd_file_reader *reader, uint64_t sector, struct pd_group_header *ret_header);
/* Would this sector be one that is not in use but for one bit? */
bool pd_read_unused_but_one_bit(const struct pd_file_reader *reader, uint64_t sector);
/* The records first_lsn … last_lsn, which lie in start … end of the open group, are about to be reported as damaged: whose they
 * are, if each is as it was written but for one bit. */
void pd_read_suspect_records(struct pd_file_reader *reader, const uint8_t *start, const uint8_t *end,
			     uint64_t first_lsn, uint64_t last_lsn);
/* The same for the record in frames, all of which have come. */
void pd_read_suspect_frames(struct pd_file_reader *reader, uint64_t lsn);
/* Name them for the damage that is being reported; reader->actors has those that the index names, if it `names`. */
bool pd_read_take_suspects(struct pd_file_reader *reader, bool names);

/* ---- file_read_load.c ---- */
/* The next segment, NULL: none. By number: trimming may move the list while it is read. */
struct pd_segment *pd_read_following(const struct pd_file_reader *reader);
/* The next segment whose head says where it begins, NULL: none. */
const struct pd_segment *pd_read_following_headed(const struct pd_file_reader *reader);
/* The highest LSN that may have something in front of this segment. */
uint64_t pd_read_last_before(const struct pd_segment *segment);
/* Make this segment the current one, and start to load the one behind it. */
PD_MUST_CHECK int pd_read_load(struct pd_file_reader *reader, const struct pd_segment *segment,
			       struct pd_error *err);
/* Wait for what is being loaded, and forget it. The buffer stays. */
void pd_read_load_drop(struct pd_segment_load *load);

#endif
