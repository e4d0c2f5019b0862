/* Segments of a log that lies in files, as bytes and proved: for who copies it elsewhere.
 *
 * A stretch is groups that follow each other in one segment, as they lie on the disk, stamps and all. Before it is told, each of them has
 * been opened: place, checksums, chain, LSNs, epoch. A copy of a log's stretches is a log, which recovery opens as it would the first.
 *
 *     segment 12   head | group | group | group | footer     sealed: a stretch of all of it
 *     segment 13   head | group | group | zeros …            open: one to the last record that is on stable storage, then one from there on
 *
 * What a later epoch has set aside is in none. It takes no lock and changes nothing, and may be used beside the writer. What is trimmed
 * under it is PD_NOT_FOUND, or PD_CORRUPT when the file was taken for another segment: look again where the log begins by now.
 *
 * Threads: one at a time, whichever. */
#ifndef PD_LOG_RAW_H
#define PD_LOG_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"
#include "log/log.h"

struct pd_log_raw;
struct pd_os_file;

/* A segment that was begun. */
struct pd_log_raw_segment {
	uint32_t number;
	uint64_t epoch;
	uint64_t first_lsn; /* of its first record, or of that whose frames go on in it */
	bool goes_on;       /* it does not begin with a record, but with frames of one */
	uint64_t time_us;   /* no record before it has a later time */
	uint64_t bytes;     /* of the file */
	uint32_t
		head_crc; /* of its head, in which that time is: no other segment has the same one, of whatever copy of this log */
	uint32_t previous_crc; /* the last group's before it */
	bool sealed;           /* there is one behind it */
};

struct pd_log_stretch {
	uint32_t segment;
	uint64_t epoch;
	uint64_t from, end;                   /* bytes of the file, both multiples of 512 */
	uint64_t first_lsn;                   /* of the first record that ends in it, or would come next */
	uint64_t last_lsn;                    /* first_lsn - 1: no record ends in it */
	uint64_t first_time_us, last_time_us; /* of these; without any both those of its first group */
	uint32_t previous_crc,
		last_crc;       /* of the group before it, and of its last one: stretches are a chain */
	bool sealed;            /* it ends where the segment does */
	struct pd_hash128 hash; /* of its bytes */
};

/* Of the options it takes os, directory, cluster_id and shard. PD_NEWER_FORMAT, PD_CORRUPT (another log's files), PD_NO_MEMORY, PD_IO;
 * PD_NOT_FOUND: it changed while it was listed. A directory that is not there is an empty log. */
PD_MUST_CHECK int pd_log_raw_new(const struct pd_log_options *options, struct pd_log_raw **ret_raw,
				 struct pd_error *err);
/* The same, by one that was made some time ago of the log that a process has begun and goes on writing: heads of segments that were sealed then are not read
 * again, and it is freed. After an error it is as it was. */
PD_MUST_CHECK int pd_log_raw_renew(struct pd_log_raw **raw, struct pd_error *err);
void pd_log_raw_free(struct pd_log_raw *raw); /* NULL is fine */
/* Gives back the memory that stretches were read with. */
void pd_log_raw_rest(struct pd_log_raw *raw);
size_t pd_log_raw_count(const struct pd_log_raw *raw);
/* The nth, by their numbers. */
void pd_log_raw_segment(const struct pd_log_raw *raw, size_t n, struct pd_log_raw_segment *ret_segment);

/* The stretch of segment n that goes on behind `after` (NULL, or of another segment: from its front): to the segment's end if it is sealed, else to
 * the last record up to limit_lsn, up to which all is on stable storage. PD_END: there is none.
 * PD_CORRUPT: what should be there is damaged, the text has the segment, the byte and the LSN; PD_NOT_FOUND: the file is gone; PD_IO, PD_NO_MEMORY;
 * PD_CANCELLED: `go_on` (NULL is fine), which is asked now and then, has said false. */
PD_MUST_CHECK int pd_log_raw_stretch(struct pd_log_raw *raw, size_t n, const struct pd_log_stretch *after,
				     uint64_t limit_lsn, bool (*go_on)(void *context), void *context,
				     struct pd_log_stretch *ret_stretch, struct pd_error *err);

/* What of segment n is whole, from its front on, in a log that nobody writes any more: to its end if it is sealed and all of it is there, else to the
 * last record before the first place where no whole group is; that is where its writer stopped, or damage, which is not told here.
 * `sealed`: it has all that it will ever have. PD_END: there is nothing. PD_CORRUPT: nobody can tell where it ended, since the head behind it is damaged
 * and its footer is not there. PD_IO, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_log_raw_whole(struct pd_log_raw *raw, size_t n, struct pd_log_stretch *ret_stretch,
				   struct pd_error *err);

/* Does segment n begin with the groups that end at `end` with one of that header_crc? PD_CONFLICT: it has others; PD_CORRUPT: it has fewer that are whole: it
 * is damaged, or ends earlier. Errors as above. */
PD_MUST_CHECK int pd_log_raw_has(struct pd_log_raw *raw, size_t n, uint64_t end, uint32_t last_crc,
				 bool (*go_on)(void *context), void *context, struct pd_error *err);

/* The head_crc of the segment whose file begins with these bytes, PD_LOG_RAW_HEAD_SIZE at least; 0: they are the beginning of none. */
#define PD_LOG_RAW_HEAD_SIZE 512u
uint32_t pd_log_raw_head_crc(const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard, uint32_t segment,
			     struct pd_slice bytes);

/* The bytes of a stretch, one piece after the other. */
struct pd_log_raw_reader {
	struct pd_os_file *file;
	uint64_t at, end;
};
PD_MUST_CHECK int pd_log_raw_open(const struct pd_log_raw *raw, const struct pd_log_stretch *stretch,
				  struct pd_log_raw_reader *ret_reader, struct pd_error *err);
/* Fewer than `size` only at the end. The file may have changed since: the hash tells. */
PD_MUST_CHECK int pd_log_raw_read(struct pd_log_raw_reader *reader, void *data, size_t size, size_t *ret_size,
				  struct pd_error *err);
void pd_log_raw_close(struct pd_log_raw_reader *reader);

/* A copy of a segment, `size` bytes that begin with its first, has all of its stretches: give it the size that the segment was made with, unless
 * it ends with its footer. Writers cut a file only behind that, so a shorter one would pass for one that was cut off. The file is open for
 * reading and writing; sync it afterwards. PD_CORRUPT: those are no groups of that segment. */
PD_MUST_CHECK int pd_log_raw_finish(struct pd_os_file *file, uint64_t size,
				    const uint8_t cluster_id[PD_CLUSTER_ID_SIZE], uint32_t shard,
				    uint32_t segment, struct pd_error *err);

#endif
